"""Drawing from models of the attacker's own: how often, and always the same where nothing differs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from direct import ends

from heistbench.bench import BudgetExceeded, HeistError, Kit, Prompt
from heistbench.bench.stages.desk import HarnessDesk
from heistbench.bench.stages.pipeline import StoredCell
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite

PROMPTS = [Prompt.of("start 3 ; s1 star 4 ; s2 star 7"), Prompt.of("start 5 ; s1 star 8 ; s2 star 2")]


@pytest.fixture
def kit_of(suite_file: Callable[..., Path], tmp_path: Path) -> Callable[..., Kit]:
    def kit(seed: int = 0, **changes: object) -> Kit:
        context = StoredCell(cells(load_suite(str(suite_file(seeds=[seed], **changes))))[0], Store(tmp_path / "store"))
        return ends(HarnessDesk(context, [], 10))[1]

    return kit


def test_samples_differ_and_are_the_same_the_next_time(kit_of: Callable[..., Kit]) -> None:
    first, second = kit_of().surrogate(PROMPTS, 5.0, samples=6)
    assert len(first) == len(second) == 6
    assert len({reply.trace for reply in first}) > 1
    assert kit_of().surrogate(PROMPTS, 5.0, samples=6) == [first, second]
    assert kit_of(seed=1).surrogate(PROMPTS, 5.0, samples=6) != [first, second]


def test_to_ask_twice_is_to_draw_twice(kit_of: Callable[..., Kit]) -> None:
    together, kit = kit_of().surrogate(PROMPTS, 1.5, samples=4), kit_of()
    one_by_one = [kit.surrogate(PROMPTS, 1.5) for _ in range(4)]
    assert [list(replies) for replies in zip(*one_by_one, strict=True)] == together
    assert kit_of().surrogate([PROMPTS[0]] * 4, 1.5) == together[0]


def test_greedy_samples_are_all_the_same(kit_of: Callable[..., Kit]) -> None:
    kit = kit_of()
    for replies in kit.surrogate(PROMPTS, 0.0, samples=3):
        assert len({reply.trace for reply in replies}) == 1
    assert kit.surrogate(PROMPTS, 0.0) == [replies[0] for replies in kit_of().surrogate(PROMPTS, 0.0, samples=1)]


def test_a_model_of_the_attackers_own_can_be_sampled(kit_of: Callable[..., Kit]) -> None:
    kit = kit_of()
    model = kit.inverter()
    (texts,) = model.generate(PROMPTS[:1], 5.0, samples=6)
    assert len(set(texts)) > 1
    assert kit_of().inverter().generate(PROMPTS[:1] * 6, 5.0) == texts
    assert model.generate(PROMPTS[:1], 5.0) != [texts[0]]  # asked before
    assert model.generate(PROMPTS[:1]) == model.generate(PROMPTS[:1])  # greedy, as the suite says


def test_all_samples_are_billed(kit_of: Callable[..., Kit], suite_file: Callable[..., Path], tmp_path: Path) -> None:
    context = StoredCell(cells(load_suite(str(suite_file())))[0], Store(tmp_path / "store"))
    desk = HarnessDesk(context, [], 10)
    replies = desk.surrogate(PROMPTS * 3, 1.5, False)
    assert desk.bill.attacker_tokens_generated == sum(reply.usage.completion for reply in replies)


def test_what_is_recorded_has_one_reply(kit_of: Callable[..., Kit]) -> None:
    kit = kit_of(surrogate={"model": "recorded"})
    (question, *_) = kit.questions()
    assert len(kit.surrogate([Prompt.of(question.text)])) == 1
    with pytest.raises(HeistError, match="has one reply to each question; untrained asks for more"):
        kit.surrogate([Prompt.of(question.text)], 1.0, samples=2)


@pytest.mark.parametrize("samples", [0, -1, 1.5, True, "3"])
def test_samples_are_counted(kit_of: Callable[..., Kit], samples: object) -> None:
    with pytest.raises(TypeError, match=r"surrogate\(\) takes samples of 1 or more, not"):
        kit_of().surrogate(PROMPTS, samples=samples)
    with pytest.raises(TypeError, match=r"generate\(\) takes a temperature of 0 or more, or None, not -1"):
        kit_of().inverter().generate(PROMPTS, -1)


def test_queries_are_counted_and_not_questions(suite_file: Callable[..., Path], tmp_path: Path) -> None:
    context = StoredCell(cells(load_suite(str(suite_file(attacks=["answer_only"]))))[0], Store(tmp_path / "store"))
    desk = HarnessDesk(context, [], 6)
    target, _ = ends(desk)
    for _ in range(3):
        assert len(target.ask(PROMPTS)) == 2  # a budget of six may go three times to two questions
    assert desk.bill.queries == 6
    with pytest.raises(BudgetExceeded, match=r"6 \+ 1 queries are over the budget of 6"):
        target.ask(PROMPTS[:1])
    assert desk.bill.queries == 6
