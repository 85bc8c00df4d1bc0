"""The harness's end of the wall: answers an attack's calls, keeps the sealed record, writes the bill."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

from heistbench.bench.contracts.errors import BudgetExceeded
from heistbench.bench.contracts.nouns import Bill, Exposure, Prompt, Question, Reply
from heistbench.bench.contracts.plugins import Defense
from heistbench.bench.models.checkpoints import Checkpoint
from heistbench.bench.models.engine import Arrived
from heistbench.bench.stages.budget import price
from heistbench.bench.stages.completions import Draw
from heistbench.bench.stages.context import CellContext, plain_prompts
from heistbench.bench.stages.defended import DefendedApi, Sealed, release
from heistbench.bench.stages.inverter import Inversion, trained
from heistbench.bench.stages.stage import counter
from heistbench.bench.stages.surrogate import surrogate_replies
from heistbench.bench.suites.settings import Decoding


class HarnessDesk:
    """Implements `Desk` for one theft."""

    def __init__(self, context: CellContext, defenses: Sequence[Defense], budget: int) -> None:
        self._context, self._defenses, self._budget = context, defenses, budget
        self._api = DefendedApi(context.victim, defenses, context.cell.seed)
        self._problems = {problem.question.id: problem for problem in context.attacked}
        self._models: dict[str, Checkpoint] = {}
        self._drawn = Counter[Hashable]()
        self.bill = Bill()

    @property
    def sealed(self) -> list[Sealed]:
        """Every query so far, with the whole reply."""
        return self._api.sealed

    def ask(self, prompts: list[Prompt]) -> list[Exposure]:
        """Query the victim through the defense."""
        if self.bill.queries + len(prompts) > self._budget:
            raise BudgetExceeded(f"{self.bill.queries} + {len(prompts)} queries are over the budget of {self._budget}")
        first = len(self.sealed)
        exposures = self._api.ask(prompts, self._arrivals(len(prompts)))
        self._charge([sealed.reply for sealed in self.sealed[first:]])
        return exposures

    def surrogate(self, prompts: list[Prompt], temperature: float | None, summaries: bool) -> list[Reply]:
        """Replies of the attacker's own model, kept in the store."""
        draw = self._draw("surrogate", prompts, self._context.surrogate.decoding.at(temperature))
        replies, seconds = surrogate_replies(self._context, draw, summaries)
        tokens = sum(reply.usage.completion for reply in replies)
        self.bill += Bill(attacker_tokens_generated=tokens, attacker_seconds=seconds)
        return replies

    def own_questions(self) -> list[Question]:
        """The surrogate split."""
        return [problem.question for problem in self._context.problems("surrogate")]

    def questions_of(self, task: str, n: int) -> list[Question]:
        """Questions of another task's surrogate split."""
        return self._context.questions_of(task, n)

    def untuned(self) -> str:
        """The suite's inverter model as it was before any training."""
        return self._know(self._context.resolve(self._context.inverter.model))

    def fine_tune(self, examples: list[tuple[Prompt, str]]) -> str:
        """Train the suite's inverter model on the attacker's rows; returns the name `generate` knows it by."""
        tuned = trained(self._context, tuple(examples))
        self.bill += Bill(attacker_tokens_trained=tuned.tokens, attacker_seconds=tuned.seconds)
        return self._know(tuned.checkpoint)

    def generate(self, model: str, prompts: list[Prompt], temperature: float | None) -> list[str]:
        """Completions of a model that `fine_tune` made, or of the untuned one."""
        draw = self._draw(model, prompts, self._context.inverter.decoding.at(temperature))
        written = self._context.result(Inversion(self._context, self._models[model], draw))
        self.bill += Bill(attacker_tokens_generated=written.tokens, attacker_seconds=written.seconds)
        return list(written.texts)

    def rehearse(self, prompts: list[Prompt], replies: list[Reply]) -> list[Exposure]:
        """Pass the attacker's own replies through the standing defense, which draws anew for them."""
        return [release(self._defenses, p, reply, 0, "a rehearsal") for p, reply in zip(prompts, replies, strict=True)]

    def truth_gold(self, ids: list[str]) -> list[str]:
        """Gold answers of attacked questions."""
        return [self._problems[i].shown for i in ids]

    def truth_wrong_traces(self, ids: list[str]) -> list[str]:
        """Wrong traces of attacked questions."""
        return [self._context.wrong_trace(self._problems[i]) for i in ids]

    def truth_replies(self, ids: list[str]) -> list[Reply]:
        """The victim's whole replies to attacked questions, past the defense; billed."""
        queries = [(prompt, 0) for prompt in plain_prompts([self._problems[i] for i in ids])]
        replies = self._context.victim.reply(queries, self._arrivals(len(queries)))
        self._charge(replies)
        return replies

    def _draw(self, model: str, prompts: Sequence[Prompt], decoding: Decoding) -> Draw:
        """What this theft has not drawn from the model yet; a greedy text stays what it is."""
        if not decoding.temperature:
            return Draw.first(prompts, decoding)
        repetitions = []
        for key in ((model, decoding.temperature, prompt) for prompt in prompts):
            repetitions.append(self._drawn[key])
            self._drawn[key] += 1
        return Draw(tuple(prompts), tuple(repetitions), decoding, self._context.cell.seed)

    def _know(self, model: Checkpoint) -> str:
        self._models[model.identity] = model
        return model.identity

    def _charge(self, replies: Sequence[Reply]) -> None:
        self.bill += Bill(
            queries=len(replies),
            prompt_tokens=sum(reply.usage.prompt for reply in replies),
            completion_tokens=sum(reply.usage.completion for reply in replies),
            dollars=sum(price(reply.usage, self._context.cell.victim.api.prices) for reply in replies),
        )

    def _arrivals(self, total: int) -> Arrived:
        advance = counter(self._context.progress, "victim", total)
        return lambda at, reply: advance(1)
