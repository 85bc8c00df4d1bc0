"""A theft without models: an attack runs on made-up replies, and what it asks for is written down.

Made-up texts are marks: one character for a question, a trace, a summary or an answer, and a name behind it. They cost nothing,
equal ones are equal, and their length is what is assumed of such texts. So what attacks ask for, and share with each other, is
found by running them, those of other people too, on a machine that has neither data nor weights. They run on a few questions,
each of which stands for many.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import gcd
from random import Random
from typing import Any, NamedTuple, cast

from heistbench.bench.contracts.nouns import Exposure, Prompt, Question, Reply, Sight, Stolen, Usage
from heistbench.bench.contracts.wall import Kit, Target
from heistbench.bench.models.engine import Arrived, unheard
from heistbench.bench.prompting.demonstrations import POOL, WRAPPERS, show
from heistbench.bench.runs.checks import sights
from heistbench.bench.stages.victim import DefendedApi, VictimModel, release
from heistbench.bench.storage.ledger import Query
from heistbench.bench.storage.store import canonical
from heistbench.bench.suites.cells import Cell

QUESTION, TRACE, SUMMARY, ANSWER = "\ue000", "\ue001", "\ue002", "\ue003"
CHARACTERS_A_TOKEN = 4
"""Of English, by the usual rule of thumb; of what stands around the marks."""
CODE = 6
"""One question in so many asks for code, as in OpenThoughts."""
FEW = POOL + 1
"""Questions that the smallest made-up split holds; fewer are the pool of demonstrations, which does not grow with a split."""
_OPENINGS = sorted(
    ((wrapper, show(TRACE, "", wrapper).partition(TRACE)[0] + TRACE) for wrapper in WRAPPERS), key=lambda pair: -len(pair[1])
)
"""How demonstrations in each wrapper show a trace; the longest first, since the opening of one may end another's."""


class Lengths(NamedTuple):
    """Tokens of the texts that marks stand for."""

    question: float
    trace: float
    summary: float
    answer: float

    def tokens(self, text: str | None) -> float:
        """Of a text with marks in it."""
        if not text:
            return 0.0
        marked = text.count(QUESTION) * self.question + text.count(TRACE) * self.trace
        marked += text.count(SUMMARY) * self.summary + text.count(ANSWER) * self.answer
        return marked + len(text) / CHARACTERS_A_TOKEN


@dataclass(slots=True)
class Dry:
    """What one theft asked for: of the victim, query lists as they were sent; of the attacker's own models; and its loot."""

    asked: list[list[Query]] = field(default_factory=list)
    surrogate: list[tuple[list[Prompt], float | None]] = field(default_factory=list)
    trained: dict[str, list[tuple[Prompt, str]]] = field(default_factory=dict)
    generated: list[tuple[str, list[Prompt]]] = field(default_factory=list)
    loot: Sequence[Stolen] = ()


def questions(kind: str, n: int) -> list[Question]:
    """`n` made-up questions; `kind` is a letter that tells splits apart."""
    return [Question(f"{kind}{i}", f"{QUESTION}{kind}{i}", {} if i % CODE else {"domain": "code"}) for i in range(n)]


def hand_of(label: str) -> str:
    """By which a victim's texts are told from those of others."""
    return f"v{hash(label) & 0xFFFF:x}."


def made_up(prompt: Prompt, author: str, shown: set[Sight], before: int = 0) -> Reply:
    """What an obliging model would reply: in the format of demonstrations, if there are any; by the tool, if there is one."""
    asked, name = prompt.text, f"{author}{hash(prompt) & 0xFFFFFFFF:x}.{before}"
    trace, answer = f"{TRACE}{name}", f"{ANSWER}{name}\n{asked.rpartition(QUESTION)[2]}"  # all agree on the last line, the result
    followed = next((wrapper for wrapper, opening in _OPENINGS if opening in asked), None) if TRACE in asked else None
    text = show(trace, answer, followed) if followed else answer
    arguments = {name: answer if name == "answer" else trace for name, _ in prompt.tool.arguments} if prompt.tool else {}
    summary = f"{SUMMARY}{name}. {name}." if "summary" in shown else None  # defenses may keep the first sentence alone
    return Reply(trace if "trace" in shown else None, summary, text, Usage(), "stop", arguments)


