"""One failure costs one cell: all others are run, what is there is shown, what is not is named, and tried again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from heistbench.bench.storage.failures import read_failures

PLUGIN = '''
import ctypes, os, sys, time
from pathlib import Path
from heistbench.bench import Attack, Defense, Prompt, Stolen, attack, defense

BROKEN = Path({flag!r})


def fail(how):
    if how == "raises":
        raise ValueError("\\x1b[31m<b>odd</b>")
    if how == "exits":
        sys.exit(0)
    if how == "dies":
        os._exit(0)
    if how == "killed":
        os.kill(os.getpid(), 9)
    if how == "eats":
        bytearray(2**44)


@attack("bad_attack", version="1-A", asks="questions")
class BadAttack(Attack):
    """Breaks in its own process, which sees no flag: a parameter says whether to."""

    how: str = ""

    def steal(self, target, questions, kit):
        fail(self.how)
        return [Stolen(q.id, q.text, None, e.text) for q, e in zip(questions, target.ask([Prompt.of(q.text) for q in questions]))]


@defense("bad_defense", version="1-A", touches=("answer",))
class BadDefense(Defense):
    """Breaks in the harness's process, as long as the flag is there."""

    how: str = ""

    def release(self, prompt, reply, rng):
        if BROKEN.exists():
            fail(self.how)
        return reply.exposed()
'''
WAYS = ("raises", "exits", "dies", "killed", "eats")
SMALL = {"sizes": {"query": 4, "surrogate": 8, "test": 4}, "inverter": None, "surrogate": None, "signatures": ["words"]}


def test_cells_that_fail_fail_alone_and_are_tried_again(tmp_path: Path, suite_file: Callable, heist_process: Callable) -> None:
    flag, plugin, out = tmp_path / "broken", tmp_path / "plugin.py", tmp_path / "out"
    flag.touch()
    plugin.write_text(PLUGIN.format(flag=str(flag)))
    defenses = ["none", *(f"bad_defense(how={way})" for way in WAYS)]
    suite = suite_file(**SMALL, attacks=["answer_only"], controls=["untrained"], defenses=defenses)
    command = ("run", suite, "--plugin", plugin, "--out", out, "--jobs", 2)

    first = heist_process(*command)
    assert first.code == 3, first.err
    assert "5 of 7 cells have no result: 5 failed; the same command tries them again" in first.out
    assert first.err.count("done: ") == 2
    assert first.err.count("failed: ") == 5
    assert "\x1b" not in first.out + first.err

    reasons = {failure.arm.defense: failure.reason for failure in read_failures(out / "tiny")}
    assert set(reasons) == set(defenses[1:])
    for way, reason in {
        "raises": "ValueError: \\x1b[31m<b>odd</b>",
        "exits": "it called sys.exit(0)",
        "dies": "its worker process ended with exit status 0",
        "killed": "its worker process was killed by SIGKILL (out of memory, or by hand)",
        "eats": "MemoryError",
    }.items():
        assert reasons[f"bad_defense(how={way})"].endswith(reason)
    (raised,) = (f for f in read_failures(out / "tiny") if f.arm.defense == "bad_defense(how=raises)")
    assert "Traceback" in raised.details
    assert "ValueError" in Path(raised.log).read_text()

    for page in ("index.html", next((out / "tiny" / "site").glob("pocket,*/index.html")).relative_to(out / "tiny" / "site")):
        text = (out / "tiny" / "site" / page).read_text()
        assert "Failed cells" in text
        assert "killed by SIGKILL" in text
        assert "<b>odd" not in text
        assert "bad_defense" in text

    flag.unlink()
    second = heist_process(*command)
    assert second.code == 0, second.err
    assert second.err.count("done: ") == 5
    assert not (out / "tiny" / "failures.json").exists()
    assert "Failed cells" not in (out / "tiny" / "site" / "index.html").read_text()


def test_attacks_that_fail_leave_the_rest_alone(tmp_path: Path, suite_file: Callable, heist: Callable, own_plugins: None) -> None:
    plugin, out = tmp_path / "plugin.py", tmp_path / "out"
    plugin.write_text(PLUGIN.format(flag=str(tmp_path / "never")))
    attacks = ["answer_only", *(f"bad_attack(how={way})" for way in WAYS)]
    suite = suite_file(**SMALL, attacks=attacks, controls=["untrained"], defenses=["none"])
    ended = heist("run", suite, "--plugin", plugin, "--out", out, "--executor", "here")
    assert ended.code == 3, ended.err
    assert ended.err.count("done: ") == 2
    failures = {failure.arm.attack.spec: failure for failure in read_failures(out / "tiny")}
    assert set(failures) == set(attacks[1:])
    assert {failure.step for failure in failures.values()} == {"collect"}
    assert "killed by SIGKILL" in failures["bad_attack(how=killed)"].reason


def test_nothing_computed_is_no_board_and_no_crash(
    tmp_path: Path, suite_file: Callable, heist: Callable, own_plugins: None
) -> None:
    plugin, out = tmp_path / "plugin.py", tmp_path / "out"
    plugin.write_text(PLUGIN.format(flag=str(tmp_path / "never")))
    suite = suite_file(**SMALL, attacks=["bad_attack(how=raises)"], controls=[], defenses=["none"])
    ended = heist("run", suite, "--plugin", plugin, "--out", out, "--executor", "here")
    assert ended.code == 3
    assert "1 of 1 cells have no result: 1 failed" in ended.out
    assert len(json.loads((out / "tiny" / "failures.json").read_text())) == 1


@pytest.mark.parametrize("lost", [0, 3, 7])
def test_a_board_lacks_what_failed_whatever_it_is(tiny_copy, heist: Callable, lost: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take any cell out of a finished matrix, control or attack, and make it fail: the rest stands."""
    import shutil

    from heistbench.bench.runs import here
    from heistbench.bench.runs.worker import Failed
    from heistbench.bench.stages.record import cell_spec
    from heistbench.bench.storage.store import Store
    from heistbench.bench.suites.cells import cells
    from heistbench.bench.suites.files import load_suite

    cell = cells(load_suite(str(tiny_copy.suite)))[lost]
    shutil.rmtree(Store(tiny_copy.out / "store").path("record", cell_spec(cell)))
    shutil.rmtree(tiny_copy.out / "tiny")
    monkeypatch.setattr(here, "run_job", lambda *_: Failed("out of luck"))
    ended = heist("run", tiny_copy.suite, "--out", tiny_copy.out, "--executor", "here")
    assert ended.code == 3, ended.err
    assert "1 of 20 cells have no result" in ended.out
    assert "out of luck" in ended.out
    assert "out of luck" in (tiny_copy.out / "tiny" / "site" / "index.html").read_text()
