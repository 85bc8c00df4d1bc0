"""The harness's public API: all that a plugin author imports."""

from heistbench.bench._data import DataFile
from heistbench.bench._demos import WRAPPERS, Demonstration, Wrapper, demonstration_prompt, read_shown, show
from heistbench.bench._errors import BudgetExceeded, HeistError
from heistbench.bench._inversion import inversion_prompt, invert
from heistbench.bench._nouns import (
    Bill,
    Exposure,
    Message,
    Problem,
    Prompt,
    Question,
    Refusal,
    Reply,
    Split,
    Stolen,
    TraceCheck,
    Usage,
    Verdict,
    question_id,
)
from heistbench.bench._plugins import Attack, Defense, Task, attack, defense, task
from heistbench.bench._text import Parts, render_reply, split_reply
from heistbench.bench._wall import Kit, Target, Truth

__all__ = [
    "WRAPPERS",
    "Attack",
    "Bill",
    "BudgetExceeded",
    "DataFile",
    "Defense",
    "Demonstration",
    "Exposure",
    "HeistError",
    "Kit",
    "Message",
    "Parts",
    "Problem",
    "Prompt",
    "Question",
    "Refusal",
    "Reply",
    "Split",
    "Stolen",
    "Target",
    "Task",
    "TraceCheck",
    "Truth",
    "Usage",
    "Verdict",
    "Wrapper",
    "attack",
    "defense",
    "demonstration_prompt",
    "inversion_prompt",
    "invert",
    "question_id",
    "read_shown",
    "render_reply",
    "show",
    "split_reply",
    "task",
]
