"""Whole runs of the tiny suite: every stage, on real models, from the command line to the board."""

from __future__ import annotations

import json
import runpy
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench.storage.ledger import Ledger, ledgers
from heistbench.bench.storage.provenance import CONTAMINATION
from heistbench.bench.storage.result_files import read_record
from heistbench.bench.storage.store import Store, read_lines
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite

HEAVY = ["trl.trainer.sft_trainer", "lm_eval.evaluator", "lm_eval.tasks", "transformers.models.llama.modeling_llama"]
CHILD = Path(__file__).parents[2] / "heist_child.py"


def results(out: Path) -> dict[str, Any]:
    """The result files of a run by their place, without what may differ between two runs."""
    folder = out / "tiny" / "results"
    found = {str(path.relative_to(folder)): read_record(path).model_dump(mode="json") for path in folder.rglob("seed-*.json")}
    for record in found.values():
        del record["volatile"]
    return found


def artifacts(out: Path, kind: str) -> list[Path]:
    """The finished artifacts of a kind."""
    return [path.parent for path in (out / "store" / kind).glob("*/manifest.json")]


def queries(out: Path) -> int:
    """Rows of all ledgers: what victims were ever asked."""
    store = Store(out / "store")
    return sum(Ledger(store, json.loads((folder / "spec.json").read_text())).spent()[0] for folder in ledgers(store))


def of(found: dict[str, Any], attack: str, defense: str = "none") -> Any:
    """One record by attack and defense."""
    return next(r for r in found.values() if r["arm"]["attack"]["spec"] == attack and r["arm"]["defense"] == defense)


# the whole matrix


def test_every_cell_has_a_record(tiny_run) -> None:
    found = results(tiny_run.out)
    arms = Counter((r["arm"]["attack"]["spec"], r["arm"]["defense"], r["arm"]["control"]) for r in found.values())
    suite = load_suite(str(tiny_run.suite))
    expected = {(attack, defense, False) for attack in suite.attacks for defense in suite.defenses}
    assert arms.keys() == expected | {(control, "none", True) for control in suite.controls}
    assert set(arms.values()) == {1}


def test_the_run_says_what_it_does_and_where_things_are(tiny_run) -> None:
    assert "tiny: 20 cells, 20 to compute" in tiny_run.ended.out
    assert str(tiny_run.out / "tiny" / "results") in tiny_run.ended.out.replace("\n", "")
    assert "trace_inversion" in tiny_run.ended.out
    assert tiny_run.ended.err.count("done: ") == 20
    assert (tiny_run.out / "tiny" / "site" / "index.html").read_text().startswith("<!doctype html>")
    (board,) = json.loads((tiny_run.out / "tiny" / "site" / "board.json").read_text()).values()
    assert board["panels"]


def test_every_question_is_attacked_and_examined_once(tiny_run) -> None:
    test_ids = {p.question.id for p in cells(load_suite(str(tiny_run.suite)))[0].build_task().problems("test", 16)}
    for record in results(tiny_run.out).values():
        assert record["exam"]["verdicts"].keys() == test_ids
        assert record["loot"]["questions"] == 24
        assert record["bill"]["queries"] <= 24


def test_the_arms_are_what_they_should_be(tiny_run) -> None:
    found = results(tiny_run.out)
    assert of(found, "untrained")["loot"]["rows"] == 0
    assert of(found, "untrained")["overlap"] == {}
    assert of(found, "true_trace")["loot"]["whole_traces"] == 1.0
    assert of(found, "true_trace")["overlap"]["words"]["stolen"]["lcs_f"] == 1.0
    assert of(found, "true_trace")["overlap"]["rep"]["stolen"]["rouge_l"] == 1.0
    assert of(found, "wrong_trace")["loot"]["whole_traces"] == 0.0
    assert of(found, "wrong_trace")["loot"]["right_answers"] == 1.0
    assert of(found, "answer_only")["loot"]["traces"] == 0
    assert of(found, "answer_only")["overlap"]["words"]["stolen"]["lcs_f"] == 0.0
    assert of(found, "rep(shots=2)")["loot"]["whole_traces"] > 0.8
    assert of(found, "summary_answer")["loot"]["traces"] == 24
    assert of(found, "summary_answer", "redact_summary(level=all)")["loot"]["traces"] == 0
    assert of(found, "trace_inversion")["bill"]["attacker_tokens_trained"] > 0
    for idle in ("untrained", "surrogate_trace", "gold_inversion", "wrong_trace"):
        assert of(found, idle)["bill"]["queries"] == 0


