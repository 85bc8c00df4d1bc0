"""The harness's public API: all that a plugin author imports."""

from heistbench.bench._choice import read_options
from heistbench.bench._compress import Style, compression_prompt
from heistbench.bench._data import DataFile, json_lines
from heistbench.bench._demos import WRAPPERS, Demonstration, Wrapper, demonstration_prompt, read_shown, show
from heistbench.bench._elicit import DEEP_THINK, Request, request_prompt, tool_prompt, with_boundary
from heistbench.bench._errors import BudgetExceeded, HeistError
from heistbench.bench._exposure import demonstrations, final_text, read_exposed, same_answer
from heistbench.bench._inversion import inversion_prompt, invert, own_rows, rebuilt
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
    Sight,
    Split,
    Stolen,
    Tool,
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
from heistbench.bench._text import Parts, render_call, render_reply, split_reply
from heistbench.bench._wall import Kit, Target, Truth

__all__ = [
    "DEEP_THINK",
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
    "Request",
    "Sight",
    "Split",
    "Stolen",
    "Style",
    "Target",
    "Task",
    "Tool",
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
    "compression_prompt",
    "defense",
    "demonstration_prompt",
    "demonstrations",
    "examination_only",
    "final_answer",
    "final_text",
    "first",
    "grade_math",
    "grade_math_all",
    "graded",
    "hundredth",
    "inversion_prompt",
    "invert",
    "json_lines",
    "list_scores",
    "own_rows",
    "question_id",
    "read_exposed",
    "read_number",
    "read_options",
    "read_shown",
    "read_trace",
    "readings",
    "rebuilt",
    "render_call",
    "render_reply",
    "request_prompt",
    "rouge_l",
    "same_answer",
    "show",
    "split_reply",
    "task",
    "tidy",
    "tool_prompt",
    "with_boundary",
    "write_trace",
]
