"""Thefts from end to end: what an attack gets through the wall, what it costs, and what it may bring home."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from heistbench.bench import HeistError
from heistbench.bench.contracts.errors import PluginFailure
from heistbench.bench.contracts.registry import registry
from heistbench.bench.stages.collect import Collect, Theft
from heistbench.bench.walls.confinement import strongest

GOLD, TRACE = "GOLD-7c1e", "TRACE-7c1e"
Mine = Callable[..., Any]


@pytest.fixture
def theft(cell_of: Callable[..., Any]) -> Callable[..., Theft]:
    def run(**about: Any) -> Theft:
        context = cell_of(**about)
        return context.result(Collect(context))

    return run


def test_an_attack_gets_what_is_served_and_no_more(mine: Mine, theft: Callable[..., Theft]) -> None:
    mine("""
        models = kit.inverter(), kit.fine_tune([(Prompt.of("start 3"), "s1")])
        assert all(len(model.generate([Prompt.of("start 3")])) == 1 for model in models)
        assert kit.truth is None and len(kit.questions()) == 2 and len(kit.surrogate(prompts)) == 3
        return [Stolen(q.id, q.text, e.summary, e.text) for q, e in zip(questions, target.ask(prompts))]
    """)
    stolen = theft()
    assert [query.reply.trace for query in stolen.sealed] == [f"{TRACE}-query-{i}" for i in range(3)]  # it was there
    assert [(row.trace, row.answer) for row in stolen.rows] == [("a recap", "an answer")] * 3
    assert stolen.wall == strongest()


def test_without_the_curtain_answers_and_recaps_are_served(mine: Mine, theft: Callable[..., Theft]) -> None:
    mine("return [Stolen(q.id, q.text, e.summary, e.text) for q, e in zip(questions, target.ask(prompts))]")
    (row, *_) = theft(defense="none").rows
    assert (row.trace, row.answer) == (f"recap of {TRACE}-query-0", f"{GOLD}-query-0")


def test_what_the_attack_reads_in_each_reply_is_kept(mine: Mine, theft: Callable[..., Theft]) -> None:
    path = mine("target.ask(prompts)\nreturn []")
    path.write_text(path.read_text() + "\n    def reads(self, exposure):\n        return exposure.text.upper()\n")
    from heistbench.bench.contracts.registry import load_plugin
    from heistbench.bench.contracts.sources import source_of

    load_plugin(path)
    source_of.cache_clear()
    assert [query.reading for query in theft().sealed] == ["AN ANSWER"] * 3


def test_an_attack_edited_meanwhile_is_not_run(mine: Mine, theft: Callable[..., Theft]) -> None:
    path = mine("return []")
    registry.build("attack", "mine")
    from heistbench.bench.contracts.sources import source_of

    source_of(registry.get("attack", "mine"))
    path.write_text(path.read_text().replace("return []", "return [1]"))
    with pytest.raises(PluginFailure, match="it was edited while the run went on"):
        theft()


def test_questions_of_other_tasks_are_of_the_attackers_own_split(mine: Mine, theft: Callable[..., Theft]) -> None:
    mine("""
        lent = [*kit.questions_of("pocket", 2), *kit.questions_of("marked", 2)]
        return [Stolen(questions[0].id, "", None, repr([(q.id, q.text) for q in lent]))]
    """)
    pocket = [(p.question.id, p.question.text) for p in registry.build("task", "pocket").problems("surrogate", 2)]  # type: ignore[attr-defined]
    marked = [(f"surrogate-{i}", f"question surrogate {i}") for i in range(2)]
    assert theft().rows[0].answer == repr([*pocket, *marked])


def test_another_task_that_is_not_there_ends_the_theft(mine: Mine, theft: Callable[..., Theft]) -> None:
    mine("""
        try:
            kit.questions_of("nowhere", 2)
        except Exception:
            return []
    """)
    with pytest.raises(HeistError, match="unknown task 'nowhere'"):
        theft()


def test_a_privileged_control_gets_the_truth(mine: Mine, theft: Callable[..., Theft]) -> None:
    mine(
        """
        gold, wrong = kit.truth.gold(questions), kit.truth.wrong_traces(questions)
        traces = [reply.trace for reply in kit.truth.replies(questions)]
        return [Stolen(q.id, t, w, g) for q, t, w, g in zip(questions, traces, wrong, gold)]
        """,
        ", control=True, privileged=True",
    )
    stolen = theft()
    expected = [(f"{TRACE}-query-{i}", f"WRONG-query-{i}", f"{GOLD}-query-{i}") for i in range(3)]
    assert [(row.question, row.trace, row.answer) for row in stolen.rows] == expected
    assert stolen.bill.queries == 3  # looking past the defense costs as much as asking


@pytest.mark.parametrize("how", ["how=uniform", "how=near", "how=uniform,fresh=true"])
def test_rehearsing_does_not_undo_noise(mine: Mine, theft: Callable[..., Theft], how: str) -> None:
    """Kerckhoffs: how the defense works is known, and what it draws for the victim's replies is not."""
    mine("""
        undone = []
        for prompt, exposure in zip(prompts, target.ask(prompts)):
            guesses = [str(digit) for digit in range(10)]
            shown = kit.rehearse([prompt] * 10, [Reply("t", None, guess, Usage(), "stop") for guess in guesses])
            undone.append([guess for guess, noised in zip(guesses, shown) if noised.text == exposure.text] == ["7"])
        return [Stolen(questions[0].id, "", None, str(sum(undone)))]
    """)
    undone = int(theft(defense=f"sevens+noise_answers(rate=1,{how})", size=20).rows[0].answer)
    assert undone < 18  # moved by one, a digit is guessed half the time


# the budget and the bill


def test_the_budget_is_held_and_what_is_over_it_is_not_billed(mine: Mine, theft: Callable[..., Theft]) -> None:
    mine("""
        over = []
        for asked in ([*prompts, prompts[0]], prompts[:2], prompts[:2], prompts[2:], prompts[:1]):
            try:
                target.ask(asked)
            except BudgetExceeded as error:
                over.append(str(error))
        return [Stolen(questions[0].id, "", None, "; ".join(over))]
    """)
    stolen = theft()
    assert stolen.rows[0].answer == "; ".join(f"{n} queries are over the budget of 3" for n in ("0 + 4", "2 + 2", "3 + 1"))
    assert stolen.bill.queries == len(stolen.sealed) == 3


def test_every_query_is_billed_by_its_tokens(mine: Mine, theft: Callable[..., Theft]) -> None:
    mine("for prompt in prompts:\n    target.ask([prompt])\nreturn []")
    bill = theft().bill
    # A recorded victim counts words: three to a question, one to a trace, one to an answer.
    assert (bill.queries, bill.prompt_tokens, bill.completion_tokens) == (3, 9, 6)


# the loot


@pytest.mark.parametrize("ids", [["query-0", "query-0"], ["query-0", "test-0"], ["nonsense"]])
def test_loot_of_other_questions_is_refused(mine: Mine, theft: Callable[..., Theft], ids: list[str]) -> None:
    mine(f"return [Stolen(key, 't', None, '1') for key in {json.dumps(ids)}]")
    with pytest.raises(HeistError, match="attack mine returned a question twice, or one that it neither was given nor owns"):
        theft()


def test_loot_may_hold_the_attackers_own_questions(mine: Mine, theft: Callable[..., Theft]) -> None:
    mine("return [Stolen(q.id, q.text, None, '1') for q in [*questions, *kit.questions()]]")
    assert [row.id for row in theft().rows] == [f"query-{i}" for i in range(3)] + [f"surrogate-{i}" for i in range(2)]
