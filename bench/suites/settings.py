"""A suite as typed fields: how each model is asked, what it shows, how it is trained, and what meets what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import is_dataclass, replace
from typing import Annotated, Any, Literal, get_args, get_type_hints

from pydantic import AfterValidator, BaseModel, Field

from heistbench.bench.contracts.engines import DEFAULT, ENGINES
from heistbench.bench.contracts.nouns import Sight
from heistbench.bench.contracts.recipes import Count, Recipe, Sampling
from heistbench.bench.contracts.registry import suggest
from heistbench.bench.contracts.replies import Family
from heistbench.bench.prompting.compression import Style
from heistbench.bench.storage.shipped_models import card
from heistbench.bench.storage.strict import Strict
from heistbench.bench.suites.reply_sources import Provider, ReplySource, reply_source

Seed = Annotated[int, Field(ge=0, lt=2**32)]
Money = Annotated[float, Field(ge=0, le=1e6)]
MOST_QUESTIONS = 200_000
"""Of a split: more than the data sets here have, and what can still be made up in a minute."""
Questions = Annotated[int, Field(gt=0, le=MOST_QUESTIONS)]
Text = Annotated[str, Field(max_length=1000)]
"""The name of something: a model, a plugin with its parameters."""


def _known_engine(name: str) -> str:
    if name not in ENGINES:
        raise ValueError(f"unknown engine {name!r}{suggest(name, ENGINES)}")
    return name


class Decoding(Strict):
    """The way a model's replies are drawn."""

    temperature: Annotated[float, Field(ge=0)] = 0.0
    top_p: Annotated[float, Field(gt=0, le=1)] = 1.0
    max_new_tokens: Count = 512
    repetition_penalty: Annotated[float, Field(gt=0)] = 1.0

    def at(self, temperature: float | None) -> Decoding:
        """The same at another temperature; None leaves it."""
        return self if temperature is None else self.model_copy(update={"temperature": temperature})

    def sampling(self, seed: int = 0, **changes: Any) -> Sampling:
        """As the engines take it. Greedy decoding has no use for a seed, and is the same for all of them."""
        settings = replace(Sampling(**self.model_dump(), seed=seed), **changes)
        return settings if settings.temperature else replace(settings, seed=0)


class Compressor(Strict):
    """An instructed model that writes summaries of traces in one of the published styles (arXiv:2603.07267)."""

    model: Text
    style: Style = "sections"
    decoding: Decoding = Decoding()


class Prices(Strict):
    """Dollars per million tokens."""

    input: Money
    output: Money


class Api(Strict):
    """The way a victim behind a provider's API is asked.

    `shows` is what its replies are expected to hold; `effort` and `summaries` are passed on where they are set; `responses` asks
    through OpenAI's Responses API; a provider that refuses temperature and top_p has `takes_sampling` false; `retries` are those
    of one query, after 2, 4, 8... seconds or as long as the provider asks; `timeout` is in seconds per attempt.
    """

    base_url: str = ""
    shows: Sight = "summary"
    effort: str = ""
    summaries: Literal["none", "concise", "detailed", "auto"] = "auto"
    responses: bool = False
    takes_sampling: bool = True
    prices: Prices | None = None
    connections: Annotated[int, Field(gt=0, le=1000)] = 20
    retries: Annotated[int, Field(gt=0, le=100)] = 6
    timeout: Annotated[int, Field(gt=0, le=86_400)] = 600

    @property
    def identity(self) -> dict[str, Any]:
        """All settings that can change a reply."""
        return self.model_dump(exclude={"shows", "prices", "connections", "retries", "timeout"})


class Victim(Strict):
    """The model under attack. Name and release default to what a shipped model's card says.

    `compressor` writes the summaries its provider shows; without one the provider itself does, or the task.
    """

    model: Text
    name: Text = ""
    release: Text = ""
    decoding: Decoding = Decoding()
    family: Family = "think"
    compressor: Compressor | None = None
    api: Api = Api()

    @property
    def source(self) -> ReplySource:
        """Where its replies come from."""
        return reply_source(self.model)

    @property
    def remote(self) -> bool:
        """Whether it is behind a provider's API: asking it costs money, and nothing is known but what it shows."""
        return isinstance(self.source, Provider)

    @property
    def shows(self) -> Sight:
        """What the harness sees of its replies beside the answer: the traces of all but most victims behind an API."""
        return self.api.shows if self.remote else "trace"

    @property
    def called(self) -> tuple[str, str]:
        """Name and release."""
        stated = card(self.model)
        return self.name or stated.get("name", self.model), self.release or stated.get("release", "")

    @property
    def label(self) -> str:
        """`name-release`, as paths and tables show it."""
        return "-".join(filter(None, self.called))


