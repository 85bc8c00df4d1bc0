from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from safetensors import safe_open

from heistbench.bench import Prompt, read_shown
from heistbench.bench.contracts.errors import HeistError
from heistbench.bench.contracts.registry import load_plugin
from heistbench.bench.prompting.demonstrations import WRAPPERS, Demonstration, Wrapper, demonstration_prompt
from heistbench.bench.prompting.requests import tool_prompt
from heistbench.bench.runs.costs import PEAK, REMOTE_TRACE, TYPICAL, WRITING, gpu_hours, lengths, parameters
from heistbench.bench.runs.dry import DryCell, Sheet, _add, _defenses, work_of
from heistbench.bench.runs.estimate import SECONDS_PER_CELL, bills, duration, foresee, outline, outline_table
from heistbench.bench.runs.made_up import ANSWER, FEW, QUESTION, SUMMARY, TRACE, made_up, stands_for, tokens
from heistbench.bench.stages.budget import Budget
from heistbench.bench.stages.stage import WORK, Lengths, Work
from heistbench.bench.storage.ledger import Ledger, ledgers
from heistbench.bench.storage.shipped_models import SHIPPED
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import Cell, cells
from heistbench.bench.suites.files import SUITES, changed, load_suite
from heistbench.bench.suites.settings import Suite

PRICED = {"prices": {"input": 1.0, "output": 10.0}, "effort": "low"}
REMOTE = {"model": "inspect:openai/some-model", "decoding": {"max_new_tokens": 30_000}, "api": PRICED}


@pytest.fixture
def suite(suite_file: Callable) -> Callable[..., Suite]:
    """The tiny suite, undefended and of one attack unless told otherwise, with numbers that are easy to add up."""

    def make(**changes: Any) -> Suite:
        sizes = {"query": 200, "surrogate": 400, "test": 30}
        plain = {"sizes": sizes, "attacks": ["answer_only"], "controls": ["untrained"], "defenses": ["none"]}
        return load_suite(str(suite_file(**{**plain, **changes})))

    return make