def many(cell: Cell) -> int:
    """How many questions one made-up question stands for: so many that few are left and all splits are whole multiples."""
    sizes = [n for n in (*cell.suite.budgets, cell.sizes.query, cell.sizes.surrogate) if n]
    common = gcd(*sizes)
    return max((n for n in range(1, common + 1) if common % n == 0 and min(sizes) >= FEW * n), default=1)


def steal(cell: Cell) -> Dry:
    """Run a cell's attack on made-up replies, at one `many`-th of its size.

    One that cannot work with these is taken to ask each question once and to bring home a trace for each.
    """
    attack, dry = cell.build_attack(), Dry()
    line = cast(Any, _Line(_DryDesk(cell, dry)))
    attacked = questions("q", cell.budget // many(cell))
    try:
        rng = Random(canonical([attack.info.name, cell.seed]))
        dry.loot = attack.steal(Target(line), attacked, Kit(line, rng, attack.info.privileged))
    except Exception:  # of a stranger's code, on texts it was not made for
        dry.asked.append([(Prompt.of(q.text), 0) for q in attacked])
        dry.loot = [Stolen(q.id, q.text, f"{TRACE}{attack.info.name}", ANSWER) for q in attacked]
    return dry


class _Line:
    """As the wall's line, without a pipe."""

    def __init__(self, desk: _DryDesk) -> None:
        self._desk = desk

    def call(self, verb: str, *arguments: Any) -> Any:
        return getattr(self._desk, verb)(*arguments)


class _DryVictim:
    """Stands where `VictimModel` does behind a defended API."""

    def __init__(self, cell: Cell, dry: Dry) -> None:
        self._hand, self._shown, self._dry = hand_of(cell.victim.label), sights(cell), dry

    def reply(self, asked: Sequence[Query], arrived: Arrived = unheard) -> list[Reply]:
        self._dry.asked.append(list(asked))
        return [made_up(prompt, self._hand, self._shown, before) for prompt, before in asked]


class _DryDesk:
    """Implements `Desk`: writes down what is asked for, and answers with marks."""

    def __init__(self, cell: Cell, dry: Dry) -> None:
        self._cell, self._dry, self._shown = cell, dry, sights(cell)
        self._defenses = [defense for defense in cell.build_defenses() if defense.info.touches]
        self._victim = _DryVictim(cell, dry)
        self._api = DefendedApi(cast(VictimModel, self._victim), self._defenses)

    def ask(self, prompts: list[Prompt]) -> list[Exposure]:
        return self._api.ask(prompts)

    def surrogate(self, prompts: list[Prompt], temperature: float | None) -> list[Reply]:
        self._dry.surrogate.append((prompts, temperature))
        hand = f"s{0 if temperature == 0 else self._cell.seed}."  # greedy replies are the same whatever the seed
        return [made_up(prompt, hand, {*self._shown, "trace"}) for prompt in prompts]

    def own_questions(self) -> list[Question]:
        return questions("o", self._cell.sizes.surrogate // many(self._cell))

    def questions_of(self, task: str, n: int) -> list[Question]:
        return questions("p", n)

    def fine_tune(self, examples: list[tuple[Prompt, str]]) -> str:
        name = f"i{hash((self._cell.seed, *examples)) & 0xFFFFFFFF:x}."
        self._dry.trained[name] = examples
        return name

    def untuned(self) -> str:
        return "z"

    def generate(self, model: str, prompts: list[Prompt]) -> list[str]:
        self._dry.generated.append((model, prompts))
        return [made_up(prompt, f"{model}{self._cell.seed}.", {"trace"}).trace or "" for prompt in prompts]

    def rehearse(self, prompts: list[Prompt], replies: list[Reply]) -> list[Exposure]:
        return [release(self._defenses, p, reply, 0, "a rehearsal") for p, reply in zip(prompts, replies, strict=True)]

    def truth_gold(self, ids: list[str]) -> list[str]:
        return [f"{ANSWER}gold {i}" for i in ids]

    def truth_replies(self, ids: list[str]) -> list[Reply]:
        asked = [(Prompt.of(f"{QUESTION}{i}"), 0) for i in ids]
        return self._victim.reply(asked)

    def truth_wrong_traces(self, ids: list[str]) -> list[str]:
        return [f"{TRACE}wrong {i}" for i in ids]
