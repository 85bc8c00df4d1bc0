"""Three routes to the same verdict: our own examination, Inspect, lm-eval's command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench import Prompt, Verdict
from heistbench.bench.bridges.lm_eval import examine
from heistbench.bench.contracts.recipes import Sampling
from heistbench.bench.contracts.registry import registry
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.loading import engine
from heistbench.bench.scoring.verdicts import judge
from heistbench.bench.storage.shipped_models import SHIPPED

ROOT = Path(__file__).parents[3]
TASK = registry.build("task", "pocket")
N = 24
MODEL = SHIPPED / "pocket" / "surrogate"


@pytest.fixture(scope="module")
def ours() -> dict[str, tuple[str, float]]:
    """Verdict and score of each question by our own examination."""
    found = examine(engine(checkpoint("pocket/surrogate")), TASK, TASK.problems("test", N), Sampling(max_new_tokens=64))
    assert len({e.grade.verdict for e in found}) > 1  # so that agreement means something
    return {e.id: (e.grade.verdict.value, e.grade.score) for e in found}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Inspect's log of the same exam, by the command a user types."""
    from inspect_ai.log import list_eval_logs, read_eval_log

    folder = tmp_path_factory.mktemp("logs")
    command = [
        str(Path(sys.executable).with_name("inspect")), "eval", "heistbench/pocket", "-T", f"n={N}", "--model", "hf/local",
        "-M", f"model_path={MODEL}", "-M", "device=cpu", "-M", f"batch_size={N}", "--max-tokens", "64", "-M", "do_sample=false",
        "--log-dir", str(folder), "--display", "none",
    ]  # fmt: skip
    run(command)
    return read_eval_log(list_eval_logs(str(folder))[0])


def test_inspect_gives_the_same_verdicts(log: Any, ours: dict[str, tuple[str, float]]) -> None:
    assert log.status == "success", log.error
    scores = {sample.id: sample.scores["graded"] for sample in log.samples}
    assert {i: (score.metadata["verdict"], score.value["score"]) for i, score in scores.items()} == ours
    metrics = {score.name: score.metrics["mean"].value for score in log.results.scores}
    assert metrics["right"] == pytest.approx(sum(verdict == "right" for verdict, _ in ours.values()) / N)


def test_inspects_log_holds_verdicts_and_traces(log: Any) -> None:
    assert log.eval.task == "heistbench/pocket"
    assert {sample.scores["graded"].metadata["verdict"] for sample in log.samples} <= {v.value for v in Verdict}
    assert all(sample.scores["graded"].metadata["trace"] for sample in log.samples)


def test_lm_evals_command_gives_the_same_verdicts(ours: dict[str, tuple[str, float]], tmp_path: Path) -> None:
    command = [
        sys.executable, "-m", "lm_eval", "run", "--model", "hf", "--model_args", f"pretrained={MODEL},dtype=float32",
        "--include_path", str(ROOT / "tasks" / "lm_eval"), "--tasks", "heistbench_pocket", "--apply_chat_template",
        "--limit", str(N), "--device", "cpu", "--batch_size", str(N), "--gen_kwargs", "max_gen_toks=64",
        "--output_path", str(tmp_path), "--log_samples",
    ]  # fmt: skip
    run(command)
    report = json.loads(next(tmp_path.rglob("results_*.json")).read_text())
    right = sum(verdict == "right" for verdict, _ in ours.values()) / N
    assert report["results"]["heistbench_pocket"]["acc,none"] == pytest.approx(right)
    samples = [json.loads(line) for path in tmp_path.rglob("samples_*.jsonl") for line in path.read_text().splitlines()]
    problems = TASK.problems("test", N)
    assert [s["target"] for s in sorted(samples, key=lambda s: s["doc_id"])] == [p.gold for p in problems]
    assert [bool(s["acc"]) for s in sorted(samples, key=lambda s: s["doc_id"])] == [
        ours[p.question.id][0] == "right" for p in problems
    ]


@pytest.mark.parametrize("name", sorted(registry.all("task")))
def test_every_task_is_known_to_both(name: str) -> None:
    from heistbench.bench.bridges import inspect as _inspect

    assert name in _inspect.TASKS
    text = (ROOT / "tasks" / "lm_eval" / f"{name}.yaml").read_text()
    assert text == f"task: heistbench_{name}\nclass: !function heistbench.bench.bridges.lm_eval.{name}\n"


def run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    assert not done.returncode, done.stderr[-3000:]


# replies as providers send them


def output(content: Any, stop: str = "stop") -> Any:
    from inspect_ai.model import ChatCompletionChoice, ChatMessageAssistant, ModelOutput

    return ModelOutput(model="m", choices=[ChatCompletionChoice(message=ChatMessageAssistant(content=content), stop_reason=stop)])


def reasoned(text: str, redacted: bool = False) -> Any:
    from inspect_ai.model import ContentReasoning, ContentText

    return [ContentReasoning(reasoning=text, redacted=redacted), ContentText(text="7")]


@pytest.mark.parametrize(
    ("content", "stop", "trace", "verdict"),
    [
        ("<think>3 is 3</think>7", "stop", "3 is 3", "right"),
        ("7", "stop", None, "right"),
        ("<think>7", "stop", "7", "truncated"),
        ("7", "max_tokens", None, "truncated"),
        ("no", "content_filter", None, "refused"),
        ("seven", "stop", None, "unparsable"),
    ],
)
def test_a_plain_reply_of_inspect(content: str, stop: str, trace: str | None, verdict: str) -> None:
    assert judged(output(content, stop)) == (trace, verdict)


def judged(reply: Any) -> tuple[str | None, str]:
    from heistbench.bench.bridges.inspect import reply_of

    problem = next(p for p in TASK.problems("test", 200) if p.gold == "7")
    found = judge(TASK, problem, *reply_of(reply))
    return found.trace, found.grade.verdict.value


def test_reasoning_that_came_apart_is_the_trace() -> None:
    assert judged(output(reasoned("3 is 3"))) == ("3 is 3", "right")


def test_a_redacted_block_is_no_trace() -> None:
    assert judged(output(reasoned("gAAAAABo", redacted=True))) == (None, "right")


def test_no_reply_is_an_error() -> None:
    from inspect_ai.model import ModelOutput

    assert judged(ModelOutput(model="m", choices=[])) == (None, "error")


def test_only_tasks_have_a_class_for_lm_eval() -> None:
    from heistbench.bench.bridges import lm_eval as _lm_eval

    assert hasattr(_lm_eval, "gsm8k")
    assert not hasattr(_lm_eval, "no_such_task")


def test_chat_templates_reach_lm_evals_prompts() -> None:
    from heistbench.bench.bridges import lm_eval as _lm_eval

    exam = _lm_eval.pocket()
    asked = exam.fewshot_context({"at": 0}, 0, apply_chat_template=True, chat_template=lambda turns: f"<{turns[0]['content']}>")
    assert asked == f"<{Prompt.of(TASK.problems('test', 1)[0].question.text).text}>"
