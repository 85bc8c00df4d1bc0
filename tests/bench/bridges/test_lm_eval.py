"""Students examined through lm-eval, and lm-eval's own model as referee."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from heistbench.bench import Problem, Prompt, Verdict, split_reply
from heistbench.bench.bridges.lm_eval import Text, as_lm_eval_model, as_lm_eval_task, examine
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.engine import Completion, LocalEngine
from heistbench.bench.models.loading import engine as load

TASK = registry.build("task", "pocket")


def test_a_text_remembers_why_it_stopped() -> None:
    text = Text.of(Completion("7", "length", 1, 1))
    assert (text, text.stop) == ("7", "length")
    assert Text("7").stop == "stop"


# whole examinations


@dataclass
class ScriptedEngine:
    """Says what it is told, question by question."""

    said: dict[str, Completion]

    def render(self, prompt) -> str:
        return f"asked: {prompt.text}"

    def complete(self, texts, sampling, repetitions, completed=lambda at, done: None) -> list[Completion]:
        found = [self.said[text.removeprefix("asked: ")] for text in texts]
        for at, completion in enumerate(found):
            completed(at, completion)
        return found


def test_every_question_has_one_verdict_in_order() -> None:
    problems = TASK.problems("dev", 7)
    replies = [
        Completion(f"<think> x </think> {problems[0].gold}", "stop", 1, 1),
        Completion(f"<think> x </think> {(int(problems[1].gold) + 1) % 10}", "stop", 1, 1),
        Completion("<think> x", "length", 1, 1),
        Completion("<think> x </think> many", "stop", 1, 1),
        Completion("", "error", 1, 0),
        Completion("no", "refused", 1, 1),
        Completion("", "stop", 1, 0),
    ]
    engine = ScriptedEngine({p.question.text: r for p, r in zip(problems, replies, strict=True)})
    told: list[int] = []
    found = examine(engine, TASK, problems, Sampling(), told.append)
    expected = ["right", "wrong", "truncated", "unparsable", "error", "refused", "unparsable"]
    assert [(e.id, e.grade.verdict) for e in found] == [(p.question.id, v) for p, v in zip(problems, expected, strict=True)]
    assert sum(told) == 7


def test_more_questions_than_ten_stay_in_order() -> None:
    """lm-eval sorts its samples by name; ours come back by number."""
    problems = TASK.problems("dev", 25)
    engine = ScriptedEngine({p.question.text: Completion(p.gold, "stop", 1, 1) for p in problems})
    assert [e.id for e in examine(engine, TASK, problems, Sampling())] == [p.question.id for p in problems]


@pytest.mark.parametrize("name", ["victim-2", "surrogate", "base"])
def test_shipped_models_are_as_good_as_their_cards_say(name: str) -> None:
    from heistbench.bench.storage.shipped_models import card

    found = examine(load(checkpoint(f"pocket/{name}")), TASK, TASK.problems("dev", 120), Sampling(max_new_tokens=64))
    accuracy = sum(e.grade.verdict is Verdict.RIGHT for e in found) / 120
    assert abs(accuracy - card(f"pocket/{name}")["measured on 500 development questions"]["accuracy"]) < 0.12


def test_an_exam_with_too_few_tokens_is_truncated() -> None:
    found = examine(load(checkpoint("pocket/victim-2")), TASK, TASK.problems("dev", 4), Sampling(max_new_tokens=5))
    assert [e.grade.verdict for e in found] == [Verdict.TRUNCATED] * 4


# the referee: lm-eval's own model for transformers, on the same task object


@pytest.fixture(scope="module")
def engine() -> LocalEngine:
    return load(checkpoint("pocket/surrogate"))


@pytest.fixture(scope="module")
def problems() -> list[Problem]:
    return TASK.problems("dev", 40)


def evaluate(model, task) -> tuple[float, list[str]]:
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    results = simple_evaluate(
        model=model, tasks=[task], task_manager=TaskManager(include_defaults=False), bootstrap_iters=0, log_samples=True
    )
    samples = sorted(results["samples"]["pocket"], key=lambda sample: int(sample["doc_id"]))
    return results["results"]["pocket"]["acc,none"], [str(sample["resps"][0][0]) for sample in samples]


def test_lm_evals_own_model_says_and_scores_the_same(engine: LocalEngine, problems: list[Problem]) -> None:
    from lm_eval.models.huggingface import HFLM

    limit = 64
    task = as_lm_eval_task(TASK, problems, engine.render, limit)
    ours = evaluate(as_lm_eval_model(engine, Sampling(max_new_tokens=limit), lambda n: None), task)
    referee = HFLM(pretrained=engine.model, tokenizer=engine.tokenizer, batch_size=16, device="cpu", max_length=512)
    theirs = evaluate(referee, task)
    assert ours == theirs
    assert 0.3 < ours[0] < 0.95  # neither all right nor all wrong, so that agreement means something
    graded = [TASK.grade(p, split_reply(text).answer or "").score for p, text in zip(problems, ours[1], strict=True)]
    assert ours[0] == pytest.approx(sum(graded) / len(graded))


def test_the_exam_is_a_zero_shot_task_of_lm_eval(engine: LocalEngine, problems: list[Problem]) -> None:
    task = as_lm_eval_task(TASK, problems, engine.render, 64)
    docs = task.test_docs()
    assert len(docs) == 40
    assert TASK.info.version == task.VERSION
    assert task.doc_to_text(docs[3]) == engine.render(Prompt.of(problems[3].question.text))
    assert task.doc_to_target(docs[3]) == problems[3].gold
    assert task.aggregation()["acc"]([1.0, 0.0, 0.0, 1.0]) == 0.5
    assert task.higher_is_better()["acc"]


def test_students_are_not_asked_for_likelihoods(engine: LocalEngine) -> None:
    model = as_lm_eval_model(engine, Sampling(), lambda n: None)
    for method in (model.loglikelihood, model.loglikelihood_rolling):
        with pytest.raises(NotImplementedError, match="what they write"):
            method([])
