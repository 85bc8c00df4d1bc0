"""Redacted summaries: without numbers, cut to the first sentence, or removed."""

import re
from random import Random
from typing import Literal

from heistbench.bench import Defense, Exposure, Prompt, Reply, defense

_SIGNED_NUMBER = re.compile(r"(?<!\w)[-+]?\d+(?:[.,]\d+)*(?:[eE][-+]?\d+)?")  # the 2 of "s2" or "x2" is part of a name
_SENTENCE_END = re.compile(r"(?<=[.!?])\s|\n")


@defense("redact_summary", version="1-A", touches=("summary",))
class RedactSummary(Defense):
    """Replace every number by # (`numbers`), keep only the first sentence (`first_sentence`), or show no summary (`all`)."""

    level: Literal["numbers", "first_sentence", "all"] = "numbers"

    def release(self, prompt: Prompt, reply: Reply, rng: Random) -> Exposure:
        return reply.exposed(summary=self._redact(reply.summary))

    def _redact(self, summary: str | None) -> str | None:
        if summary is None or self.level == "all":
            return None
        if self.level == "numbers":
            return _SIGNED_NUMBER.sub("#", summary)
        return _SENTENCE_END.split(summary.strip(), maxsplit=1)[0]
