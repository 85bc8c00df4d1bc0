"""The victim's side: a model that replies, and the API in front of it that lets out what the defense allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

from heistbench.bench._engine import Completion, engine_for
from heistbench.bench._errors import HeistError
from heistbench.bench._models import checkpoint
from heistbench.bench._nouns import Exposure, Problem, Prompt, Refusal, Reply, Usage
from heistbench.bench._plugins import Defense, Task
from heistbench.bench._registry import identity
from heistbench.bench._store import Store, canonical, hash_of, read_lines, write_lines
from heistbench.bench._suite import RECORDED, Victim
from heistbench.bench._text import split_reply

REFUSED = Reply(None, None, "", Usage(), "refused")
Asked = tuple[Prompt, int]
"""A prompt and how often it was asked before."""


def read_reply(completion: Completion, prompt_text: str, task: Task) -> Reply:
    """Split a completion; the summary is the task's recap of the trace. Unclosed thinking gives no visible text."""
    trace, answer = split_reply(completion.text, prompt_text)
    reasoning = round(completion.tokens * len(trace or "") / max(1, len(completion.text)))
    usage = Usage(completion.prompt_tokens, completion.tokens, reasoning)
    return Reply(trace, task.summarize(trace) if trace else None, answer or "", usage, completion.stop)


class VictimModel:
    """A victim without any defense; what it replied once to a batch is kept in the store."""

    def __init__(self, victim: Victim, task: Task, store: Store, recorded: Sequence[Problem] = ()) -> None:
        self._victim, self._task, self._store = victim, task, store
        self._records = {p.question.text: p for p in recorded}

    @property
    def identity(self) -> dict[str, Any]:
        """What determines this victim's replies."""
        recorded = self._victim.model == RECORDED
        model = f"{RECORDED}:{self._task.data_digest()}" if recorded else checkpoint(self._victim.model).identity
        return {"model": model, "decoding": self._victim.decoding.model_dump(), "task": identity(self._task)}

    def reply(self, asked: Sequence[Asked]) -> list[Reply]:
        """One reply a prompt. Raises Busy while another process asks the same batch."""
        spec = {"victim": self.identity, "asked": hash_of(asked), "n": len(asked)}
        build = self._recall if self._victim.model == RECORDED else self._generate
        folder = self._store.once("replies", spec, lambda path: build(asked, path))
        return [reply_from(row) for row in read_lines(folder / "replies.jsonl")]

    def _generate(self, asked: Sequence[Asked], path: Path) -> None:
        engine, prompts = engine_for(self._victim.model), [prompt for prompt, _ in asked]
        completions = engine.generate(prompts, self._victim.decoding.sampling(), [before for _, before in asked])
        texts = map(engine.render, prompts)
        rows = [read_reply(c, text, self._task) for c, text in zip(completions, texts, strict=True)]
        write_lines(path / "replies.jsonl", rows)

    def _recall(self, asked: Sequence[Asked], path: Path) -> None:
        rows = []
        for prompt, _ in asked:
            if prompt.text not in self._records:
                raise HeistError(f"the recorded victim answers the task's own questions only, not {prompt.text[:60]!r}")
            problem = self._records[prompt.text]
            shown, words = problem.shown, len(problem.trace.split())
            usage = Usage(len(prompt.text.split()), words + len(shown.split()), words)
            rows.append(Reply(problem.trace, self._task.summarize(problem.trace), shown, usage, "stop"))
        write_lines(path / "replies.jsonl", rows)


def reply_from(row: dict[str, Any]) -> Reply:
    """A reply as `write_lines` wrote it."""
    return Reply(**{**row, "usage": Usage(**row["usage"])})


@dataclass(frozen=True, slots=True)
class Sealed:
    """One query as the harness saw it: what was asked, the whole reply, what left the API."""

    prompt: Prompt
    reply: Reply
    exposure: Exposure


class DefendedApi:
    """A victim behind a chain of defenses. Keeps the sealed record of every query."""

    def __init__(self, victim: VictimModel, defenses: Sequence[Defense]) -> None:
        self._victim, self._defenses = victim, defenses
        self._before: Counter[Prompt] = Counter()
        self.sealed: list[Sealed] = []

    def ask(self, prompts: Sequence[Prompt]) -> list[Exposure]:
        """Pass prompts in through the defenses' gates, and replies out through their filters."""
        asked = [(prompt, self._count(prompt)) for prompt in prompts]
        admitted = [(admit(self._defenses, prompt), before) for prompt, before in asked]
        let_in = [(prompt, before) for prompt, before in admitted if isinstance(prompt, Prompt)]
        replies = iter(self._victim.reply(let_in) if let_in else [])
        exposures = []
        for (prompt, before), (inner, _) in zip(asked, admitted, strict=True):
            if isinstance(inner, Refusal):
                reply, exposure = REFUSED, Exposure(inner.reason, refused=True)
            else:
                reply = next(replies)
                exposure = release(self._defenses, prompt, reply, before, "the victim's")
            self.sealed.append(Sealed(prompt, reply, exposure))
            exposures.append(exposure)
        return exposures

    def _count(self, prompt: Prompt) -> int:
        self._before[prompt] += 1
        return self._before[prompt] - 1


def admit(defenses: Sequence[Defense], prompt: Prompt) -> Prompt | Refusal:
    """The prompt the victim sees, or the first refusal."""
    for defense in defenses:
        admitted = defense.admit(prompt)
        if isinstance(admitted, Refusal):
            return admitted
        prompt = admitted
    return prompt


def release(defenses: Sequence[Defense], prompt: Prompt, reply: Reply, before: int, secret: str) -> Exposure:
    """What leaves the API: each defense sees what the one before it let through, and the hidden trace.

    `secret` seeds what the defenses draw: who knows how a defense works does not know what it drew for the victim.
    """
    exposure = Exposure(reply.text, reply.summary, reply.stop == "refused")
    for defense in defenses:
        if exposure.refused:
            break
        rng = Random(canonical([secret, identity(defense), prompt, 0 if defense.sticky else before]))
        exposure = defense.release(prompt, replace(reply, text=exposure.text, summary=exposure.summary), rng)
    return exposure
