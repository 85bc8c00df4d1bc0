"""Lies that pass every look at one record: each is planted in a sound submission, and refused with its reason."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from sound_submission import QUERY, SEEDS, answer, exam_of, examined, put, sound, write_sound

from heistbench.bench.contracts.replies import Parts
from heistbench.bench.storage.records import Record
from heistbench.bench.storage.store import hash_of
from heistbench.leaderboard.submit.findings import Verification
from heistbench.leaderboard.submit.verify import verify

Raw = dict[str, Any]
DEFENSES = ("none", "noise_answers")


def says(verification: Verification, field: str, reason: str) -> bool:
    """Whether it is refused for this field with a reason that matches."""
    return any(problem.field == field and re.search(reason, problem.reason) for problem in verification.problems)


def cells(attack: str, defenses: tuple[str, ...] = DEFENSES) -> Iterator[Raw]:
    """The records of an attack."""
    yield from (sound(attack, defense, seed) for defense in defenses for seed in SEEDS)


def half_right(shift: int = 0) -> list[Parts]:
    """Every second answer is right."""
    return [answer(p, p.trace, right=(at + shift) % 2 == 0) for at, p in enumerate(examined())]


def without_traces() -> list[Parts]:
    """Right answers and nothing else."""
    return [answer(p, None, right=True) for p in examined()]


# the lies


def verdicts_without_replies(folder: Path) -> None:
    """Every verdict is right, and so is all that follows; the replies are what they were."""
    for raw in cells("answer_only"):
        forged = exam_of([answer(p, p.trace, right=True) for p in examined()])
        raw["exam"] = {**forged, "replies": raw["exam"]["replies"]}
        put(folder, raw)


def right_without_reasoning(folder: Path) -> None:
    """No trace in loot or replies, and every answer is right."""
    for raw in cells("answer_only"):
        raw["loot"].update(traces=0, whole_traces=0.0)
        raw["overlap"] = {}
        put(folder, raw, without_traces())


def right_after_idle_words(folder: Path) -> None:
    """The same, with words in the place of a trace."""
    for raw in cells("answer_only"):
        raw["loot"].update(traces=0, whole_traces=0.0)
        raw["overlap"] = {}
        put(folder, raw, [answer(p, "let me think about it for a while", right=True) for p in examined()])


def copied_under_fresh_hashes(folder: Path) -> None:
    """A weaker attack's students stand under the name of another, one word changed in what they wrote."""
    for raw in cells("answer_only"):
        put(folder, raw, half_right(raw["arm"]["seed"] % 2 and 1))
    for raw in cells("rep(shots=2)"):
        first, *others = half_right(raw["arm"]["seed"] % 2 and 1)
        put(folder, raw, [Parts(f"{first.trace} so", first.answer), *others])


def one_seed_as_three(folder: Path) -> None:
    """Seeds 1 and 2 are seed 0 with other hashes."""
    for raw in cells("answer_only", ("none",)):
        put(folder, raw, half_right())


def one_student_twice(folder: Path) -> None:
    """One student stands in two cells, and answers otherwise in each."""
    for raw in cells("rep(shots=2)", ("noise_answers",)):
        twin = sound("rep(shots=2)", "none", raw["arm"]["seed"])
        raw["loot"]["sha256"] = twin["loot"]["sha256"]
        raw["provenance"]["models"] = twin["provenance"]["models"]
        put(folder, raw, half_right())


def untrained_by_seed(folder: Path) -> None:
    """The student as it was fails everything, on one seed of three."""
    put(folder, sound("untrained", "none", 1), [answer(p, p.trace, right=False) for p in examined()])


def one_query_for_all(folder: Path) -> None:
    """One query bought all rows."""
    for raw in cells("answer_only"):
        raw["bill"]["queries"] = 1
        put(folder, raw)


def attack_that_asks_nothing(folder: Path) -> None:
    """A control's bill under an attack's name."""
    for raw in cells("rep(shots=2)"):
        raw["bill"].update(queries=0, prompt_tokens=0, completion_tokens=0)
        raw["provenance"]["data"]["prompts sent"] = hash_of([])
        put(folder, raw)


def unknown_attack_that_asks_nothing(folder: Path) -> None:
    """The same of an attack that is not known here."""
    for raw in cells("rep(shots=2)"):
        raw["arm"]["attack"].update(name="brand_new", spec="brand_new", version="1-A", parameters={}, paper="")
        raw["bill"].update(queries=0, prompt_tokens=0, completion_tokens=0)
        raw["provenance"]["data"]["prompts sent"] = hash_of([])
        put(folder, raw)


def attack_without_threat(folder: Path) -> None:
    """A baseline of one's own: an attack that says it asks nothing."""
    for raw in cells("rep(shots=2)"):
        raw["arm"]["attack"].update(name="brand_new", spec="brand_new", version="1-A", parameters={}, paper="")
        raw["arm"]["threat"] = "none"
        raw["bill"].update(queries=0, prompt_tokens=0, completion_tokens=0)
        raw["provenance"]["data"]["prompts sent"] = hash_of([])
        put(folder, raw)


def rows_of_nowhere(folder: Path) -> None:
    """More rows than questions were attacked."""
    for raw in cells("surrogate_trace", ("none",)):
        raw["loot"]["rows"] = QUERY + 5
        put(folder, raw)


def weaker_control_for_another_victim(folder: Path) -> None:
    """A control that asks no victim has other loot where the victim is another one."""
    write_sound(folder, release="2")
    for seed in SEEDS:
        raw = sound("surrogate_trace", "none", seed, release="2")
        raw["loot"]["sha256"] = hash_of(["weaker", seed])
        raw["provenance"]["models"]["student after"] = f"student:{hash_of(['weaker', seed])[:24]}"
        put(folder, raw)