def test_overlap_stands_between_floor_and_ceiling(tiny_run) -> None:
    for record in results(tiny_run.out).values():
        for name, metric in (("words", "lcs_f"), ("rep", "rouge_l")) if record["overlap"] else ():
            scores = record["overlap"][name]
            other, surrogate = scores["floor_other_question"][metric], scores["floor_surrogate"][metric]
            assert other < surrogate < scores["ceiling_victim_again"][metric]
            assert scores["n"] == 24


def test_exposure_is_told_of_attacks_that_prompt_and_of_no_others(tiny_run) -> None:
    for record in results(tiny_run.out).values():
        assert (record["exposure"] is None) == (record["arm"]["attack"]["name"] != "rep")
    exposed = of(results(tiny_run.out), "rep(shots=2)")["exposure"]
    assert exposed["n"] == 24
    assert exposed["struct"] == 1.0
    # What it shows is what it thought, and it thinks under attack what it thinks when plainly asked.
    assert exposed["all"]["r12"] > 0.95
    assert exposed["all"]["r01"] > 0.8
    assert exposed["all"] == exposed["struct_only"]


def test_examples_stand_beside_what_they_were_made_of_best_first(tiny_run) -> None:
    found = results(tiny_run.out)
    for record in found.values():
        scores = [example["score"] for example in record["examples"]]
        assert scores == sorted(scores, reverse=True)
        assert len(scores) == min(10, record["loot"]["rows"])
    for example in of(found, "true_trace")["examples"]:
        assert (example["stolen"], example["score"]) == (example["hidden"], 1.0)
    exposed, summarised = of(found, "rep(shots=2)")["examples"][0], of(found, "summary_answer")["examples"][0]
    assert exposed["stolen"] in exposed["exposed"]
    assert summarised["exposed"] == f"summary: {summarised['stolen']}\n{summarised['answer']}"
    assert all(e["exposed"] == "" for e in of(found, "surrogate_trace")["examples"]), "nobody asked the victim"
    assert {e["stolen"] for e in of(found, "answer_only")["examples"]} == {None}


def test_what_an_honest_user_gets(tiny_run) -> None:
    found = results(tiny_run.out)
    plain, hidden, noised = (
        of(found, "answer_only", d)["utility"] for d in ("none", "redact_summary(level=all)", "noise_answers")
    )
    assert (plain["accuracy"], plain["summary_shown"], plain["summary_values_kept"]) == (1.0, 1.0, 1.0)
    assert (hidden["accuracy"], hidden["summary_shown"], hidden["summary_values_kept"]) == (1.0, 0.0, 0.0)
    assert noised["accuracy"] < 1.0
    assert all(utility["refused"] == 0.0 and utility["n"] == 16 for utility in (plain, hidden, noised))


def test_noise_costs_the_thief_right_answers(tiny_run) -> None:
    found = results(tiny_run.out)
    assert of(found, "answer_only")["loot"]["right_answers"] > of(found, "answer_only", "noise_answers")["loot"]["right_answers"]


def test_equal_loot_is_trained_on_once(tiny_run) -> None:
    found = results(tiny_run.out)
    open_, hidden = of(found, "answer_only"), of(found, "answer_only", "redact_summary(level=all)")
    assert open_["loot"]["sha256"] == hidden["loot"]["sha256"]
    assert open_["provenance"]["models"]["student after"] == hidden["provenance"]["models"]["student after"]
    loots = {record["loot"]["sha256"] for record in found.values() if record["loot"]["rows"]}
    assert len(artifacts(tiny_run.out, "train")) == len(loots) < 19