@pytest.fixture
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No data, and a network that says who uses it."""

    def used(*args: object, **kwargs: object) -> None:
        raise AssertionError("an outline must not download anything")

    monkeypatch.setenv("HEIST_DATA", str(tmp_path))
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("heistbench.bench.storage.data_files.urlopen", used)
    lengths.cache_clear()
    yield
    lengths.cache_clear()


def work(outlined: list[Work], name: str, model: str = "") -> Work:
    """The one piece of work of a name, and of a model if there are several."""
    (one,) = [each for each in outlined if each.name == name and model in each.model]
    return one


def most(suite: Suite) -> dict[str, int]:
    """The most queries that each victim of a suite is sent, by its label."""
    by_label: dict[str, list[Cell]] = {}
    for cell in cells(suite):
        by_label.setdefault(cell.victim.label, []).append(cell)
    return {label: work_of(of_victim).most_queries for label, of_victim in by_label.items()}


def shown(suite: Suite, width: int = 200) -> str:
    """The table as a terminal shows it."""
    console = Console(width=width, file=StringIO())
    console.print(outline_table(suite.name, outline(suite)))
    return str(console.file.getvalue())  # type: ignore[attr-defined]


# what is shared is counted once


def test_victims_are_asked_plain_questions_once_for_all(suite: Callable[..., Suite]) -> None:
    one = suite()
    # The attacked questions, the same again for the ceiling of overlap, an honest user's.
    assert most(one) == {"pocket-victim-1": 200 + 200 + 30}
    assert work(outline(one), "victim replies").queries == 430
    for more in (
        {"attacks": ["answer_only", "summary_answer", "trace_inversion"]},
        {"defenses": ["none", "noise_answers", "redact_summary"]},
        {"seeds": [0, 1, 2]},
        {"controls": ["untrained", "true_trace", "surrogate_trace", "shuffled_inversion"]},
        {"students": [{"model": "pocket/base"}, {"model": "pocket/surrogate"}]},
        {"budgets": [0, 100, 200]},
    ):
        assert most(suite(**more)) == {"pocket-victim-1": 430}
        assert work(outline(suite(**more)), "victim replies").queries == 430


def test_prompts_of_an_attacks_own_are_asked_anew(suite: Callable[..., Suite]) -> None:
    asked = {
        430 + 200: {"attacks": ["rep"]},
        430 + 400: {"attacks": ["rep", "rep(shots=2)"]},
        430 + 600: {"attacks": ["rep"], "seeds": [0, 1, 2]},
        430 + 200 + 200 + 30: {"attacks": ["rep"], "defenses": ["none", "boundary_prompt"]},  # asks honest users' questions anew
    }
    for expected, changes in asked.items():
        found = suite(**changes)
        assert most(found) == {"pocket-victim-1": expected}
        assert work(outline(found), "victim replies").queries == expected
    same = suite(attacks=["rep", "rep(keep=valid)", "rep(keep=clean)"])
    assert work(outline(same), "victim replies").queries == 430 + 200
    assert most(same) == {"pocket-victim-1": 430 + 600}, "a bound: the attacks might ask for other things"


def test_victims_whose_traces_nobody_sees_are_asked_nothing_for_overlap(suite: Callable[..., Suite]) -> None:
    found = suite(victims=[REMOTE])
    assert most(found) == {"inspect:openai/some-model": 230}
    assert work(outline(found), "victim replies").queries == 230
    victims = [REMOTE, {"model": "pocket/victim-1"}]
    assert most(suite(victims=victims)) == {"inspect:openai/some-model": 230, "pocket-victim-1": 430}


@pytest.mark.parametrize(
    ("changes", "inverters", "students"),
    [
        ({"attacks": ["answer_only"]}, 0, 1),
        ({"attacks": ["trace_inversion"]}, 1, 1),
        ({"attacks": ["trace_inversion", "trace_inversion(use_summary=false)"]}, 2, 2),
        ({"attacks": ["trace_inversion"], "seeds": [0, 1, 2]}, 3, 3),
        ({"attacks": ["trace_inversion", "trace_inversion(adaptive=true)"]}, 1, 1),
        ({"attacks": ["trace_inversion(adaptive=true)"], "defenses": ["none", "redact_summary"]}, 2, 2),
        ({"attacks": ["trace_inversion"], "defenses": ["none", "redact_summary(level=all)"]}, 2, 2),
        ({"attacks": ["answer_only"], "defenses": ["none", "redact_summary(level=all)"]}, 0, 1),
        ({"attacks": ["trace_inversion"], "controls": ["untrained", "gold_inversion", "shuffled_inversion"]}, 2, 3),
        ({"attacks": ["trace_inversion"], "students": [{"model": "pocket/base"}, {"model": "pocket/surrogate"}]}, 1, 2),
        ({"attacks": ["answer_only"], "exams": ["pocket", "jeebench"]}, 0, 1),
    ],
)
def test_equal_rows_are_trained_on_once(
    suite: Callable[..., Suite], changes: dict[str, Any], inverters: int, students: int
) -> None:
    found = outline(suite(**changes))
    rows = {name: sum(s.rows for s in found if s.name == name) for name in WORK}
    assert (rows["inverter training"], rows["student training"]) == (400 * inverters, 200 * students)
    exams = students + len(changes.get("students", [1]))  # the untrained too
    assert rows["examination"] == 30 * exams * len(changes.get("exams", [1]))


def test_budgets_scale_the_loot_and_not_the_inverter(suite: Callable[..., Suite]) -> None:
    found = outline(suite(attacks=["trace_inversion(augment=true)"], budgets=[0, 100, 200]))
    assert work(found, "inverter training").rows == 400
    assert work(found, "inversion").rows == 100 + 200
    assert work(found, "student training").rows == 400 + (100 + 400) + (200 + 400)


@given(st.integers(1, 3000), st.integers(1, 3000), st.lists(st.integers(0, 3000), max_size=3))
def test_made_up_splits_are_parts_of_the_real_ones(query: int, own: int, budgets: list[int]) -> None:
    budgets = sorted({min(budget, query) for budget in budgets})
    sizes = {"query": query, "surrogate": own, "test": 7}
    cell = cells(changed(load_suite("pocket"), {"sizes": sizes, "budgets": budgets}))[0]
    n = stands_for(cell)
    assert all(size % n == 0 for size in (query, own, *budgets))
    assert n == 1 or all(size // n >= FEW for size in (query, own, *budgets) if size)


def test_the_outline_of_a_suite_is_what_its_run_did(tiny_run: Any) -> None:
    found, store = outline(load_suite(str(tiny_run.suite))), Store(tiny_run.out / "store")
    asked = sum(Ledger(store, json.loads((folder / "spec.json").read_text())).spent()[0] for folder in ledgers(store))
    assert work(found, "victim replies").queries == asked
    made = {kind: [json.loads(p.read_text()) for p in store.root.glob(f"{kind}/*/tuned.json")] for kind in ("inverter", "train")}
    assert work(found, "inverter training").rows == 40 * len(made["inverter"])
    rows = work(found, "student training").rows
    assert rows / 1.5 < sum(tuned["rows"] for tuned in made["train"]) <= rows  # equal loot by different ways is trained on once
    tokens = sum(tuned["tokens"] for tuned in made["train"])
    assert tokens / 2 < work(found, "student training").trained < 2 * tokens


# what stands for more of its kind


def one_by_one(of: list[Cell]) -> Sheet:
    """The work of cells that all stand for themselves."""
    sheet = Sheet()
    with sheet.thieves:
        for cell in of:
            _add(cell, sheet)
    return sheet


def assert_same(one: Sheet, other: Sheet) -> None:
    """The same pieces, rows and queries; tokens but for the lengths of names."""
    assert (one.queries, one.most_queries) == (other.queries, other.most_queries)
    for work, same in zip(one.work(), other.work(), strict=True):
        counted = [(w.name, w.model, w.settings, w.rows, w.queries) for w in (work, same)]
        assert counted[0] == counted[1]
        assert work.tokens == pytest.approx(same.tokens, rel=1e-3)
        assert work.dollars == pytest.approx(same.dollars, rel=1e-3)


VARIED = ["answer_only", "trace_inversion(adaptive=true)", "rep(shots=2)"]


@pytest.mark.parametrize("victim", [{"model": "pocket/victim-1"}, REMOTE], ids=["local", "remote"])
def test_further_seeds_are_as_the_second(suite: Callable[..., Suite], victim: dict[str, Any]) -> None:
    made = suite(victims=[victim], attacks=VARIED, defenses=["none", "noise_answers"], seeds=[0, 1, 2, 7])
    assert_same(work_of(cells(made)), one_by_one(cells(made)))


@pytest.mark.parametrize("attack", ["rep_inversion", "rep(shots=2,keep=clean)"])
def test_loot_that_hangs_on_luck_is_nearly_that_of_the_second_seed(suite: Callable[..., Suite], attack: str) -> None:
    made = suite(attacks=[attack], defenses=["none", "noise_answers"], seeds=[*range(4)])
    some, every = work_of(cells(made)), one_by_one(cells(made))
    assert some.most_queries == every.most_queries
    rows = [work(sheet.work(), "student training").rows for sheet in (some, every)]
    assert rows[0] == pytest.approx(rows[1], rel=0.03)


def test_seeds_that_lack_different_cells_are_not_alike(suite: Callable[..., Suite]) -> None:
    every = cells(suite(attacks=["answer_only", "trace_inversion"], seeds=[*range(6)]))
    some = [cell for cell in every if cell.attack != "trace_inversion" or cell.seed > 2]
    assert_same(work_of(some), one_by_one(some))


@given(st.integers(1, 30), st.integers(1, 12))
def test_defenses_stand_for_all_of_them(n: int, step: int) -> None:
    class Behind:
        def __init__(self, defense: str) -> None:
            self.defense = defense

    standing = _defenses([Behind(f"wall{at % n}") for at in range(2 * n)], step)  # type: ignore[misc]
    assert sum(standing.values()) == n
    assert standing["wall0"] == 1
    assert max(standing.values()) <= step
    assert len(standing) == 1 + -(-(n - 1) // step)


def test_an_estimate_of_many_cells_looks_at_some_of_them(suite: Callable[..., Suite], monkeypatch: pytest.MonkeyPatch) -> None:
    walls = ["none", *(f"noise_answers(rate=0.{at})" for at in range(1, 9))]
    every = cells(suite(attacks=["answer_only", "summary_answer"], defenses=walls, seeds=[0, 1, 2]))
    looked_at = list[Cell]()
    monkeypatch.setattr("heistbench.bench.runs.dry._add", lambda cell, sheet: looked_at.append(cell) or _add(cell, sheet))
    exact, few = work_of(every), work_of(every, 20)
    assert len(looked_at) == 2 * 19 + 2 * 7
    assert_same(few, exact)
    assert_same(work_of(every, 38), exact)
    assert len(looked_at) == 2 * 19 + 2 * 7 + 2 * 19


# attacks on made-up replies


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_made_up_replies_follow_demonstrations(wrapper: Wrapper) -> None:
    demos = [Demonstration(f"{QUESTION}o{i}", f"{TRACE}s{i}", f"{ANSWER}s{i}") for i in range(3)]
    reply = made_up(demonstration_prompt(demos, f"{QUESTION}q1", wrapper), "v")
    trace, answer = read_shown(reply.text, wrapper)
    assert trace == reply.trace
    assert answer
    assert answer.startswith(ANSWER)


def test_made_up_replies_use_tools_and_show_what_the_victim_shows() -> None:
    prompt = tool_prompt(f"{QUESTION}q1")
    assert {name: text[0] for name, text in made_up(prompt, "v").arguments.items()} == {"thoughts": TRACE, "answer": ANSWER}
    plain = Prompt.of(f"{QUESTION}q1")
    assert len({made_up(plain, *by).trace for by in (("v",), ("s",), ("v", 1))}) == 3


@pytest.mark.parametrize(
    ("victim", "trace", "summary"),
    [
        ({"model": "pocket/victim-1"}, True, True),
        ({**REMOTE, "api": {"shows": "trace"}}, True, True),
        ({**REMOTE, "api": {"shows": "summary"}}, False, True),
        ({**REMOTE, "api": {"shows": "answer"}}, False, False),
    ],
)
def test_made_up_replies_show_what_the_victim_shows(
    suite: Callable[..., Suite], victim: dict[str, Any], trace: bool, summary: bool
) -> None:
    dry = DryCell(cells(suite(victims=[victim]))[0], Sheet())
    (reply,) = dry.victim.reply([(Prompt.of(f"{QUESTION}q1"), 0)])
    assert (bool(reply.trace), bool(reply.summary), bool(reply.text)) == (trace, summary, True)


def test_marks_count_for_what_they_stand_for() -> None:
    assert tokens(f"{QUESTION}{TRACE}{TRACE}{ANSWER}{SUMMARY}" + "abcdefg", Lengths(1000, 100, 10, 1)) == 1211 + 3
    assert tokens(None, Lengths(1, 1, 1, 1)) == 0


@pytest.mark.usefixtures("own_plugins")
def test_an_attack_that_cannot_work_with_made_up_replies_is_estimated_all_the_same(
    suite: Callable[..., Suite], tmp_path: Path
) -> None:
    (tmp_path / "picky.py").write_text(
        "from heistbench.bench import Attack, Prompt, attack\n"
        "@attack('picky', version='1-A')\n"
        "class Picky(Attack):\n"
        "    '''Wants numbers.'''\n"
        "    def steal(self, target, questions, kit):\n"
        "        return [int(e.text) for e in target.ask([Prompt.of('Say 1.')])]\n"
    )
    load_plugin(tmp_path / "picky.py")
    found = outline(suite(attacks=["picky"]))
    assert work(found, "student training").rows == 200
    assert work(found, "victim replies").queries >= 430


# what it costs


def test_work_is_priced_by_the_formulas_that_are_stated() -> None:
    second = PEAK * WRITING / (2 * 7e9)  # tokens a 7B model writes
    assert 2000 < second < 2500

    def hours(model: str = "org/Model-7B@abc", **amounts: float) -> float | None:
        return gpu_hours(Work("x", model, "", **amounts))

    assert hours(written=second * 3600) == pytest.approx(1)
    assert hours(trained=1000) == pytest.approx(3 * (hours(read=1000) or 0))
    amounts = {"trained": 1e9, "read": 1e9, "written": 1e9}
    assert hours(**amounts) == pytest.approx(sum(hours(**{name: 1e9}) or 0 for name in amounts))
    assert hours("org/of-no-size@0123456", **amounts) is None
    assert hours("recorded", **amounts) == hours("inspect:openai/gpt-7b", **amounts) == 0


@pytest.mark.parametrize(
    ("model", "billions"),
    [
        ("Qwen/Qwen2.5-7B-Instruct@a09a35458c702b33eeacc393d103063234e8bc28", 7),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B@ad9f0ae0864d7fbcd1cd905e3c6c5b069cc8b562", 1.5),
        ("openai/gpt-oss-20b@6cee5e81ee83917806bbde320786a8fb61efebee", 20),
        ("meta-llama/Llama-3.1-8B-Instruct@0e9e39f249a16976918f6564b8830bc894c89659", 8),
        ("scratch/64x3", 16 * 64 * 64 * 3 / 1e9),
        ("org/unheard-of@0123456", None),
        ("org/of-no-size@7b00000", None),
        ("pocket/none", None),
    ],
)
def test_sizes_of_models_are_read_from_their_names(model: str, billions: float | None) -> None:
    assert parameters(model) == (billions and pytest.approx(billions * 1e9))


def test_sizes_of_local_models_are_those_of_their_files() -> None:
    with safe_open(SHIPPED / "pocket" / "base" / "model.safetensors", "pt") as file:
        weights = sum(file.get_tensor(name).numel() for name in file.keys())  # noqa: SIM118 - it is no mapping
    assert parameters("pocket/base") == weights


def test_dollars_are_those_of_the_replies(suite: Callable[..., Suite]) -> None:
    found = cells(suite(victims=[REMOTE, {"model": "pocket/victim-1"}]))
    measured = lengths("pocket", 200)
    assert measured.trace < 50, "measured, since the questions are here"
    each = (measured.question * 1 + (measured.trace + measured.answer) * 10) / 1e6
    # Names behind marks take a few tokens.
    (bill,) = bills(found).values()
    assert 230 * each < bill.dollars < 230 * (each + 300 / 1e6)
    assert bill.queries == 230
    assert 230 * (measured.question + measured.trace + measured.answer) < bill.tokens
    assert list(bills(found)) == ["inspect:openai/some-model"]
    assert bills(cells(suite(victims=[{**REMOTE, "api": {}}])))["inspect:openai/some-model"].dollars is None


def test_a_budget_that_is_too_small_is_refused_with_what_the_run_takes(suite: Callable[..., Suite]) -> None:
    found = cells(suite(victims=[REMOTE]))
    (bill,) = bills(found).values()
    (line,) = foresee(found, Budget(bill.queries, bill.dollars))
    assert line.startswith(f"inspect:openai/some-model: at most {bill.queries} queries, about ")
    with pytest.raises(HeistError, match=rf"--budget-queries {bill.queries - 1}: this run sends up to {bill.queries};"):
        foresee(found, Budget(queries=bill.queries - 1))
    with pytest.raises(HeistError, match=r"--budget-usd 0.0001: this run costs about \$"):
        foresee(found, Budget(dollars=0.0001))
    assert foresee(cells(suite(victims=[{"model": "pocket/victim-1"}])), Budget(0, 0.0)) == []


@pytest.mark.usefixtures("bare_machine")
def test_the_price_of_the_papers_victim_is_the_papers() -> None:
    found = cells(load_suite("trace-inversion-api"))
    ((label, bill),) = bills(found).items()
    assert label == "gpt-5.4-mini-2026-03-17"
    assert work_of(found).most_queries == bill.queries == 10_000 + 515
    assert bill.dollars / 10_515 == pytest.approx(173.28 / 10_000, rel=0.03)
    assert TYPICAL.trace > REMOTE_TRACE


# the full suites, where nothing is there


@pytest.mark.usefixtures("bare_machine")
@pytest.mark.parametrize("name", sorted(path.stem for path in SUITES.glob("*.yaml")))
def test_every_suite_is_outlined_on_a_bare_machine(name: str) -> None:
    found = outline(load_suite(name))
    assert [s.name for s in found] == sorted((s.name for s in found), key=WORK.index)
    assert all(s.rows > 0 and s.settings for s in found)
    assert all(s.tokens > 0 for s in found if s.model != "recorded")
    assert {"victim replies", "student training", "examination"} <= {s.name for s in found}


@pytest.mark.usefixtures("bare_machine")
def test_the_stages_of_trace_inversion() -> None:
    found = outline(load_suite("trace-inversion"))
    assert {s.name for s in found} == set(WORK) - {"surrogate training"}
    assert work(found, "victim replies").rows == 10_000 + 515
    assert work(found, "inverter training").rows == 2 * 3 * 10_000
    assert work(found, "inverter training").settings == (
        "3 epochs of batches of 24, rate 1e-05 cosine, warmup 0.1, rows up to 16384 tokens, all weights"
    )
    assert work(found, "inversion").settings == "temperature 0.7, top_p 0.9, repetition_penalty 1.05, up to 8192 tokens"
    # A row is a question, a trace, an answer.
    rows = work(found, "student training", "Qwen")
    assert 4500 < rows.trained / rows.rows / 3 < TYPICAL.trace + TYPICAL.question + TYPICAL.answer + 50
    assert 1000 < (gpu_hours(rows) or 0) < 2000
    assert all(gpu_hours(each) is not None for each in found)


@pytest.mark.usefixtures("bare_machine")
def test_a_recorded_surrogate_writes_nothing() -> None:
    weak = load_suite("trace-inversion")
    assert weak.surrogate
    strong = changed(weak, {"surrogate": {**weak.surrogate.model_dump(), "model": "recorded"}})
    replies = work(outline(strong), "surrogate replies")
    assert (replies.model, gpu_hours(replies), replies.tokens) == ("recorded", 0, 0)


@pytest.mark.usefixtures("bare_machine")
def test_the_table_says_all_there_is_to_say() -> None:
    text = shown(load_suite("trace-inversion-api"))
    for told in (
        "gpt-5.4-mini",
        "effort medium",
        "10,515",
        "3 epochs of batches of 96",
        "GPU-hours",
        "all",
        "trace 6131",
        "A100",
    ):
        assert told in text
    assert "@" not in text
    assert "…" not in shown(load_suite("trace-inversion-api"), 80)


def test_a_model_of_unknown_size_is_no_total(suite: Callable[..., Suite]) -> None:
    found = suite(students=[{"model": "org/of-no-size@0123456"}])
    assert gpu_hours(work(outline(found), "student training")) is None
    assert "+ ?" in shown(found)


# how long it takes


def test_longer_rows_take_longer_and_a_store_knows_the_pace(suite: Callable[..., Suite], tiny_run: Any, tmp_path: Path) -> None:
    lines, fresh = outline(suite()), Store(tmp_path)
    fixed = SECONDS_PER_CELL * 10
    longer = [replace(line, trained=3 * line.trained) for line in lines]
    assert duration(longer, 10, fresh) - fixed == pytest.approx(3 * (duration(lines, 10, fresh) - fixed))
    measured = [json.loads(path.read_text())["tokens"] for path in (tiny_run.out / "store").glob("train/*/tuned.json")]
    store = Store(tiny_run.out / "store")
    seconds = sum(store.seconds(path.parent) for path in store.root.glob("train/*/tuned.json"))
    trained = sum(line.trained for line in lines)
    assert duration(lines, 0, store) == pytest.approx(trained * seconds / sum(measured))


def test_an_estimate_is_of_the_cells_that_are_missing(suite: Callable[..., Suite]) -> None:
    every = cells(suite(attacks=["answer_only", "rep"]))
    rows = {len(part): sum(line.rows for line in work_of(part).work()) for part in (every, every[:1], [])}
    assert rows[len(every)] > rows[1] > rows[0] == 0
