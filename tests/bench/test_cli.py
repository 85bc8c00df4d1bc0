from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from cyclopts import App

from heistbench.bench.cli import app
from heistbench.bench.contracts.registry import registry

MAIN = "from heistbench.bench.cli import main; main()"
HEAVY = {
    "torch",
    "transformers",
    "trl",
    "peft",
    "lm_eval",
    "datasets",
    "scipy",
    "numpy",
    "sympy",
    "sacrebleu",
    "nltk",
    "accelerate",
    "vllm",
}


def verbs(of: App = app, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command of the command line, as the words that call it."""
    for name in of:
        if not name.startswith("-"):
            inner = of[name]
            yield (*path, name)
            yield from verbs(inner, (*path, name))


def one_line(err: str) -> str:
    """The single line of a user's mistake."""
    assert err.startswith("heist: error: "), err
    assert err.count("\n") == 1, err
    return err


# help


def test_the_commands_there_are() -> None:
    expected = {("run",), ("list",), ("overlap",), ("doctor",), ("leaderboard", "show"), ("pocket", "build")}
    assert expected <= set(verbs())


@pytest.mark.parametrize("words", [(), *verbs()], ids=" ".join)
def test_every_command_has_help(heist: Callable, words: tuple[str, ...]) -> None:
    ended = heist(*words, "--help")
    assert (ended.code, ended.err) == (0, "")
    usage, _, about = ended.out.strip().split("\n")[:3]
    assert usage.startswith(" ".join(["Usage: heist", *words]))
    assert re.match("[A-Z][a-z]+ ", about.strip())


def test_help_lists_every_command(heist: Callable) -> None:
    shown = heist("--help").out
    assert all(words[0] in shown for words in verbs())


def test_the_version_is_the_packages(heist: Callable) -> None:
    from importlib.metadata import version

    assert heist("--version").out.strip() == version("heistbench")


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["list"], ["list", "--json"], ["--version"]], ids=" ".join)
def test_light_commands_load_nothing_heavy(words: list[str]) -> None:
    report = "import atexit, sys; atexit.register(lambda: print('LOADED', *sys.modules, file=sys.stderr))"
    done = subprocess.run([sys.executable, "-c", f"{report}; {MAIN}", *words], capture_output=True, text=True, check=True)
    loaded = set(done.stderr.partition("LOADED")[2].split())
    assert "heistbench.bench.cli" in loaded
    assert not HEAVY & loaded


# heist list


def test_the_list_names_every_plugin_with_what_it_is(heist: Callable) -> None:
    rows = json.loads(heist("list", "--json").out)
    names = {(row["kind"] if row["kind"] != "control" else "attack", row["name"]) for row in rows}
    assert names == {(kind, name) for kind in ("attack", "defense", "task") for name in registry.all(kind)}
    for row in rows:
        assert row["about"]
        assert Path(row["origin"].rsplit(":", 1)[0]).is_file()
    rep = next(row for row in rows if row["name"] == "rep")
    assert (rep["paper"], rep["kind"], rep["threat"]) == ("arXiv:2606.00642", "attack", "black-box")
    assert {p["name"]: p["default"] for p in rep["parameters"]} == {"wrapper": "bash", "shots": 3, "source": "", "keep": "all"}
    assert next(row for row in rows if row["name"] == "true_trace")["privileged"]
    assert next(row for row in rows if row["name"] == "noise_answers")["random"]


def test_the_list_is_readable(heist: Callable) -> None:
    shown = heist("list").out
    for name in (*registry.all("attack"), *registry.all("defense"), *registry.all("task")):
        assert f"{name} " in shown
    assert "shots: int = 3" in shown
    assert "control " in shown


@pytest.mark.usefixtures("own_plugins")
def test_the_list_shows_plugins_of_a_file(heist: Callable, tmp_path: Path) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from heistbench.bench import Attack, attack\n"
        '@attack("mine_alone", version="3-C")\n'
        "class Mine(Attack):\n"
        '    """Does [bold]nothing[/]."""\n'
        "    size: int | None = None\n"
        "    def steal(self, target, questions, kit):\n        return []\n"
    )
    shown = heist("list", "--plugin", plugin).out
    assert "mine_alone 3-C" in shown
    assert "Does [bold]nothing[/]." in shown
    assert "size: int | None = null" in shown