def test_what_cells_share_is_computed_once(tiny_run) -> None:
    assert len(artifacts(tiny_run.out, "utility")) == 3  # a defense each
    # The victim is asked the queries plainly, by rep, and again for the ceiling, and the test questions by honest users.
    assert queries(tiny_run.out) == 3 * 24 + 16
    assert len(artifacts(tiny_run.out, "record")) == 20


def test_records_say_what_they_hang_on(tiny_run) -> None:
    for record in results(tiny_run.out).values():
        made = record["provenance"]
        assert {"torch", "transformers", "trl", "lm_eval"} <= made["packages"].keys()
        assert made["models"]["victim"].startswith("shipped:pocket/victim-1:")
        assert made["settings"]["sizes"] == {"query": 24, "surrogate": 40, "test": 16}
        assert made["contamination"] == dict.fromkeys(CONTAMINATION, 0.0)


def test_sealed_records_are_of_what_was_asked(tiny_run) -> None:
    for folder in artifacts(tiny_run.out, "collect"):
        sealed, spec = read_lines(folder / "sealed.jsonl"), json.loads((folder / "spec.json").read_text())
        asks = spec["attack"]["name"] in ("answer_only", "summary_answer", "zero_shot_inversion", "trace_inversion", "rep")
        assert len(sealed) == (24 if asks else 0)
        assert all(row["reply"]["trace"] for row in sealed)


# going on


def test_the_same_command_computes_nothing_and_changes_nothing(tiny_copy, heist: Callable) -> None:
    before = {path: path.stat().st_mtime_ns for path in (tiny_copy.out / "store").rglob("*.json")}
    ended = heist("run", tiny_copy.suite, "--out", tiny_copy.out, "--executor", "here")
    assert ended.code == 0
    assert "20 cells, all of them computed before" in ended.out
    assert {path: path.stat().st_mtime_ns for path in (tiny_copy.out / "store").rglob("*.json")} == before


def test_a_new_defense_computes_its_own_cells_only(tiny_copy, heist: Callable) -> None:
    command = ["run", tiny_copy.suite, "--out", tiny_copy.out, "--attack", "answer_only", "--attack", "summary_answer"]
    ended = heist(*command, "--defense", "none", "--defense", "noise_answers(rate=1)", "--executor", "here")
    assert ended.code == 0, ended.err
    assert "tiny: 9 cells, 2 to compute" in ended.out
    assert ended.err.count("done: ") == 2
    assert len(artifacts(tiny_copy.out, "record")) == 22
    assert queries(tiny_copy.out) == 3 * 24 + 16  # the victim has said it all before
    noised = of(results(tiny_copy.out), "answer_only", "noise_answers(rate=1.0)")
    assert noised["loot"]["right_answers"] == 0.0
    assert noised["utility"]["accuracy"] == 0.0


def test_a_new_seed_is_a_new_theft_from_the_same_replies(tiny_copy, suite_file: Callable, heist: Callable) -> None:
    kinds, asked = ("collect", "inverter"), queries(tiny_copy.out)
    before = {kind: len(artifacts(tiny_copy.out, kind)) for kind in kinds}
    suite = suite_file(attacks=["answer_only", "trace_inversion"], controls=["untrained"], defenses=["none"])
    ended = heist("run", suite, "--out", tiny_copy.out, "--seeds", "0,1", "--executor", "here")
    assert "6 cells, 3 to compute" in ended.out
    # Three thefts more, one inverter trained anew, and the victim was asked nothing again.
    assert {kind: len(artifacts(tiny_copy.out, kind)) - before[kind] for kind in kinds} == {"collect": 3, "inverter": 1}
    assert queries(tiny_copy.out) == asked
    found = results(tiny_copy.out).values()

    def records(attack: str) -> list[dict[str, Any]]:
        return [r for r in found if r["arm"]["attack"]["spec"] == attack and r["arm"]["defense"] == "none"]

    answers, inversions = records("answer_only"), records("trace_inversion")
    assert {r["arm"]["seed"] for r in answers} == {r["arm"]["seed"] for r in inversions} == {0, 1}
    assert len({r["loot"]["sha256"] for r in answers}) == 1
    assert len({r["provenance"]["models"]["student after"] for r in answers}) == 2
    assert len({r["loot"]["sha256"] for r in inversions}) == 2


