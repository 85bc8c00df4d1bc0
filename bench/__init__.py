"""The harness's public API: all that a plugin author imports."""

from heistbench.bench._choice import read_options
from heistbench.bench._data import DataFile, json_lines
from heistbench.bench._demos import WRAPPERS, Demonstration, Wrapper, demonstration_prompt, read_shown, show
from heistbench.bench._errors import BudgetExceeded, HeistError
from heistbench.bench._inversion import inversion_prompt, invert
from heistbench.bench._mathgrade import MathTask, grade_math, grade_math_all
from heistbench.bench._mathtext import boxed_answer
from heistbench.bench._nouns import (
    Bill,
    Exposure,
    Grade,
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
from heistbench.bench._number import read_number
from heistbench.bench._openbook import OpenBook, ask, read_trace, tidy, write_trace
from heistbench.bench._plugins import Attack, Defense, Task, attack, defense, task
from heistbench.bench._qascore import answer_scores, bleu, final_answer, graded, list_scores, readings, rouge_l
from heistbench.bench._splits import examination_only, first, hundredth
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
    "Grade",
    "HeistError",
    "Kit",
    "MathTask",
    "Message",
    "OpenBook",
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
    "answer_scores",
    "ask",
    "attack",
    "bleu",
    "boxed_answer",
    "defense",
    "demonstration_prompt",
    "examination_only",
    "final_answer",
    "first",
    "grade_math",
    "grade_math_all",
    "graded",
    "hundredth",
    "inversion_prompt",
    "invert",
    "json_lines",
    "list_scores",
    "question_id",
    "read_number",
    "read_options",
    "read_shown",
    "read_trace",
    "readings",
    "render_reply",
    "rouge_l",
    "show",
    "split_reply",
    "task",
    "tidy",
    "write_trace",
]
