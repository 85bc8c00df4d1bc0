"""A suite without any shipped model: a recorded victim, a surrogate that is taught first, students made from nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from heistbench.bench import HeistError, Prompt, Reply
from heistbench.bench.contracts.nouns import Split
from heistbench.bench.stages.completions import Draw
from heistbench.bench.stages.context import CellContext
from heistbench.bench.stages.pipeline import StoredCell
from heistbench.bench.stages.surrogate import SurrogateReplies, surrogate_checkpoint
from heistbench.bench.storage.store import Store
from heistbench.bench.suites.cells import cells
from heistbench.bench.suites.files import load_suite
from heistbench.bench.suites.questions import asked, graded
from heistbench.bench.suites.settings import Decoding

RECIPE = {"epochs": 1, "batch_size": 8, "learning_rate": 1e-2, "max_length": 256}
SCRATCH = {
    "victims": [{"model": "recorded", "name": "archive"}],
    "surrogate": {
        "model": "scratch/16x1",
        "lessons": 16,
        "recipe": RECIPE,
        "decoding": {"temperature": 0.0, "max_new_tokens": 8},
    },
    "inverter": {"model": "scratch/16x1", "recipe": RECIPE, "decoding": {"max_new_tokens": 8}},
    "students": [{"model": "scratch/16x1", "recipe": RECIPE, "decoding": {"max_new_tokens": 8}}],
    "attacks": ["answer_only"],
    "controls": ["untrained", "true_trace"],
    "defenses": ["none"],
    "sizes": {"query": 12, "surrogate": 30, "test": 6},
}


@pytest.fixture
def context_of(suite_file: Callable, tmp_path: Path) -> Callable[..., StoredCell]:
    def context(**changes: object) -> StoredCell:
        suite = load_suite(str(suite_file(**{**SCRATCH, **changes})))
        return StoredCell(cells(suite)[0], Store(tmp_path / "store"))

    return context


def test_a_suite_of_nothing_shipped_runs(suite_file: Callable, tmp_path: Path, heist: Callable) -> None:
    ended = heist("run", suite_file(**SCRATCH), "--out", tmp_path / "out", "--executor", "here")
    assert ended.code == 0, ended.err
    found = {path.parts[-4]: json.loads(path.read_text()) for path in (tmp_path / "out" / "tiny").rglob("seed-0.json")}
    assert set(found) == {"answer_only", "untrained", "true_trace"}
    for record in found.values():
        assert record["arm"]["victim"] == "archive"
        models = record["provenance"]["models"]
        assert models["victim"].startswith("recorded")
        assert models["surrogate"].startswith("taught:")
        assert models["student before"] == models["inverter"]
        assert models["student before"].startswith("scratch:")
        assert record["utility"]["accuracy"] == 1.0  # the data set answers its own questions
    assert found["true_trace"]["loot"]["whole_traces"] == 1.0
    assert found["untrained"]["provenance"]["models"]["student after"] == models["student before"]


def test_a_scratch_model_is_made_once_a_task(context_of: Callable[..., StoredCell]) -> None:
    assert context_of().resolve("scratch/16x1") == context_of().resolve("scratch/16x1")
    assert context_of().resolve("scratch/8x1") != context_of().resolve("scratch/16x1")


def test_a_surrogate_is_what_it_was_taught(context_of: Callable[..., StoredCell]) -> None:
    plain, other, taught = (
        surrogate_checkpoint(context_of(surrogate={**SCRATCH["surrogate"], "lessons": n})) for n in (0, 15, 16)
    )
    assert plain.identity.startswith("scratch:")
    assert len({plain.identity, taught.identity, other.identity}) == 3
    assert surrogate_checkpoint(context_of()) == taught


def test_surrogate_replies_are_kept(context_of: Callable[..., StoredCell], monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = tuple(Prompt.of(p.question.text) for p in context_of().problems("query")[:3])

    def replies() -> tuple[list[Reply], float]:
        context = context_of()
        return context.result(SurrogateReplies(context, Draw.first(prompts, Decoding(max_new_tokens=4))))

    first = replies()
    monkeypatch.setattr("heistbench.bench.stages.surrogate.engine", lambda *source: pytest.fail("asked the model again"))
    assert replies() == first
    assert len(first[0]) == 3


def test_splits_are_as_large_as_the_suite_says(context_of: Callable[..., StoredCell]) -> None:
    context = context_of()
    assert [len(context.problems(split)) for split in ("query", "surrogate", "test")] == [12, 30, 6]


@pytest.mark.parametrize("reference", ["scratch/16", "pocket/nobody", "nowhere"])
def test_an_unknown_model_is_an_error(context_of: Callable[..., StoredCell], reference: str) -> None:
    with pytest.raises(HeistError, match=reference):
        context_of().resolve(reference)


# exams elsewhere, and suites without an attacker's models

ELSEWHERE = '''
from heistbench.bench import Grade, Problem, Question, Task, first, question_id, task

@task("elsewhere", version="1-A")
class Elsewhere(Task):
    """Sums whose traces nobody checks."""

    licence = "none"

    def problems(self, split, n):
        assert split == "test", "examined and not attacked"
        texts = [f"what is {i} plus {i}" for i in range(20)]
        return first((Problem(Question(question_id(text), text), str(2 * i), "") for i, text in enumerate(texts)), n, "sums")

    def grade(self, problem, answer):
        return Grade.of(answer.strip() == problem.gold, answer)
'''


@pytest.mark.usefixtures("own_plugins")
def test_students_may_be_examined_on_another_task(suite_file: Callable, tmp_path: Path, heist: Callable) -> None:
    plugin = tmp_path / "elsewhere.py"
    plugin.write_text(ELSEWHERE)
    own = {"query": 12, "surrogate": 30, "test": 4}
    changes = {**SCRATCH, "tasks": ["pocket"], "exams": ["pocket", "elsewhere"], "sizes_of": {"elsewhere": {**own, "test": 9}}}
    ended = heist("run", suite_file(**changes), "--out", tmp_path / "out", "--executor", "here", "--plugin", plugin)
    assert ended.code == 0, ended.err
    found = [json.loads(path.read_text()) for path in (tmp_path / "out" / "tiny").rglob("true_trace/**/seed-0.json")]
    by_exam = {record["arm"]["exam"]["name"]: record for record in found}
    assert {name: record["exam"]["n"] for name, record in by_exam.items()} == {"pocket": 6, "elsewhere": 9}
    assert by_exam["pocket"]["exam"]["traces"] is not None
    assert by_exam["elsewhere"]["exam"]["traces"] is None
    # The student is the same: it was trained once.
    assert len({record["provenance"]["models"]["student after"] for record in found}) == 1
    # Honest users ask the attacked task.
    assert by_exam["elsewhere"]["utility"]["accuracy"] == 1.0
    assert "examined on elsewhere" in ended.out


def test_honest_users_ask_what_nobody_attacks(context_of: Callable[..., StoredCell]) -> None:
    context = context_of()
    asked = {p.question.id for p in context.honest}
    assert asked == {p.question.id for p in context.problems("test")}
    assert not asked & {p.question.id for split in ("query", "surrogate") for p in context.problems(split)}


def test_a_suite_may_name_no_surrogate(suite_file: Callable, tmp_path: Path, heist: Callable) -> None:
    bare = {**SCRATCH, "surrogate": None, "inverter": None}
    ended = heist("run", suite_file(**bare), "--out", tmp_path / "out", "--executor", "here")
    assert ended.code == 0, ended.err
    record = json.loads(next((tmp_path / "out" / "tiny").rglob("true_trace/**/seed-0.json")).read_text())
    assert record["provenance"]["models"]["surrogate"] == record["provenance"]["models"]["inverter"] == "none"
    assert record["overlap"]["words"]["floor_surrogate"] == {}
    assert record["overlap"]["words"]["ceiling_victim_again"]["lcs_f"] == 1.0


@pytest.mark.parametrize(
    ("attack", "changes", "missing"),
    [
        ("surrogate_trace", {"surrogate": None}, "surrogate"),
        ("trace_inversion", {"surrogate": None}, "surrogate"),
        ("trace_inversion", {"inverter": None}, "inverter"),
    ],
)
def test_an_attack_that_needs_what_the_suite_does_not_name_says_so(
    suite_file: Callable, tmp_path: Path, heist: Callable, attack: str, changes: dict[str, None], missing: str
) -> None:
    kind = "controls" if attack == "surrogate_trace" else "attacks"
    suite = suite_file(**{**SCRATCH, **changes, "attacks": [], "controls": [], kind: [attack]})
    ended = heist("run", suite, "--out", tmp_path / "out", "--executor", "here")
    assert ended.code == 3
    assert f"suite tiny names no {missing}, and {attack} needs one" in ended.err


@pytest.mark.parametrize("split", ["query", "surrogate", "dev", "test"])
def test_the_digest_of_questions_that_many_cells_share_is_that_of_these_questions(
    context_of: Callable[..., StoredCell], split: Split
) -> None:
    whole_budget, half = context_of(), context_of(budgets=[6])
    for context in (whole_budget, half):
        assert context.digest(split, graded) == CellContext.digest(context, split, graded)
    assert (whole_budget.digest(split, asked) == half.digest(split, asked)) == (split != "query")