def test_an_adaptive_inverter_is_another_one(
    tiny_copy, suite_file: Callable, heist: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # as if on a terminal: with bars
    before, inverters = results(tiny_copy.out), len(artifacts(tiny_copy.out, "inverter"))
    suite = suite_file(attacks=["trace_inversion(adaptive=true)"], controls=["untrained"], defenses=["none", "noise_answers"])
    ended = heist("run", suite, "--out", tiny_copy.out, "--executor", "here")
    assert ended.code == 0, ended.err
    assert "done: " not in ended.err
    assert len(artifacts(tiny_copy.out, "inverter")) == inverters + 1  # undefended, what it rehearses is what it gets
    found = before | results(tiny_copy.out)
    for defense, same in (("none", True), ("noise_answers", False)):
        plain, adaptive = (of(found, f"trace_inversion{how}", defense) for how in ("", "(adaptive=true)"))
        assert (plain["loot"]["sha256"] == adaptive["loot"]["sha256"]) is same


def test_a_dry_run_says_what_would_run_and_runs_nothing(tiny_copy, heist: Callable) -> None:
    ended = heist("run", tiny_copy.suite, "--out", tiny_copy.out, "--defense", "noise_answers(rate=0.1)", "--dry-run")
    assert ended.code == 0
    lines = [line for line in ended.out.splitlines() if line.endswith(("(there)", "(to compute)"))]
    assert len(lines) == 10
    assert sum(line.endswith("(there)") for line in lines) == 5  # the controls
    assert len(artifacts(tiny_copy.out, "record")) == 20


# the same numbers, however it is run


OUTSIDE = """
from heistbench.bench import Attack, Defense, Exposure, Prompt, Stolen, attack, defense

@attack("outside_attack", version="1-A")
class Outside(Attack):
    word: str = "a"
    def steal(self, target, questions, kit):
        exposures = target.ask([Prompt.of(q.text) for q in questions])
        return [Stolen(q.id, q.text, self.word, e.text) for q, e in zip(questions, exposures)]

@defense("outside_defense", version="1-A", touches=("answer",))
class Curtain(Defense):
    def release(self, prompt, reply, rng):
        return Exposure("0", None)
"""


def test_two_processes_give_the_same_records(tiny_run, tmp_path: Path, suite_file: Callable, heist_process: Callable) -> None:
    plugin = tmp_path / "outside.py"
    plugin.write_text(OUTSIDE)
    suite = suite_file(attacks=["answer_only", "trace_inversion"], controls=["untrained"], defenses=["none"])
    options = [
        "--plugin",
        plugin,
        "--attack",
        "outside_attack(word=s1)",
        "--attack",
        "answer_only",
        "--attack",
        "trace_inversion",
    ]
    ended = heist_process("run", suite, *options, "--out", tmp_path / "out", "--jobs", 2)
    assert ended.code == 0, ended.err
    found, expected = results(tmp_path / "out"), results(tiny_run.out)
    assert of(found, "outside_attack(word=s1)")["loot"]["traces"] == 24
    shared = {place: record for place, record in found.items() if record["arm"]["attack"]["name"] != "outside_attack"}
    assert len(shared) == 3
    assert shared == {place: expected[place] for place in shared}
    assert list((tmp_path / "out" / "store" / "log").glob("worker-*.log"))


@pytest.mark.usefixtures("own_plugins")
def test_an_attack_and_a_defense_from_a_file(tiny_copy, tmp_path: Path, suite_file: Callable, heist: Callable) -> None:
    plugin = tmp_path / "outside.py"
    plugin.write_text(OUTSIDE)
    suite = suite_file(attacks=[], controls=["untrained"], defenses=["none"])
    command = [
        "run",
        suite,
        "--plugin",
        plugin,
        "--attack",
        "outside_attack",
        "--defense",
        "outside_defense+noise_answers(rate=0)",
    ]
    ended = heist(*command, "--out", tiny_copy.out, "--executor", "here")
    assert ended.code == 0, ended.err
    record = of(results(tiny_copy.out), "outside_attack", "outside_defense+noise_answers(rate=0.0)")
    assert [part["name"] for part in record["arm"]["defenses"]] == ["outside_defense", "noise_answers"]
    assert record["utility"]["summary_shown"] == 0.0
    assert record["loot"]["whole_traces"] == 0.0


class Children:
    """`heist` in child processes that have the heavy libraries loaded already."""

    def __init__(self, folder: Path) -> None:
        self.log, self.context, self.started = folder / "log.txt", get_context("forkserver"), list[BaseProcess]()
        self.context.set_forkserver_preload(HEAVY)

    def start(self, *words: object) -> BaseProcess:
        arguments = {"ARGV": [str(word) for word in words], "LOG": str(self.log)}
        child = self.context.Process(target=runpy.run_path, args=(str(CHILD), arguments))
        child.start()
        self.started.append(child)
        return child

    def finish(self, *words: object) -> None:
        child = self.start(*words)
        child.join()
        assert child.exitcode == 0, self.log.read_text()


@pytest.fixture
def children(tmp_path: Path) -> Iterator[Children]:
    found = Children(tmp_path)
    yield found
    for child in found.started:
        child.kill()
        child.join()


def kill_when(child: BaseProcess, happened: Callable[[], bool]) -> bool:
    """SIGKILL a process as soon as something has happened; False if it ended before."""
    while child.is_alive():
        if happened():
            child.kill()
            child.join()
            return child.exitcode == -9
        time.sleep(0.002)
    return False


MOMENTS = ["collect/*.part", "train/*.part/model", "examine/*.part", "record/*/manifest.json"]


def test_killed_runs_go_on_to_the_same_records(tiny_run, tmp_path: Path, suite_file: Callable, children: Children) -> None:
    suite = suite_file(attacks=["answer_only", "trace_inversion"], controls=["untrained"], defenses=["none"])
    out = tmp_path / "out"
    command = ["run", suite, "--out", out, "--executor", "here"]
    for moment in MOMENTS:
        held = set((out / "store").glob(moment))
        assert kill_when(
            children.start(*command), lambda held=held, moment=moment: bool(set((out / "store").glob(moment)) - held)
        ), moment
        assert not (out / "tiny").exists()
    children.finish(*command)
    expected = results(tiny_run.out)
    found = results(out)
    assert len(found) == 3
    assert found == {place: expected[place] for place in found}
    assert not list((out / "store").glob("*/*.part"))


def test_two_runs_on_one_store_share_their_work(tiny_run, tmp_path: Path, suite_file: Callable, children: Children) -> None:
    suite = suite_file(attacks=["answer_only", "summary_answer"], controls=["untrained"], defenses=["none"])
    runs = [children.start("run", suite, "--out", tmp_path / "out", "--executor", "here") for _ in range(2)]
    for child in runs:
        child.join()
    assert [child.exitcode for child in runs] == [0, 0], children.log.read_text()
    expected, found = results(tiny_run.out), results(tmp_path / "out")
    assert found == {place: expected[place] for place in found}
    assert len(found) == 3


def test_a_run_says_nothing_but_its_own(
    tiny_copy, tmp_path: Path, suite_file: Callable, children: Children, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    suite = suite_file(attacks=["answer_only"], controls=["untrained"], defenses=["none"])
    children.finish("run", suite, "--out", tiny_copy.out, "--seeds", "7", "--executor", "here")
    assert "done: answer_only x none, seed 7" in children.log.read_text()
    assert "fatal" not in children.log.read_text()


# what is damaged


def damage(path: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("how", [("--executor", "here"), ("--jobs", 2)])
@pytest.mark.parametrize(("kind", "name"), [("record", "record.json"), ("utility", "utility.json")])
def test_a_damaged_artifact_is_computed_again_and_the_user_is_told(
    tiny_copy, heist: Callable, kind: str, name: str, how: tuple
) -> None:
    before, folder = results(tiny_copy.out), artifacts(tiny_copy.out, kind)[0]
    damage(folder / name)
    if kind != "record":  # what only a new cell would read
        shutil.rmtree(tiny_copy.out / "store" / "record")
    ended = heist("run", tiny_copy.suite, "--out", tiny_copy.out, *how)
    assert ended.code == 0, ended.err
    (line,) = [line for line in ended.err.splitlines() if not line.startswith("done: ")]
    place = tiny_copy.out / "store" / "damaged" / kind / f"{folder.name}-1"
    assert line == (
        f"heist: {kind}/{folder.name} is damaged ({name} is not what was written) and is computed again;"
        f" what was there is kept in {place}"
    )
    assert (place / name).is_file()
    assert results(tiny_copy.out) == before
    assert heist("run", tiny_copy.suite, "--out", tiny_copy.out, "--executor", "here").err == ""


def test_a_damaged_record_that_cannot_be_read_stands_in_nobodys_way(tiny_copy, heist: Callable) -> None:
    """Where cells are missing, the specs of all records are looked at, and the pace of all training."""
    before = results(tiny_copy.out)
    for name in ("spec.json", "manifest.json", "record.json"):
        for folder in artifacts(tiny_copy.out, "record")[:3]:
            (folder / name).write_text("[" * 100_000)
    for folder in artifacts(tiny_copy.out, "train"):
        (folder / "tuned.json").write_text("{")
    ended = heist("run", tiny_copy.suite, "--out", tiny_copy.out, "--executor", "here")
    assert ended.code == 0, ended.err
    assert "20 cells, 3 to compute" in ended.out
    assert results(tiny_copy.out) == before


def test_a_damaged_model_is_trained_again(tiny_copy, heist: Callable) -> None:
    before, models = results(tiny_copy.out), artifacts(tiny_copy.out, "train")[:2]
    for folder in models:
        damage(folder / "model" / "model.safetensors")
    shutil.rmtree(tiny_copy.out / "store" / "examine")
    shutil.rmtree(tiny_copy.out / "store" / "record")
    ended = heist("run", tiny_copy.suite, "--out", tiny_copy.out, "--executor", "here")
    assert ended.code == 0, ended.err
    for folder in models:
        assert f"train/{folder.name} is damaged (model/model.safetensors is not what was written)" in ended.err
    assert results(tiny_copy.out) == before


@pytest.mark.parametrize("what", ["file", "dangling link"])
def test_a_store_that_is_no_folder_is_one_line(tmp_path: Path, suite_file: Callable, heist: Callable, what: str) -> None:
    store = tmp_path / "out" / "store"
    store.parent.mkdir()
    if what == "file":
        store.write_text("mine")
    else:
        store.symlink_to(tmp_path / "nowhere")
    ended = heist("run", suite_file(attacks=["answer_only"], controls=["untrained"], defenses=["none"]), "--out", store.parent)
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line.startswith(f"heist: error: {store}: expected a folder that can be written to")
    assert [path.name for path in store.parent.iterdir()] == ["store"]
    assert store.is_symlink() or store.read_text() == "mine"


def test_damaged_replies_of_a_local_model_are_asked_again(tiny_copy, heist: Callable) -> None:
    before = results(tiny_copy.out)
    for base in (tiny_copy.out / "store").glob("victims/*/replies.sqlite"):
        damage(base)
    for kind in ("record", "collect", "utility"):
        shutil.rmtree(tiny_copy.out / "store" / kind)
    ended = heist("run", tiny_copy.suite, "--out", tiny_copy.out, "--executor", "here")
    assert ended.code == 0, ended.err
    assert "replies are damaged or missing" in ended.err
    assert results(tiny_copy.out) == before


def test_a_deleted_artifact_is_computed_again(tiny_copy, heist: Callable) -> None:
    before = results(tiny_copy.out)
    for folder in artifacts(tiny_copy.out, "record")[:2] + artifacts(tiny_copy.out, "utility"):
        shutil.rmtree(folder)
    ended = heist("run", tiny_copy.suite, "--out", tiny_copy.out, "--executor", "here")
    assert "20 cells, 2 to compute" in ended.out
    assert results(tiny_copy.out) == before