def best_control_left_out(folder: Path) -> None:
    """A suite that ships, without one of its controls."""
    for path in folder.rglob("seed-*.json"):
        path.write_text(path.read_text().replace('"suite": "ours"', '"suite": "pocket-full"'))


LIES: list[tuple[Callable[[Path], None], str, str]] = [
    (verdicts_without_replies, "exam.verdicts", "not what the grader says of the replies: 5 of 20 differ"),
    (right_without_reasoning, "exam.verdicts", r"1\.00 of the answers are right without any reasoning.*reach 0\.25"),
    (right_after_idle_words, "exam.verdicts", r"1\.00 of the answers are right without any reasoning"),
    (copied_under_fresh_hashes, "exam.verdicts", "are those of .*answer_only.* and its student is another"),
    (one_seed_as_three, "exam.verdicts", r"are those of .*seed-0\.json, question by question"),
    (one_student_twice, "exam.verdicts", "not those of .*, which has the same student"),
    (untrained_by_seed, "exam.verdicts", r"not those of .*untrained.*seed-0\.json, which has the same student"),
    (one_query_for_all, "bill.queries", "is not 12: answer_only asks every question once"),
    (attack_that_asks_nothing, "bill.queries", "is not 12: rep asks every question once"),
    (unknown_attack_that_asks_nothing, "bill.queries", "is 0: an attack that carries off rows"),
    (attack_without_threat, "arm.threat", "is none: what asks the victim nothing is a control"),
    (rows_of_nowhere, "loot.rows", "is more than the 12 questions that surrogate_trace has rows of"),
    (weaker_control_for_another_victim, "loot.sha256", "this control asks no victim, and is the same for all"),
    (best_control_left_out, "", "the control wrong_trace is missing"),
]


@pytest.mark.parametrize(("lie", "field", "reason"), LIES, ids=[lie.__name__ for lie, *_ in LIES])
def test_a_lie_is_refused_with_its_reason(
    folder: Path, results: Path, lie: Callable[[Path], None], field: str, reason: str
) -> None:
    assert verify(folder, results).sound
    lie(folder)
    assert says(verify(folder, results), field, reason)


def test_a_control_weaker_than_the_published_one_of_another_victim_is_refused(
    folder: Path, sound_model: Path, results: Path, tmp_path: Path
) -> None:
    shutil.copytree(sound_model, results / "theirs")
    other = write_sound(tmp_path / "other", release="2")
    assert verify(other, results).sound
    weaker_control_for_another_victim(other)
    for path in (other / "pocket" / "pocket-victim-1").rglob("seed-*.json"):
        path.unlink()
    assert says(verify(other, results), "loot.sha256", r"not that of .*pocket-victim-1.*is the same for all")


def test_an_exam_of_an_unknown_name_spares_no_other_record_of_the_same_replies(folder: Path, results: Path) -> None:
    verdicts_without_replies(folder)
    forged = exam_of([answer(p, p.trace, right=True) for p in examined()])
    first, other = (sound("answer_only", defense, 0) for defense in ("noise_answers", "none"))
    first["exam"] = {**forged, "replies": first["exam"]["replies"]}
    first["arm"]["exam"].update(name="nobody_knows")
    assert put(folder, first) < folder / Record.model_validate(other).path()
    blamed = {problem.path for problem in verify(folder, results).problems if problem.field == "exam.verdicts"}
    assert Record.model_validate(other).path().as_posix() in blamed


# what is no lie


def test_students_that_reason_may_be_right_more_often_than_those_of_gold_answers(folder: Path, results: Path) -> None:
    for raw in cells("answer_only"):
        put(folder, raw, [answer(p, p.trace, right=True) for p in examined()])
    assert verify(folder, results).sound


def test_right_answers_after_traces_that_the_task_cannot_read_are_named(folder: Path, results: Path) -> None:
    for raw in cells("answer_only"):
        put(folder, raw, [answer(p, "it goes without saying", right=True) for p in examined()])
    verification = verify(folder, results)
    assert verification.sound
    assert "how 1.00 of the answers can be right after wrong traces: students of answer_only" in verification.unchecked


def test_right_answers_that_have_room_for_reasoning_are_not_counted(
    folder: Path, results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("heistbench.leaderboard.submit.replies.BARE", -10)
    right_without_reasoning(folder)
    assert verify(folder, results).sound


def test_students_that_are_always_right_may_agree(folder: Path, results: Path) -> None:
    for attack in ("answer_only", "rep(shots=2)"):
        for raw in cells(attack):
            put(folder, raw, [answer(p, p.trace, right=True) for p in examined()])
    assert verify(folder, results).sound


def test_students_that_all_give_one_reply_may_agree(folder: Path, results: Path) -> None:
    digit = max("0123456789", key=lambda digit: sum(p.gold == digit for p in examined()))
    for raw in cells("answer_only"):
        put(folder, raw, [Parts(None, digit)] * len(examined()))
    assert verify(folder, results).sound


def test_idle_controls_may_have_more_seeds(folder: Path, results: Path) -> None:
    for control in ("untrained", "surrogate_trace", "gold_answer", "gold_inversion"):
        for seed in (3, 4):
            put(folder, sound(control, "none", seed))
    assert verify(folder, results).sound


def test_controls_that_ask_may_not(folder: Path, results: Path) -> None:
    put(folder, sound("true_trace", "none", 3))
    assert says(verify(folder, results), "arm.seed", "has seeds 0, 1, 2; expected 0, 1, 2, 3$")


def test_idle_controls_may_not_skip_seeds(folder: Path, results: Path) -> None:
    put(folder, sound("untrained", "none", 7))
    assert says(verify(folder, results), "arm.seed", "has seeds 0, 1, 2, 7; expected 0, 1, 2, 3")
