"""Chat templates, which come with a model and are its maker's programs: rendered in transformers' sandbox, and not for ever."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from heistbench.bench.contracts.errors import HeistError, one_line
from heistbench.bench.contracts.nouns import Prompt
from heistbench.bench.contracts.replies import render_prompt

if TYPE_CHECKING:
    from types import FrameType

    from transformers import PreTrainedTokenizerBase

SECONDS = 5.0
"""The time that one prompt may take; an honest template takes a millisecond."""


def render(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> str:
    """See `render_prompt`. Raises HeistError for a template that fails, or does not end."""
    try:
        with _time_limit(SECONDS):
            return render_prompt(tokenizer, prompt)
    except Exception as error:  # a template can raise what it likes
        raise HeistError(f"chat template of {tokenizer.name_or_path}: {one_line(error) or type(error).__name__}") from error


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError in this thread after some time; without effect outside the main thread, where no signals arrive."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def late(number: int, frame: FrameType | None) -> None:
        raise TimeoutError(f"takes more than {seconds:g} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
