"""Redacting summaries: the recap loses its numbers, all but its first sentence, or everything."""

import re
from random import Random
from typing import Literal

from heistbench.bench import Defense, Exposure, Prompt, Reply, defense

_SIGNED_NUMBER = re.compile(r"(?<!\w)[-+]?\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?")  # the 2 of "s2" or "x2" is part of a name
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|\n")


@defense("redact_summary", version="1-A", touches=("summary",))
class RedactSummary(Defense):
    """`numbers` puts # for every number, `first_sentence` keeps the first sentence only, `all` shows no summary."""

    level: Literal["numbers", "first_sentence", "all"] = "numbers"

    def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
        return reply.exposed(summary=self._redact(reply.summary))

    def _redact(self, summary: str | None) -> str | None:
        if summary is None or self.level == "all":
            return None
        if self.level == "numbers":
            return _SIGNED_NUMBER.sub("#", summary)
        return _SENTENCE_END.split(summary.strip(), maxsplit=1)[0]
