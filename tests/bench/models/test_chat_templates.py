"""Chat templates of strangers: sandboxed, ended in time, and their errors in one line."""

from __future__ import annotations

import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from heistbench.bench import HeistError, Prompt
from heistbench.bench.models import chat_templates
from heistbench.bench.models.chat_templates import render
from heistbench.bench.models.checkpoints import checkpoint
from heistbench.bench.models.transformers_engine import TransformersEngine

ENDLESS = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"


@pytest.fixture
def tokenizer() -> Any:
    """A shipped model's, to give another template."""
    return checkpoint("pocket/base").load()[1]


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("{{ ''.__class__.__mro__[1].__subclasses__() }}", "access to attribute '__class__'"),
        ("{{ cycler.__init__.__globals__.os.mkdir('sprung') }}", "access to attribute '__init__'"),
        ("{{ messages.append(1) }}", "is not safely callable|unsafe"),
        ("{{ raise_exception('\x1b[31mboo') }}", r"\\x1b\[31mboo"),
        ("{% for %}", "Expected an expression"),
        ("{{ 1 / 0 }}", "division by zero"),
        ("{% include '/etc/passwd' %}", "no loader"),
        ("{% for i in range(999999) %}{% endfor %}", "Range too big"),
    ],
)
def test_a_template_reaches_nothing(
    tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, template: str, reason: str
) -> None:
    monkeypatch.chdir(tmp_path)
    tokenizer.chat_template = template
    with pytest.raises(HeistError, match=rf"^chat template of .*pocket/base: .*(?:{reason})") as refused:
        render(tokenizer, Prompt.of("hi"))
    assert str(refused.value).isprintable()
    assert not list(tmp_path.iterdir())


def test_a_template_without_end_is_stopped(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_templates, "SECONDS", 0.2)
    tokenizer.chat_template = ENDLESS
    with pytest.raises(HeistError, match=r"chat template of .*: takes more than 0\.2 s"):
        render(tokenizer, Prompt.of("hi"))


def test_engines_render_within_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chat_templates, "SECONDS", 0.2)
    engine = TransformersEngine(checkpoint("pocket/base"))
    engine.tokenizer.chat_template = ENDLESS
    with pytest.raises(HeistError, match="takes more than"):
        engine.render(Prompt.of("hi"))


def test_the_alarm_is_as_before_afterwards(tokenizer: Any) -> None:
    before = signal.getsignal(signal.SIGALRM)
    assert "hi" in render(tokenizer, Prompt.of("hi"))
    assert (signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)) == (before, (0.0, 0.0))


def test_other_threads_render_too(tokenizer: Any) -> None:
    texts: list[str] = []
    thread = threading.Thread(target=lambda: texts.append(render(tokenizer, Prompt.of("hi"))))
    thread.start()
    thread.join()
    assert texts == [render(tokenizer, Prompt.of("hi"))]