@pytest.mark.usefixtures("own_plugins")
@pytest.mark.parametrize("field", ["size: int", "size: tuple[int, ...] = field(default_factory=tuple)"])
@pytest.mark.parametrize("how", [[], ["--json"]])
def test_the_list_shows_parameters_without_a_default(heist: Callable, tmp_path: Path, field: str, how: list[str]) -> None:
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "from dataclasses import field\n"
        "from heistbench.bench import Attack, attack\n"
        '@attack("mine_alone", version="1-A")\n'
        f"class Mine(Attack):\n    {field}\n"
        "    def steal(self, target, questions, kit):\n        return []\n"
    )
    shown = heist("list", "--plugin", plugin, *how).out
    assert "size" in shown[shown.index("mine_alone") :]


# mistakes


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seeds", "abc"], "--seeds 'abc': expected whole numbers"),
        (["--seeds", "0,,1"], "--seeds '0,,1'"),
        (["--seeds", "0.5"], "--seeds '0.5'"),
        (["--jobs", "-1"], "--jobs -1: expected 1 to 1,024"),
        (["--jobs", "0"], "--jobs 0: expected 1 to 1,024"),
        (["--jobs", "many"], "jobs"),
        (["--seeds=-1"], "seeds.0: Input should be greater than or equal to 0"),
        (["--seeds", "4294967296"], "seeds.0: Input should be less than"),
        (["--attack", "rep", "--attack", "rep(shots=3)"], "names attack rep twice"),
        (["--attack", "trace_inversoin"], "did you mean 'trace_inversion'?"),
        (["--attack", "rep(shot=1)"], "did you mean 'shots'?"),
        (["--attack", "surrogate_trace(temperature=0.5)"], "belongs under controls"),
        (["--defense", "redact"], "unknown defense 'redact'"),
        (["--defense", "none+noise_answers(rate=3)"], "rate=3.0 is not between 0 and 1"),
        (["--task", "poket"], "did you mean 'pocket'?"),
        (["--victim", "pocket/victim-9"], "did you mean 'pocket/victim-"),
        (["--data", "/no/such/folder"], "--data /no/such/folder: no such folder"),
        (["--plugin", "/no/such/plugin.py"], "--plugin /no/such/plugin.py: no such Python file"),
        (["--atack", "rep"], "--atack"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing(
    heist: Callable, suite_file: Callable, tmp_path: Path, words: list[str], message: str
) -> None:
    ended = heist("run", suite_file(), *words, "--out", tmp_path / "fresh")
    assert ended.code == 2
    assert message in one_line(ended.err)
    assert ended.out == ""
    assert not (tmp_path / "fresh").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["run", "poket"], "no suite 'poket'; did you mean 'pocket'?"),
        (["runn"], "run"),
        (["leaderboard", "show", "/no/such/folder"], "no result files"),
        (["pocket", "build", "victim-9"], "unknown pocket model 'victim-9'; did you mean 'victim-"),
        (["overlap"], "pairs"),
    ],
)
def test_other_mistakes_are_one_line(
    heist: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ended = heist(*words)
    assert ended.code == 2
    assert message.lower() in one_line(ended.err).lower()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("place", ["file", "file/inside"])
def test_a_file_in_the_way_of_out_is_named(heist: Callable, suite_file: Callable, tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("mine")
    ended = heist("run", suite_file(), "--out", tmp_path / place)
    assert ended.code == 2
    assert f"--out {tmp_path / place}: cannot write there" in one_line(ended.err)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_dry_run_leaves_nothing(heist: Callable, suite_file: Callable, tmp_path: Path) -> None:
    ended = heist("run", suite_file(), "--dry-run", "--out", tmp_path / "fresh")
    assert ended.code == 0
    assert "20 to compute" in ended.out
    assert not (tmp_path / "fresh").exists()


def test_being_stopped_by_hand_says_how_to_continue(
    heist: Callable, suite_file: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*args: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("heistbench.bench.verbs.run.run", stop)
    ended = heist("run", suite_file(), "--out", tmp_path / "out")
    assert (ended.code, ended.err) == (130, "heist: stopped; the same command continues from here\n")


# options of a run


def planned(heist: Callable, suite: Path, tmp_path: Path, *words: object) -> list[str]:
    """The cells of a dry run."""
    ended = heist("run", suite, *words, "--dry-run", "--out", tmp_path / "out")
    assert ended.code == 0, ended.err
    return [line.removesuffix("  (to compute)") for line in ended.out.splitlines() if line.endswith("(to compute)")]


def test_options_replace_what_the_suite_says_and_controls_stay(heist: Callable, suite_file: Callable, tmp_path: Path) -> None:
    options = ["--attack", "rep(shots=1)", "--attack", "untrained", "--defense", "none+noise_answers", "--seeds", "3,1,3"]
    found = planned(heist, suite_file(), tmp_path, *options, "--victim", "pocket/victim-2")
    assert len(found) == 2 * (5 + 1)
    assert "pocket  pocket-victim-2  none+noise_answers  rep(shots=1)  seed 1" in found
    assert {line.split("seed ")[1] for line in found} == {"1", "3"}
    assert sum("untrained" in line for line in found) == 2


def test_several_victims_are_several_columns(heist: Callable, suite_file: Callable, tmp_path: Path) -> None:
    options = ["--victim", "pocket/victim-1", "--victim", "pocket/victim-2", "--attack", "rep", "--defense", "none"]
    assert len(planned(heist, suite_file(), tmp_path, *options)) == 2 * (5 + 1)


# heist doctor


def test_the_doctor_reports(heist: Callable) -> None:
    ended = heist("doctor", "--json")
    checks = {check["name"]: check for check in json.loads(ended.out)}
    assert ended.code == 0
    assert all(check["ok"] for check in checks.values())
    assert {
        "python",
        "torch",
        "engine transformers",
        "accelerator",
        "model pocket/victim-1",
        "model pocket/base",
    } <= checks.keys()
    shown = heist("doctor").out
    assert "files match their card" in shown


def test_the_doctor_finds_a_damaged_model_and_says_what_mends_it(
    heist: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from heistbench.bench.storage.shipped_models import SHIPPED
    from heistbench.bench.verbs import doctor

    shutil.copytree(SHIPPED / "pocket" / "base", tmp_path / "pocket" / "base")
    (tmp_path / "pocket" / "base" / "config.json").write_text("{}")
    for module in ("heistbench.bench.storage.shipped_models", doctor.__name__):
        monkeypatch.setattr(f"{module}.SHIPPED", tmp_path)
    ended = heist("doctor", "--json")
    (bad,) = [check for check in json.loads(ended.out) if not check["ok"]]
    assert ended.code == 1
    assert bad["name"] == "model pocket/base"
    assert bad["fix"] == "heist pocket build base"


def test_the_doctor_names_what_is_not_installed(heist: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("heistbench.bench.verbs.doctor.PACKAGES", ("torch", "no_such_package"))
    ended = heist("doctor", "--json")
    (bad,) = [check for check in json.loads(ended.out) if not check["ok"]]
    assert ended.code == 1
    assert (bad["name"], bad["fix"]) == ("no_such_package", "pip install no-such-package")


# heist leaderboard show


def test_the_board_of_a_run_is_shown_again(tiny_run, heist: Callable) -> None:
    ended = heist("leaderboard", "show", tiny_run.out / "tiny" / "results")
    assert (ended.code, ended.err) == (0, "")
    for name in (
        "answer_only",
        "trace_inversion",
        "true_trace",
        "honest user",
        "Overlap of stolen traces",
        "Bill",
        "pocket-victim-1",
    ):
        assert name in ended.out


def test_the_board_as_json_is_the_boards_file(tiny_run, heist: Callable) -> None:
    ended = heist("leaderboard", "show", tiny_run.out / "tiny" / "results", "--json")
    assert [json.loads(ended.out)] == [*json.loads((tiny_run.out / "tiny" / "site" / "board.json").read_text()).values()]


def test_a_damaged_result_file_is_named(tiny_copy, heist: Callable) -> None:
    path = next((tiny_copy.out / "tiny" / "results").rglob("seed-0.json"))
    path.write_text(path.read_text().replace('"accuracy"', '"accuraci"', 1))
    ended = heist("leaderboard", "show", tiny_copy.out / "tiny" / "results")
    assert ended.code == 2
    assert str(path) in one_line(ended.err)
    assert "accurac" in ended.err