class Surrogate(Strict):
    """The attacker's own reasoning model. With `lessons`, it is first taught that many problems of the surrogate split."""

    model: Text
    decoding: Decoding = Decoding(temperature=1.0)
    family: Family = "think"
    lessons: Annotated[int, Field(ge=0, le=MOST_QUESTIONS)] = 0
    recipe: Recipe = Recipe()

    @property
    def source(self) -> ReplySource:
        """Where its replies come from; an attacker owns it, so never a provider."""
        return reply_source(self.model)


class Inverter(Strict):
    """The model an inverter is made from, and its fine-tuning.

    With `restarts` it is trained that often, and the best by its loss on rows kept back is used: no victim is asked for that.
    """

    model: Text
    recipe: Recipe = Recipe()
    decoding: Decoding = Decoding()
    restarts: Annotated[int, Field(ge=1, le=100)] = 1


class Student(Strict):
    """The model that is fine-tuned on the loot, its fine-tuning, and its decoding in the exam."""

    model: Text
    recipe: Recipe = Recipe()
    decoding: Decoding = Decoding()


class Sizes(Strict):
    """Questions per split: attacked, the attacker's own, examined."""

    query: Questions = 1000
    surrogate: Questions = 6000
    test: Questions = 500


class Suite(Strict):
    """Every cell it names is one (victim, defense, attack, budget, task, exam, student, seed).

    Victims are robbed on `tasks` and students examined on `exams`; without any, on the test split of the task itself.
    `budgets` are numbers of queries, one per question attacked; without any, all of a task's. `sizes_of` gives tasks and
    exams sizes of their own. A suite whose arms need no surrogate, inverter or compressor names none. `engine` runs the models
    that are no API's, `signatures` says how overlap is measured. Controls that never ask the victim serve every cell of every
    victim as a yardstick: with `yardstick_seeds` they run on the seeds 0, 1, 2... up to that many, too. `smoke` holds the changes
    that make the suite run in a minute on any machine, with the same code and prompts and small models.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]*$", max_length=100)]
    description: str = ""
    tasks: Annotated[list[Text], Field(min_length=1)]
    exams: list[Text] = Field(default=[])
    victims: Annotated[list[Victim], Field(min_length=1)]
    surrogate: Surrogate | None = None
    inverter: Inverter | None = None
    compressor: Compressor | None = None
    students: Annotated[list[Student], Field(min_length=1)]
    attacks: list[Text]
    controls: list[Text]
    defenses: Annotated[list[Text], Field(min_length=1)] = Field(default=["none"])
    seeds: Annotated[list[Seed], Field(min_length=1)] = Field(default=[0])
    yardstick_seeds: Annotated[int, Field(ge=0, le=1000)] = 0
    sizes: Sizes = Sizes()
    sizes_of: dict[str, Sizes] = Field(default={})
    budgets: list[Annotated[int, Field(ge=0)]] = Field(default=[])
    engine: Annotated[str, AfterValidator(_known_engine)] = DEFAULT
    gpus: Annotated[float, Field(ge=0.01, le=64)] = 1.0
    signatures: Annotated[list[str], Field(min_length=1)] = Field(default=["words"])
    smoke: dict[str, Any] = Field(default={})


def fields_at(location: Sequence[int | str]) -> list[str]:
    """The names of the fields that a suite may have at a path of fields and places."""
    kinds: list[Any] = [Suite]
    for step in location:
        if isinstance(step, str):
            kinds = [inner for kind in kinds for inner in _models(_fields(kind).get(step))]
    return sorted({name for kind in kinds for name in _fields(kind)})


def _fields(kind: Any) -> dict[str, Any]:
    """The fields of a model or a dataclass, by name, with their types."""
    return get_type_hints(kind) if is_dataclass(kind) else {name: field.annotation for name, field in kind.model_fields.items()}


def _models(annotation: Any) -> list[Any]:
    """The models and dataclasses that a type is made of."""
    if is_dataclass(annotation) or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return [annotation]
    return [model for part in get_args(annotation) for model in _models(part)]
