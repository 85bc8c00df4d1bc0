"""Our tasks and engines as lm-eval's, and students examined through them.

`examine` passes task objects to lm-eval. On lm-eval's own command line, `--include_path tasks/lm_eval --tasks heistbench_gsm8k`
finds the YAML files there; each names a class that this module makes on demand.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, cast

from heistbench.bench.contracts.nouns import Problem, Prompt, Stop, Verdict
from heistbench.bench.contracts.plugins import Task
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.engine import Completion, LocalEngine
from heistbench.bench.scoring.verdicts import Examined, judge

if TYPE_CHECKING:
    from lm_eval.api.model import LM
    from lm_eval.api.task import Task as LmEvalTask

MAX_NEW_TOKENS = 4096
"""The default; `--gen_kwargs max_gen_toks=...` overrides it."""


class Text(str):
    """A completion that remembers why it stopped on its way through lm-eval, which knows texts only."""

    stop: Stop = "stop"

    @classmethod
    def of(cls, completion: Completion) -> Text:
        text = cls(completion.text)
        text.stop = completion.stop
        return text


def examine(
    engine: LocalEngine,
    task: Task,
    problems: Sequence[Problem],
    sampling: Sampling,
    advance: Callable[[int], None] = lambda n: None,
) -> list[Examined]:
    """Ask a student every problem through `lm_eval.evaluate`; the outcomes are in the order of the problems."""
    from lm_eval.evaluator import evaluate
    from lm_eval.tasks import TaskManager

    exam = as_lm_eval_task(task, problems, engine.render, sampling.max_new_tokens)
    # Not simple_evaluate: it queries pip and git about the machine each time, which takes longer than a small exam.
    results = evaluate(
        as_lm_eval_model(engine, sampling, advance),
        TaskManager(include_defaults=False).load([exam]),
        bootstrap_iters=0,
        log_samples=True,
    )
    assert results is not None
    samples = sorted(results["samples"][task.info.name], key=lambda sample: int(sample["doc_id"]))
    examined = [sample["examined"] for sample in samples]
    if [e.id for e in examined] != [p.question.id for p in problems]:
        raise AssertionError("lm-eval returned other questions than it was given")
    return examined


def as_lm_eval_task(task: Task, problems: Sequence[Problem], render: Callable[[Prompt], str], max_new_tokens: int) -> LmEvalTask:
    """One of our tasks as lm-eval's: zero-shot generation, with prompts rendered as in training."""
    exam = _exam_class(task, lambda: problems, render, max_new_tokens)()
    exam.set_config("task", task.info.name)
    return exam


def __getattr__(name: str) -> type[LmEvalTask]:
    """The lm-eval class of the task of that name, on its whole test split; the YAML files in tasks/lm_eval refer to it."""
    if name.startswith("_") or name not in registry.all("task"):
        raise AttributeError(name)
    task = cast(Task, registry.build("task", name))
    return _exam_class(task, lambda: task.problems("test", None), lambda prompt: prompt.text, MAX_NEW_TOKENS)


def _exam_class(  # noqa: C901 - lm-eval requires many small methods
    task: Task, load: Callable[[], Sequence[Problem]], render: Callable[[Prompt], str], max_new_tokens: int
) -> type[LmEvalTask]:
    from lm_eval.api.instance import Instance
    from lm_eval.api.metrics import mean
    from lm_eval.api.task import Task as LmEvalTask

    class ExamTask(LmEvalTask):
        VERSION = task.info.version
        OUTPUT_TYPE = "generate_until"

        def __init__(self, config: Any = None) -> None:
            super().__init__()
            self.asked: dict[int, str] = {}
            # lm-eval's own default stops at a blank line, which stands between thinking and answer.
            self.set_config("generation_kwargs", {"until": [], "max_gen_toks": max_new_tokens, "do_sample": False})

        def download(self, *args: Any, **kwargs: Any) -> None:
            self.problems = load()
            self.dataset = {"test": [{"at": i} for i in range(len(self.problems))]}

        def has_training_docs(self) -> bool:
            return False

        def has_validation_docs(self) -> bool:
            return False

        def has_test_docs(self) -> bool:
            return True

        def test_docs(self) -> list[dict[str, int]]:
            return list(self.dataset["test"])

        def doc_to_text(self, doc: dict[str, int]) -> str:
            return render(Prompt.of(self.problems[doc["at"]].question.text))

        def doc_to_target(self, doc: dict[str, int]) -> str:
            return self.problems[doc["at"]].gold

        def fewshot_context(self, doc: dict[str, int], *args: Any, **kwargs: Any) -> str:
            text, chat = self.doc_to_text(doc), kwargs.get("chat_template")
            return str(chat([{"role": "user", "content": text}])) if kwargs.get("apply_chat_template") and chat else text

        def construct_requests(self, doc: dict[str, int], ctx: str, **kwargs: Any) -> list[Instance]:
            self.asked[doc["at"]] = ctx
            metadata = kwargs.get("metadata", (self.config.task, doc["at"], 1))
            return [Instance("generate_until", doc, (ctx, dict(self.config.generation_kwargs)), 0, metadata=metadata)]

        def process_results(self, doc: dict[str, int], results: list[str]) -> dict[str, Any]:
            text = results[0]
            examined = judge(task, self.problems[doc["at"]], text, getattr(text, "stop", "stop"), self.asked[doc["at"]])
            right = float(examined.grade.verdict is Verdict.RIGHT)
            return {"acc": right, "score": examined.grade.score, "examined": examined}

        def aggregation(self) -> dict[str, Callable[[list[Any]], Any]]:
            return {"acc": mean, "score": mean, "examined": len}

        def higher_is_better(self) -> dict[str, bool]:
            return {"acc": True, "score": True, "examined": True}

    return ExamTask


def as_lm_eval_model(engine: LocalEngine, sampling: Sampling, advance: Callable[[int], None]) -> LM:
    """One of our engines as lm-eval's model."""
    from lm_eval.api.model import LM

    class EngineModel(LM):
        def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
            texts = [request.args[0] for request in requests]
            return [Text.of(c) for c in engine.complete(texts, sampling, [0] * len(texts), lambda at, done: advance(1))]

        def loglikelihood(self, requests: list[Any]) -> list[tuple[float, bool]]:
            raise NotImplementedError("students are examined on what they write")

        def loglikelihood_rolling(self, requests: list[Any]) -> list[float]:
            raise NotImplementedError("students are examined on what they write")

    return EngineModel()
