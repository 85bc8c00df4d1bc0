"""Examining students through lm-eval: any of our tasks as an lm-eval task object, any of our engines as an lm-eval model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from heistbench.bench._engine import Completion, Sampling, TransformersEngine
from heistbench.bench._nouns import Problem, Prompt, Stop, Verdict
from heistbench.bench._plugins import Task
from heistbench.bench._text import split_reply

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from lm_eval.api.task import Task as LmEvalTask


@dataclass(frozen=True, slots=True)
class Examined:
    """One question's outcome, with the reply it was read from."""

    id: str
    verdict: Verdict
    answer: str | None
    trace: str | None


class Text(str):
    """A completion on its way through lm-eval, which knows texts only: one that remembers why it stopped."""

    stop: Stop = "stop"

    @classmethod
    def of(cls, completion: Completion) -> Text:
        text = cls(completion.text)
        text.stop = completion.stop
        return text


def judge(task: Task, problem: Problem, text: str, stop: Stop, prompt_text: str) -> Examined:
    """The verdict on one reply. A reply cut off at the token budget is truncated whatever it holds so far."""
    trace, answer = split_reply(text, prompt_text)
    if stop in ("refused", "error"):
        verdict = Verdict(stop)
    elif stop == "length":
        verdict = Verdict.TRUNCATED
    elif answer is None:
        verdict = Verdict.UNPARSABLE
    else:
        verdict = task.grade(problem, answer)
    return Examined(problem.question.id, verdict, answer if stop == "stop" else None, trace)


def examine(
    engine: TransformersEngine,
    task: Task,
    problems: Sequence[Problem],
    sampling: Sampling,
    advance: Callable[[int], None] = lambda n: None,
) -> list[Examined]:
    """Ask a student every problem through `lm_eval.simple_evaluate`; one verdict each, in order."""
    from lm_eval import simple_evaluate
    from lm_eval.tasks import TaskManager

    exam = as_lm_eval_task(task, problems, engine.render, sampling.max_new_tokens)
    results = simple_evaluate(
        model=as_lm_eval_model(engine, sampling, advance),
        tasks=[exam],
        task_manager=TaskManager(include_defaults=False),
        bootstrap_iters=0,
        log_samples=True,
        random_seed=None,
        numpy_random_seed=None,
        torch_random_seed=None,
    )
    assert results is not None
    samples = sorted(results["samples"][task.info.name], key=lambda sample: int(sample["doc_id"]))
    examined = [sample["examined"] for sample in samples]
    if [e.id for e in examined] != [p.question.id for p in problems]:
        raise AssertionError("lm-eval returned other questions than it was given")
    return examined


def as_lm_eval_task(  # noqa: C901 - lm-eval asks for many small methods
    task: Task, problems: Sequence[Problem], render: Callable[[Prompt], str], max_new_tokens: int
) -> LmEvalTask:
    """A task of ours as lm-eval's: zero-shot generation, prompts rendered as in training, `acc` and verdicts as metrics."""
    from lm_eval.api.instance import Instance
    from lm_eval.api.task import Task as LmEvalTask

    class Exam(LmEvalTask):
        VERSION = task.info.version
        OUTPUT_TYPE = "generate_until"

        def download(self, *args: Any, **kwargs: Any) -> None:
            self.dataset = {"test": [{"at": i} for i in range(len(problems))]}

        def has_training_docs(self) -> bool:
            return False

        def has_validation_docs(self) -> bool:
            return False

        def has_test_docs(self) -> bool:
            return True

        def test_docs(self) -> list[dict[str, int]]:
            return list(self.dataset["test"])

        def doc_to_text(self, doc: dict[str, int]) -> str:
            return render(Prompt.of(problems[doc["at"]].question.text))

        def doc_to_target(self, doc: dict[str, int]) -> str:
            return problems[doc["at"]].gold

        def fewshot_context(self, doc: dict[str, int], *args: Any, **kwargs: Any) -> str:
            return self.doc_to_text(doc)

        def construct_requests(self, doc: dict[str, int], ctx: str, **kwargs: Any) -> list[Instance]:
            request = {"until": [], "max_gen_toks": max_new_tokens}
            metadata = kwargs.get("metadata", (self.config.task, doc["at"], 1))
            return [Instance("generate_until", doc, (ctx, request), 0, metadata=metadata)]

        def process_results(self, doc: dict[str, int], results: list[str]) -> dict[str, Any]:
            problem, text = problems[doc["at"]], results[0]
            examined = judge(task, problem, text, getattr(text, "stop", "stop"), self.doc_to_text(doc))
            return {"acc": float(examined.verdict is Verdict.RIGHT), "examined": examined}

        def aggregation(self) -> dict[str, Callable[[list[Any]], Any]]:
            return {"acc": lambda values: sum(values) / len(values), "examined": len}

        def higher_is_better(self) -> dict[str, bool]:
            return {"acc": True, "examined": True}

    exam = Exam()
    exam.set_config("task", task.info.name)
    return exam


def as_lm_eval_model(engine: TransformersEngine, sampling: Sampling, advance: Callable[[int], None]) -> LM:
    """An engine of ours as lm-eval's model."""
    from lm_eval.api.model import LM

    class EngineModel(LM):
        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            texts = [request.args[0] for request in requests]
            return [Text.of(c) for c in engine.complete(texts, sampling, [0] * len(texts), advance)]

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            raise NotImplementedError("students are examined by what they write")

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            raise NotImplementedError("students are examined by what they write")

    return EngineModel()
