"""Auditing a submission: what is drawn, run again and compared, and what a forger would have risked."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import TinyRun
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from scipy.stats import hypergeom
from sound_submission import Raw, sound, write_sound

import heistbench.bench
from heistbench.bench.cli import app
from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import read_record, read_records, write_record
from heistbench.bench.verbs.audit import AuditOptions, audit
from heistbench.bench.verbs.rebuilt_cells import Rebuilder
from heistbench.leaderboard.submit.audit_compare import AuditedCell, judge
from heistbench.leaderboard.submit.audit_draw import SHARES, caught, draw, risks, submitted
from heistbench.leaderboard.submit.audit_report import Audit, report

Heist = Callable[..., Any]
Change = Callable[[Raw], None]
CELLS = {
    "stolen": "pocket/pocket-victim-1/none/answer_only/24-queries/pocket-base/seed-0.json",
    "noised": "pocket/pocket-victim-1/noise_answers/rep(shots=2)/24-queries/pocket-base/seed-0.json",
    "control": "pocket/pocket-victim-1/none/untrained/24-queries/pocket-base/seed-0.json",
}
RECIPE = Path(heistbench.bench.__file__).parent.parent / ".github" / "workflows" / "results.yml"
OTHER_STUDENT = "student:0123456789abcdef01234567"


@pytest.fixture
def submission(tiny_run: TinyRun, tmp_path: Path) -> Callable[..., Path]:
    """Some cells of the tiny run as a submission, one of them changed."""

    def make(*names: str, change: Change | None = None) -> Path:
        folder = tmp_path / "submission"
        shutil.copytree(tiny_run.out / "tiny" / "results" / "replies", folder / "replies")
        for name in names:
            record = read_record(tiny_run.out / "tiny" / "results" / CELLS[name])
            write_record(folder, changed(record, change) if change and name == names[0] else record)
        return folder

    return make


def changed(record: Record, change: Change) -> Record:
    """A record with a change that keeps all of its sums right."""
    raw = record.model_dump(mode="json")
    change(raw)
    verdicts = [*raw["exam"]["verdicts"].values()]
    right = verdicts.count("right") / len(verdicts)
    raw["exam"] |= {"accuracy": right, "score": right, "counts": {v: verdicts.count(v) for v in raw["exam"]["counts"]}}
    return Record.model_validate_json(json.dumps(raw))


def all_right(raw: Raw) -> None:
    raw["exam"]["verdicts"] = dict.fromkeys(raw["exam"]["verdicts"], "right")


def other_loot(raw: Raw) -> None:
    raw["loot"]["sha256"] = "f" * 64


def other_student(raw: Raw) -> None:
    raw["provenance"]["models"]["student after"] = OTHER_STUDENT


def other_queries(raw: Raw) -> None:
    raw["bill"]["queries"] -= 1


def happier_users(raw: Raw) -> None:
    raw["utility"] |= {"accuracy": 1 - raw["utility"]["accuracy"], "refused": 0.0}


def run_here(folder: Path, **options: Any) -> tuple[Audit, str]:
    """An audit in this process, and its report."""
    console = Console(file=StringIO(), width=200)
    done = audit(folder, AuditOptions(**{"executor": "here", "seed": 7, **options}), console)
    report(console, done)
    return done, " ".join(console.file.getvalue().split())  # type: ignore[attr-defined]


def judged(stated: Record, fresh: Record) -> AuditedCell:
    (cell,) = judge({"cell": (stated, fresh)})
    return cell


# what is run again


def test_an_honest_submission_is_the_same(submission: Callable[..., Path], tmp_path: Path) -> None:
    folder, kept = submission("noised", "control"), tmp_path / "kept"
    done, said = run_here(folder, out=kept)
    assert {cell.path: cell.outcome for cell in done.cells} == {CELLS["noised"]: "same", CELLS["control"]: "same"}
    assert [cell.mismatches for cell in done.cells] == [[], []]
    assert done.exit_code == 0
    assert "seed 7: 2 of 2 cells audited: 2 same" in said
    assert "must be chosen after submission" in said
    assert [r.exam for r in read_records(kept / "results")] == [r.exam for r in read_records(folder)]
    with pytest.raises(HeistError, match="not an empty folder"):
        run_here(folder, out=kept)


@pytest.mark.parametrize(
    ("change", "field"),
    [(all_right, "exam.verdicts"), (other_loot, "loot.sha256"), (other_student, "provenance.models.student after")],
)
def test_a_forged_cell_is_contradicted(submission: Callable[..., Path], change: Change, field: str) -> None:
    done, said = run_here(submission("stolen", change=change))
    assert [cell.outcome for cell in done.cells] == ["contradicted"]
    assert [m.field for m in done.cells[0].mismatches if m.field.startswith(field)]
    assert done.exit_code == 1
    assert f"contradicted: {CELLS['stolen']}" in said
    assert field in said


def test_when_time_is_up_what_was_begun_is_finished_and_counts(submission: Callable[..., Path]) -> None:
    done, said = run_here(submission("stolen", "noised", "control"), minutes=1e-6)
    assert (len(done.cells), len(done.unreached), done.exit_code) == (1, 2, 0)
    assert [cell.path for cell in done.cells] == draw(CELLS.values(), 1, 7)
    assert "2 more were drawn, and time was up" in said
    assert "seed 7: 1 of 3 cells audited" in said
    assert [risk.caught for risk in done.risks][:1] == [pytest.approx(1 / 3)]


def test_a_cell_that_cannot_be_run_again_is_no_cell_that_was_audited(
    submission: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise HeistError("no \x1b[31mmemory")

    monkeypatch.setattr("heistbench.bench.stages.examine.examine", fail)
    done, said = run_here(submission("stolen"))
    assert ([cell.outcome for cell in done.cells], done.audited, done.exit_code) == (["failed"], 0, 3)
    assert "memory" in said
    assert "\x1b" not in said


def test_the_command_line_runs_workers_and_prints_json(heist: Heist, submission: Callable[..., Path]) -> None:
    ended = heist("leaderboard", "audit", submission("control", change=happier_users), "--cells", 1, "--jobs", 1, "--json")
    assert ended.code == 1, ended.err
    said = json.loads(ended.out)
    (cell,) = said["cells"]
    assert [mismatch["field"] for mismatch in cell["mismatches"]] == ["utility.accuracy"]
    assert (said["audited"], said["drawn_from"], cell["outcome"]) == (1, 1, "contradicted")
    assert f"seed {said['seed']}, drawn just now" in ended.err


# bad input


def test_bad_input_is_one_line_and_exit_code_2(heist: Heist, tmp_path: Path) -> None:
    folder = write_sound(tmp_path / "sound")
    for words in (["nowhere"], [folder, "--cells", 0], [folder, "--minutes", 0], [folder, "--jobs", 0]):
        ended = heist("leaderboard", "audit", *words)
        assert (ended.code, ended.out, ended.err.count("\n")) == (2, "", 1)
    file = next(folder.rglob("seed-0.json"))
    file.write_text(file.read_text().replace('"accuracy": 0.75', '"accuracy": 0.95'))
    ended = heist("leaderboard", "audit", folder)
    assert (ended.code, ended.err.count("\n")) == (2, 1)
    assert "accuracy is not that of the verdicts" in ended.err


def test_a_record_at_another_place_is_refused(tmp_path: Path) -> None:
    folder = write_sound(tmp_path / "sound")
    file = next(folder.rglob("seed-1.json"))
    shutil.copy(file, file.with_name("seed-9.json"))
    with pytest.raises(HeistError, match="is that of"):
        submitted(folder)


def test_where_nothing_can_be_run_here_that_is_said(heist: Heist, tmp_path: Path) -> None:
    ended = heist("leaderboard", "audit", write_sound(tmp_path / "sound"))  # its plugins do not say what code they are
    assert ended.code == 2
    assert "none of its cells can be run here: arm.attack.source is '' in the record" in ended.err


def swap(*path: str, value: Any) -> Change:
    """A change of one field."""

    def change(raw: Raw) -> None:
        place = raw
        for name in path[:-1]:
            place = place[name]
        place[path[-1]] = value

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (swap("arm", "attack", "source", value="0" * 16), "arm.attack.source is '0000000000000000' in the record and"),
        (swap("arm", "attack", "spec", value="no_such_attack"), "unknown attack"),
        (swap("arm", "victim_model", value="pocket/victim-2"), "arm.victim_model is"),
        (swap("provenance", "settings", "victim", "model", value="inspect:openai/gpt-5"), "behind a provider's API"),
        (swap("provenance", "settings", "victim", "model", value="../../etc"), "neither shipped, nor a folder"),
        (swap("provenance", "models", "victim", value="shipped:pocket/victim-1:0"), "victim 'pocket/victim-1' is shipped"),
        (swap("provenance", "settings", "student", "recipe", "epochs", value=2), "arm.recipe.epochs is 1 in the record and 2"),
        (swap("provenance", "settings", "sizes", "query", value=0), "not those of a suite"),
        (swap("provenance", "settings", value={}), "not those of a suite"),
        (swap("provenance", "data", "task", value="0" * 64), "the data of task pocket is not that of the record"),
        (swap("provenance", "engine", value="vllm"), "vllm"),
        (swap("arm", "suite", value="../out"), "its settings make no suite: name"),
    ],
)
def test_what_cannot_be_run_here_is_named(tiny_run: TinyRun, change: Change, reason: str) -> None:
    record = read_record(tiny_run.out / "tiny" / "results" / CELLS["stolen"])
    with pytest.raises(HeistError) as refused:
        Rebuilder().cell(changed(record, change))
    assert reason in str(refused.value)


def test_what_cannot_be_run_here_is_not_drawn_from(submission: Callable[..., Path]) -> None:
    folder = submission("stolen", "control", change=swap("arm", "attack", "source", value="\x1b[2J"))
    done, said = run_here(folder)
    assert (done.records, done.drawn_from, done.audited) == (2, 1, 1)
    assert [*done.elsewhere.values()] == [[CELLS["stolen"]]]
    assert "not audited, as it cannot be run here: arm.attack.source" in said
    assert "whoever forged these risked nothing" in said
    assert "\x1b" not in said


def test_every_kind_of_cell_can_be_rebuilt(tiny_run: TinyRun) -> None:
    """Attacks, controls, compositions, inverters with restarts: what the record says is what the suite had."""
    rebuilder = Rebuilder()
    for record in read_records(tiny_run.out / "tiny" / "results"):
        raw = record.model_dump(mode="json")
        raw["provenance"]["settings"]["inverter"]["restarts"] = 3
        cell = rebuilder.cell(Record.model_validate_json(json.dumps(raw)))
        assert (cell.attack, cell.defense, cell.seed) == (record.arm.attack.spec, record.arm.defense, record.arm.seed)
        assert cell.suite.inverter is not None
        assert cell.suite.inverter.restarts == 3
        assert cell.sizes.model_dump() == raw["provenance"]["settings"]["sizes"]


# the comparison


@pytest.fixture(scope="module")
def stolen(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """A record of 20 questions."""
    return Record.model_validate(sound())


ANOTHER_MACHINE: Mapping[str, Change] = {
    "a GPU": lambda raw: raw["provenance"].update(device="cuda", dtype="bfloat16"),
    "an engine": lambda raw: raw["provenance"].update(engine="vllm"),
    "a package": lambda raw: raw["provenance"]["packages"].update(torch="2.14.0"),
    "a processor": lambda raw: raw["volatile"].update(hardware="aarch64, 2 cores"),
}


def flipped(n: int) -> Change:
    """The first wrong verdicts made right."""

    def change(raw: Raw) -> None:
        wrong = [question for question, verdict in raw["exam"]["verdicts"].items() if verdict == "wrong"]
        raw["exam"]["verdicts"] |= dict.fromkeys(wrong[:n], "right")

    return change


def both(*changes: Change) -> Change:
    """Several changes."""

    def change(raw: Raw) -> None:
        for each in changes:
            each(raw)

    return change


@pytest.mark.parametrize("change", [flipped(1), other_loot, other_student, other_queries, happier_users])
def test_on_one_machine_every_bit_counts(stolen: Record, change: Change) -> None:
    assert judged(stolen, stolen).outcome == "same"
    assert judged(changed(stolen, change), stolen).outcome == "contradicted"


def test_cores_compute_nothing_else(stolen: Record) -> None:
    one, other = (changed(stolen, swap("volatile", "hardware", value=f"x86_64, {n} cores, 1 thread(s)")) for n in (2, 64))
    assert judged(changed(one, flipped(1)), other).outcome == "contradicted"


@pytest.mark.parametrize("machine", ANOTHER_MACHINE)
def test_on_another_machine_a_paired_test_stands_in(stolen: Record, machine: str) -> None:
    away = ANOTHER_MACHINE[machine]
    few = judged(changed(stolen, both(away, flipped(2), other_loot, other_student)), stolen)
    assert (few.outcome, bool(few.reasons), bool(few.mismatches)) == ("consistent", True, True)
    weak = changed(stolen, swap("exam", "verdicts", value=dict.fromkeys(stolen.exam.verdicts, "wrong")))
    many = judged(changed(stolen, both(away, all_right)), weak)
    assert many.outcome == "contradicted"
    assert many.p_holm is not None
    assert many.p_holm < 0.001


def test_what_no_rounding_explains_is_contradicted_on_any_machine(stolen: Record) -> None:
    away = ANOTHER_MACHINE["a GPU"]
    for change in (
        other_student,  # of the same loot
        swap("provenance", "models", "victim", value="shipped:pocket/victim-1:0"),
        swap("provenance", "data", "questions examined", value="0" * 64),
        lambda raw: raw["exam"].update({"verdicts": {f"{q}x": v for q, v in raw["exam"]["verdicts"].items()}, "traces": None}),
    ):
        assert judged(changed(stolen, both(away, change)), stolen).outcome == "contradicted"


def test_shares_of_loot_and_honest_use_are_tested_too(stolen: Record) -> None:
    empty_handed = changed(stolen, swap("loot", "right_answers", value=0.0))
    away = ANOTHER_MACHINE["a GPU"]
    assert judged(changed(stolen, both(away, swap("loot", "right_answers", value=11 / 12))), stolen).outcome == "consistent"
    assert judged(changed(stolen, away), empty_handed).outcome == "contradicted"
    one_query = changed(stolen, both(away, swap("bill", "queries", value=1)))
    assert judged(one_query, stolen).outcome == "contradicted"


def test_holm_is_over_the_cells(stolen: Record) -> None:
    """A p-value that one cell may have by chance is no contradiction among twenty."""
    away, weak = ANOTHER_MACHINE["a GPU"], changed(stolen, flipped(0))
    stated = changed(
        stolen, both(away, lambda raw: raw["exam"]["verdicts"].update(dict.fromkeys(raw["exam"]["verdicts"], "wrong")))
    )
    alone = judged(stated, weak)
    honest = {f"honest {at}": (changed(stolen, away), stolen) for at in range(400)}
    among = next(cell for cell in judge({"it": (stated, weak), **honest}) if cell.path == "it")
    assert alone.p == among.p
    assert alone.p is not None
    assert (alone.p_holm, among.p_holm) == (alone.p, min(1.0, 401 * alone.p))


# the draw and the risk


def test_a_draw_can_be_repeated_and_does_not_depend_on_order() -> None:
    names = [f"cell {at}" for at in range(100)]
    assert draw(names, 12, 1) == draw(reversed(names), 12, 1)
    assert draw(names, 12, 1) != draw(names, 12, 2)
    assert draw(names, 5, 1) == draw(names, 12, 1)[:5]
    assert len(set(draw(names, 12, 1))) == 12
    assert sorted(draw(names, 200, 1)) == sorted(names)


def test_every_cell_is_drawn_equally_often() -> None:
    names, times = [f"cell {at}" for at in range(10)], 4000
    drawn = [name for seed in range(times) for name in draw(names, 3, seed)]
    assert all(abs(drawn.count(name) / times - 0.3) < 0.03 for name in names)


def test_twelve_cells_catch_a_forged_sixth() -> None:
    assert round(caught(600, 100, 12), 2) == 0.89


@given(st.integers(1, 700), st.data())
def test_the_risk_is_hypergeometric_and_grows(cells: int, data: st.DataObject) -> None:
    forged, audited = data.draw(st.integers(0, cells)), data.draw(st.integers(0, cells))
    chance = caught(cells, forged, audited)
    assert chance == pytest.approx(hypergeom(cells, forged, audited).sf(0), abs=1e-9)
    assert 0 <= chance <= 1
    assert chance <= caught(cells, min(cells, forged + 1), audited)
    assert chance <= caught(cells, forged, min(cells, audited + 1))


def test_a_forger_forges_one_cell_at_least() -> None:
    assert [risk.forged for risk in risks(3, 1)] == [1, 1, 1, 1, 1]
    assert [risk.forged for risk in risks(600, 12)] == [int(share * 600) for share in SHARES]
    assert risks(0, 0) == []


# the recipe for pull requests


def test_the_recipe_reads_only_and_pins_what_it_uses() -> None:
    recipe = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))
    steps = recipe["jobs"]["audit"]["steps"]
    assert recipe["permissions"] == {"contents": "read"}
    assert all(re.fullmatch(r"actions/[a-z-]+@v\d+\.\d+\.\d+", step["uses"]) for step in steps if "uses" in step)
    assert recipe["jobs"]["audit"]["timeout-minutes"] > 90
    # Names of branches and files are the submitter's: none is pasted into a script.
    assert not [step["run"] for step in steps if "${{" in step.get("run", "")]


def test_the_commands_of_the_recipe_exist() -> None:
    script = RECIPE.read_text(encoding="utf-8").replace("\\\n", " ")
    commands = re.findall(r"heist (leaderboard .*?) < /dev/null", script)
    assert [app.parse_args(shlex.split(command.replace("$((16#$seed))", "7")))[0].__name__ for command in commands] == [
        "verify",
        "audit",
    ]


def test_the_recipe_names_each_changed_folder_and_sets_its_old_results_aside(tmp_path: Path) -> None:
    """Its script on a repository: one folder added, one changed, one deleted, one left alone."""
    steps = yaml.safe_load(RECIPE.read_text(encoding="utf-8"))["jobs"]["audit"]["steps"]
    script = next(step["run"] for step in steps if step.get("name", "").startswith("Folders"))
    repository, results = tmp_path / "repository", tmp_path / "repository" / "leaderboard" / "results"

    def git(*words: str) -> str:
        command = ["git", "-C", str(repository), "-c", "user.name=a", "-c", "user.email=a@b", *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def write(*names: str) -> str:
        for name in names:
            (results / name).mkdir(parents=True, exist_ok=True)
            (results / name / "seed-0.json").write_text(f"{len(list(results.iterdir()))}")
        git("add", "-A")
        git("commit", "-qm", "results")
        return git("rev-parse", "HEAD")

    results.mkdir(parents=True)
    git("init", "-q")
    base = write("kept", "changed", "deleted")
    shutil.rmtree(results / "deleted")
    (results / "changed" / "seed-0.json").write_text("other")
    head = write("new (a+b) é")
    environment = {**os.environ, "BASE": base, "HEAD": head, "RUNNER_TEMP": str(tmp_path)}
    subprocess.run(["bash", "-eo", "pipefail", "-c", script], cwd=repository, env=environment, check=True)
    assert (tmp_path / "folders").read_text(encoding="utf-8").split("\0") == ["changed", "new (a+b) é", ""]
    assert [path.name for path in (tmp_path / "base" / "leaderboard" / "results").iterdir()] == ["kept"]
