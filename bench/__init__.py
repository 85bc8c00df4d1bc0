"""The harness's public API: all that a plugin author imports."""

from heistbench.bench.contracts.decorators import attack, defense, task
from heistbench.bench.contracts.errors import BudgetExceeded, HeistError
from heistbench.bench.contracts.nouns import (
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
from heistbench.bench.contracts.plugins import Attack, Defense, Task
from heistbench.bench.contracts.replies import Parts, render_call, render_reply, split_reply
from heistbench.bench.contracts.splits import examination_only, first, hundredth
from heistbench.bench.contracts.wall import Kit, Target, Truth
from heistbench.bench.prompting.compression import Style, compression_prompt
from heistbench.bench.prompting.demonstrations import (
    WRAPPERS,
    Demonstration,
    Wrapper,
    demonstration_prompt,
    demonstrations,
    final_text,
    read_exposed,
    read_shown,
    same_answer,
    show,
)
from heistbench.bench.prompting.inversion import inversion_prompt, invert, own_rows, rebuilt
from heistbench.bench.prompting.requests import DEEP_THINK, Request, request_prompt, tool_prompt, with_boundary
from heistbench.bench.scoring.math_text import boxed_answer
from heistbench.bench.scoring.mathematics import MathTask, grade_math, grade_math_all
from heistbench.bench.scoring.numbers import read_number
from heistbench.bench.scoring.open_answers import answer_scores, bleu, final_answer, graded, list_scores, readings, rouge_l
from heistbench.bench.scoring.open_book import OpenBook, ask, read_trace, tidy, write_trace
from heistbench.bench.scoring.options import read_options
from heistbench.bench.storage.data_files import DataFile, json_lines, text_of

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
    "text_of",
    "tidy",
    "tool_prompt",
    "with_boundary",
    "write_trace",
]
