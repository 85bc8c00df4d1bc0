"""Noisy answers: with some probability, the number at the end of a reply is replaced by a wrong one."""

import re
from random import Random
from typing import Literal

from heistbench.bench import Defense, Exposure, Prompt, Reply, defense

_DIGITS = re.compile(r"[0-9]{1,18}(?![0-9])")  # the end of a longer number


@defense("noise_answers", version="1-A", touches=("answer",), random=True)
class NoiseAnswers(Defense):
    """Falsify the last number of the visible text with probability `rate`; text without a number passes unchanged.

    The arguments of a tool call are visible too. A provider cannot know which of them is the answer, so the last number of each
    is replaced. Equal numbers stay equal, since a call that contradicts itself would give the noise away.

    `how`: `uniform` draws from the other numbers with as many digits; `near` moves the last digit by one, 9 and 0 being
    neighbours. `fresh` draws again each time a prompt is repeated. Otherwise the same prompt gets the same noise, so that
    repeating it reveals nothing.
    """

    rate: float = 0.5
    how: Literal["uniform", "near"] = "uniform"
    fresh: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.rate <= 1:
            raise ValueError(f"rate={self.rate} is not between 0 and 1")

    @property
    def sticky(self) -> bool:
        return not self.fresh

    def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
        parts, wrong = [reply.text, *reply.arguments.values()], dict[str, str]()
        if not any(map(_DIGITS.search, parts)) or rng.random() >= self.rate:
            return reply.exposed()
        text, *arguments = (self._noised(part, wrong, rng) for part in parts)
        return reply.exposed(text=text, arguments=dict(zip(reply.arguments, arguments, strict=True)))

    def _noised(self, text: str, wrong: dict[str, str], rng: Random) -> str:
        """A text with its last number falsified; a number that is already in `wrong` is falsified in the same way."""
        numbers = list(_DIGITS.finditer(text))
        if not numbers:
            return text
        last = numbers[-1]
        if last[0] not in wrong:
            wrong[last[0]] = self._wrong(last[0], rng)
        return text[: last.start()] + wrong[last[0]] + text[last.end() :]

    def _wrong(self, digits: str, rng: Random) -> str:
        if self.how == "near":
            return digits[:-1] + str((int(digits[-1]) + rng.choice((1, 9))) % 10)
        lowest = 10 ** (len(digits) - 1) if len(digits) > 1 else 0
        shift = rng.randrange(1, 10 ** len(digits) - lowest)
        return str(lowest + (int(digits) - lowest + shift) % (10 ** len(digits) - lowest))
