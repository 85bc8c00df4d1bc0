from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from math import ceil
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import Grade, Verdict
from heistbench.bench.scoring import sandbox as bounded
from heistbench.bench.scoring.math_text import TAIL, find_answer, tidy
from heistbench.bench.scoring.mathematics import grade_math, grade_math_all, math_verifier

SLACK = 1.5
"""Seconds for the start of a worker, and for a busy machine."""


def disagreeing(pairs: dict[str, list[str]], verdict: Verdict) -> list[tuple[str, str, str, str]]:
    """Golds and replies that are not graded as they should be."""
    flat = [(gold, reply) for gold, replies in pairs.items() for reply in replies]
    graded = zip(flat, grade_math_all(flat), strict=True)
    return [(*pair, grade.verdict.value, grade.extracted) for pair, grade in graded if grade.verdict is not verdict]


# what models write

RIGHT: dict[str, list[str]] = {
    r"2\sqrt{3}": [
        r"\boxed{2\sqrt{3}}", r"\boxed {2\sqrt {3}}", r"\boxed{\sqrt{12}}", r"\boxed{12^{1/2}}", r"\fbox{$2\sqrt{3}$}",
        r"\boxed{$2\sqrt{3}$}", r"\boxed{\(2\sqrt{3}\)}", "so \\boxed{\n2\\sqrt{3}\n}", r"\\boxed{2\\sqrt{3}}",
        r"\boxed{\displaystyle 2\sqrt{3}}", r"\boxed{\mathbf{2\sqrt{3}}}", r"\boxed{x = 2\sqrt{3}}", r"\boxed{2\sqrt{3}.}",
        r"\boxed{2\sqrt{3} \approx 3.46}", r"\boxed{2\sqrt{3}\ \text{units}}", r"\boxed{2\sqrt{3}\text{ cm}}",
        r"\boxed{2\cdot\sqrt3}", r"First \boxed{5}, but that is wrong. So \boxed{2\sqrt{3}}",
        r"$\boxed{2\sqrt{3}}$ because $1+1=2$.", r"The answer is 2\sqrt{3}.", r"The answer is $2\sqrt3$",
        r"**Answer:** $2\sqrt{3}$", "Answer: 2√3", r"x = 2\sqrt{3}", "2*sqrt(3)", "so it is 2 sqrt(3).", r"\boxed{2\sqrt{3}",
    ],
    "42": [
        "42", "42.", "The answer is 42.", "= 42", "**42**", "answer: **42**", r"\boxed{42.0}", "42 apples", "$42$ apples",
        "ANSWER: 42", r"\boxed{42 \text{ apples}}", r"\boxed{042}", "So 6*7 = 42", "The answer is $42",
        "The answer is 42 dollars, since 6*7 is 42", r"\boxed{\text{42}}", "The answer is forty-two (42)", "n=42",
        "Answer: \\[42\\]", r"\boxed{\boxed{42}}", r"\boxed{42}\boxed{}", "#### 42", "The answer is:\n\n42",
        "**Final Answer**\n42", "**Final Answer:** 42 [since 40+2]", "<answer>42</answer>",
        "**Step 1** x = 3\n**Step 2** y = 14\n\n**Final Answer:** The product is 42.", "So the answer is `42`.",
        "The largest $n$ is 42.", "Final answer: The largest $n$ is 42. I hope it is correct.",
        r"\boxed{41}. No. The final answer is $42$.", "- 42", r"\boxed{+42}", "#### Step 3: check\n6 * 7 is 42",
        r"\boxed{42^\circ}", r"\boxed{\frac{84}{2}}", r"\boxed{5! - 78}", "\uff14\uff12", "\u202e\\boxed{42}\u202c", "4\u200b2",
        "4\0002", '{"answer": 42}', "$n = 42$ for 3 reasons:\nit is the answer.\n\n\\[ 6 \\cdot 7 = 42 \\]",
    ],
    "1,-2": [
        r"\boxed{-2, 1}", r"\boxed{1}, \boxed{-2}", r"\boxed{1} and \boxed{-2}", r"\boxed{x=1 \text{ or } x=-2}",
        r"$x=1$ or $x=-2$", "x = 1, x = -2", r"\boxed{x = 1, -2}", r"\boxed{\{1, -2\}}", "The solutions are 1 and -2.",
        r"The answers are $1$ and $-2$.", "1 and -2", r"\boxed{1\text{ and }-2}", r"The answer is \( x = 1 \) or \( x = -2 \).",
    ],
    "3, 5, 7": ["3, 5, and 7", r"\boxed{3}, \boxed{5}, and \boxed{7}", r"\boxed{7,5,3}", "The answers are $3$, $5$ and $7$."],
    "(3,4)": [
        "(3, 4)", "The answer is (3, 4).", r"\boxed{\left(3, 4\right)}", r"(x, y) = (3, 4)", r"$(x,y) = (3,4)$",
        r"\boxed{(3.0,\,4)}", r"\boxed{\langle 3, 4\rangle}", "x=3, y=4", r"\boxed{\big(3,4\big)}",
    ],
    r"\left( 3, \frac{\pi}{2} \right)": [r"\boxed{(3, \pi/2)}", "(3, π/2)", "The answer is (3, pi/2), as r = 3."],
    r"\text{Evelyn}": [
        "Evelyn", "The answer is Evelyn.", r"\boxed{Evelyn}", "**Evelyn**", r"\boxed{\textbf{Evelyn}}",
        r"\boxed{\mathrm{Evelyn}}", "**Answer:** Evelyn", r'\boxed{"Evelyn"}', "The answer is Evelyn, who was faster.",
    ],
    r"\text{even}": [
        "The function is even.", "even", r"\boxed{even}", r"\boxed{\text{Even}}", "The answer is even because f(-x) = f(x).",
    ],
    r"\text{(C)}": [
        r"\boxed{\text{C}}", "C", "(C)", "The answer is C.", "The answer is (C).", r"\boxed{\textbf{(C)}}",
        r"\boxed{\text{(C) } 5}", "Answer: C) 5", r"\boxed{\text{C.}}",
    ],
    "2516_8": [r"\boxed{2516_{8}}", "2516_8", r"The answer is $2516_{8}$.", "2516₈", r"\boxed{2516}"],
    r"1\frac{4}{5}": [r"\boxed{\frac95}", r"\boxed{1.8}", "1 4/5", "9/5"],
    r"137 \frac{1}{2}": [r"\boxed{137.5}", "137½", "137 1/2"],
    r"\$18.90": [
        "$18.90", r"\boxed{18.90}", r"\boxed{\$18.9}", "The answer is $18.90.", r"\$18.90",
        "It costs $18.90 and not $20.00: $18.90",
    ],
    r"\$32,\!348": [r"\boxed{32348}", "$32,348", r"\boxed{32,348 \text{ dollars}}", r"\boxed{\$32{,}348}"],
    r"11,\! 111,\! 111,\! 100": [r"\boxed{11,111,111,100}", "11111111100"],
    "58,500": ["58500", r"\boxed{58{,}500}", r"\boxed{58\,500}", "58 500", r"\boxed{5.85 \times 10^4}"],
    ".0000672": [r"\boxed{6.72 \times 10^{-5}}", r"\boxed{0.0000672}"],
    "0.15": [r"\boxed{15\%}", r"\boxed{\frac{3}{20}}", r"\boxed{.15}"],
    r"\frac{3}{4}": [
        "3/4", "0.75", r"\boxed{\tfrac{3}{4}}", r"\boxed{3/4}", r"The answer is \frac{3}{4}", "¾", "The probability is 3/4.",
    ],
    "1/3": [r"\boxed{0.333333}", "1/3", r"\frac13"],
    r"15\mbox{ cm}^2": [
        r"\boxed{15}", r"\boxed{15\text{ cm}^2}", "15 cm²", r"\boxed{15\ \mathrm{cm}^2}", "15 square centimeters",
    ],
    r"864 \mbox{ inches}^2": [r"\boxed{864\text{ square inches}}", "864"],
    r"5.4 \text{ cents}": [r"\boxed{5.4 \text{ cents per pound}}", "5.4"],
    r"90^\circ": [r"\boxed{90}", "90°", "90 degrees", r"\boxed{90 \text{ degrees}}"],
    r"x \in [-2,7]": [r"\boxed{[-2,7]}", r"\boxed{-2 \le x \le 7}", r"\boxed{-2 \leq x \leq 7}"],
    r"(2,\infty)": [r"\boxed{x > 2}", r"\boxed{(2, +\infty)}", "(2, ∞)", "(2, infinity)"],
    "(3,4]": [r"\boxed{3 < x \leq 4}", r"\boxed{(3, 4]}"],
    "y = 2x + 3": [r"\boxed{2x+3}", r"\boxed{y = 3 + 2x}", "The line is y = 2x + 3."],
    "x=5": [r"\boxed{5}", "x = 5"],
    "5x - 7y + 11z + 4 = 0": [r"\boxed{5x-7y+11z=-4}"],
    "f(x)=x^2+1": [r"\boxed{f(y) = y^2 + 1}"],
    r"1 \pm \sqrt{19}": [r"\boxed{1+\sqrt{19}, 1-\sqrt{19}}"],
    r"\{1\pm\sqrt{5},-2\}": [r"\boxed{-2, 1+\sqrt5, 1-\sqrt5}"],
    r"\begin{pmatrix} -1/3 \\ 2/3 \end{pmatrix}": [r"\boxed{\begin{bmatrix} -\frac{1}{3} \\[4pt] \frac{2}{3} \end{bmatrix}}"],
    r"\frac{11+9a}{20}": [r"\boxed{\frac{9a+11}{20}}"],
    "x^3+3x-6": ["x^3 + 3x - 6", "x³ + 3x \u2212 6", "The remainder is x^3 + 3x - 6."],
    r"\cot x": ["cot(x)", r"\boxed{\frac{1}{\tan x}}"],
    r"12\pi": ["12π", "12*pi cm^2", r"\boxed{12\pi\text{ cm}^2}"],
    "-1": ["\u22121", "The answer is \u20131.", r"\boxed{-1}"],
    "1000.99": ["1000,99", "the number is not 10 which is 1,000.99€", "it's 1,000.99m²"],
    "5": ["5 m", r"\boxed{5 m}"],
}  # fmt: skip
WRONG: dict[str, list[str]] = {
    "42": [
        "41",
        r"\boxed{43}",
        r"\boxed{42x}",
        r"\boxed{42} is what I thought first. Now: \boxed{41}",
        "It is not 42 but 24.",
        "-42",
    ],
    r"\frac34": [r"\boxed{\frac43}", "0.76"],
    "(3,4)": [r"\boxed{(4,3)}", r"\boxed{[3,4]}"],
    "1,2": [r"\boxed{1}", "12", r"\boxed{1,2,3}"],
    "12": ["1, 2", "1 2"],
    "15": [r"\boxed{.15}"],
    "x=5": ["y=5", r"\boxed{x = 6}"],
    "3t": [r"\boxed{3}"],
    "5x": [r"\boxed{5}"],
    "2516_8": [r"\boxed{2516_7}", r"\boxed{2517_8}"],
    r"(2,\infty)": [r"[2,\infty)"],
    r"\text{east}": [r"\boxed{west}"],
    r"\text{even}": [r"\boxed{odd}", "The function is odd."],
    r"\text{(C)}": [r"\boxed{D}", "The answer is (D) and not (C)."],
    "0.33": [r"\boxed{\frac13}"],
    ".0000672": [r"\boxed{0.0000670}", r"\boxed{6.71 \times 10^{-5}}"],
    r"\pi": ["3.14159"],
    r"1 - \frac{1}{\mathrm{e}}": [r"$1 + \frac{1}{\mathrm{e}}$"],
}
UNPARSABLE = [
    "",
    "dunno",
    "It is hard.",
    "three",
    "The answer is unclear.",
    "  \n",
    "\u202e" * 50,
    "I do not know.",
    r"\boxed{}",
    "Let us think about this for a while and then some more",
]


def test_answers_as_models_write_them_are_right() -> None:
    assert disagreeing(RIGHT, Verdict.RIGHT) == []


def test_other_answers_are_wrong() -> None:
    assert disagreeing(WRONG, Verdict.WRONG) == []


def test_replies_without_mathematics_are_unparsable() -> None:
    assert disagreeing({"42": UNPARSABLE}, Verdict.UNPARSABLE) == []


@pytest.mark.parametrize(
    ("reply", "extracted"),
    [
        (r"Thus $\boxed{\frac{1}{2}}$.", r"\frac{1}{2}"),
        (r"\boxed{3} and \boxed{-2}", "3, -2"),
        (r"**Answer:** $\frac{3}{4}$", r"\frac{3}{4}"),
        ("so x = 2*sqrt(3).", r"x = 2\cdot \sqrt{3}"),
        (r"\boxed{" + "1+" * 300 + "1}", ("1+" * 100)[:199] + "…"),
    ],
)
def test_the_grade_shows_what_was_graded(reply: str, extracted: str) -> None:
    assert grade_math("7", reply) == Grade(Verdict.WRONG, extracted=extracted)


def test_only_the_end_of_a_reply_is_looked_at() -> None:
    assert grade_math("42", r"\boxed{42}" + " so" * TAIL).verdict is not Verdict.RIGHT
    assert grade_math("42", "so " * TAIL + r"\boxed{42}").verdict is Verdict.RIGHT


def test_decimals_are_compared_to_so_many_places() -> None:
    pair = (r"\frac{8}{3}", "2.667")
    assert [grade_math_all([pair], places)[0].verdict for places in (6, 3)] == [Verdict.WRONG, Verdict.RIGHT]


@given(
    st.integers(-(10**9), 10**9),
    st.sampled_from(["%s", r"\boxed{%s}", "The answer is $%s$.", "so\n**Final Answer:** %s", "#### %s"]),
)
def test_whole_numbers_are_right_alone(n: int, form: str) -> None:
    golds = [f"{n}", f"{n:,}", f"{n + 1}", f"{-n - 1}"]
    verdicts = [grade.verdict for grade in grade_math_all([(gold, form % f"{n:,}") for gold in golds])]
    assert verdicts == [Verdict.RIGHT, Verdict.RIGHT, Verdict.WRONG, Verdict.WRONG]


@given(st.text(max_size=300))
def test_any_text_gets_a_verdict(text: str) -> None:
    assert grade_math("42", text).verdict in (Verdict.RIGHT, Verdict.WRONG, Verdict.UNPARSABLE, Verdict.TIMEOUT)
    assert find_answer(tidy(text)) == find_answer(tidy(text + "\u200b"))


# referees: MATH-500 and math-verify's own tests

EXCEPTIONS = {
    31: "asks for LaTeX alone, without numbers in prose; a number on a line of its own is read here, and is right",
    32: "the same in other brackets",
    187: "expects that an interval is not the inequality that says the same; 186 expects that it is",
    250: "expects that f(x) is f(y); 249, that it is not",
    260: "is mathematically wrong: 1 - 1/e is not 1 + 1/e",
}


def test_the_verdicts_of_math_verifys_own_tests(test_data: Path) -> None:
    lines = (test_data / "math_equiv" / "math_verify_pairs.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    places = [row["opts"].get("precision", 6) for row in rows]
    found: dict[int, bool] = {}
    for decimals in sorted(set(places)):
        at = [i for i, n in enumerate(places) if n == decimals]
        grades = grade_math_all([(rows[i]["gold"], rows[i]["pred"]) for i in at], decimals)
        found |= {i: grade.verdict is Verdict.RIGHT for i, grade in zip(at, grades, strict=True)}
    assert {i for i, row in enumerate(rows) if found[i] != row["expected"]} == set(EXCEPTIONS)
    assert 1 - len(EXCEPTIONS) / len(rows) >= 0.98


FORMS: dict[str, Callable[[dict[str, str]], str]] = {
    "alone": lambda row: row["answer"],
    "boxed": lambda row: rf"\boxed{{{row['answer']}}}",
    "in a sentence": lambda row: f"The answer is ${row['answer']}$.",
    "in a sentence without dollars": lambda row: f"The answer is {row['answer']}.",
    "in Markdown": lambda row: f"Let $x = 5$.\n\n**Answer:** {row['answer']}",
    "under a heading": lambda row: f"We are done.\n\n**Final Answer**\n\n\\[ {row['answer']} \\]\n",
    "at the end": lambda row: f"We compute.\nSo the result is ${row['answer']}$.",
    "in its solution": lambda row: row["solution"],
}


def math500(folder: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in (folder / "math500" / "test.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.mark.parametrize("form", FORMS)
def test_gold_is_gold_in_all_of_math_500(test_data: Path, form: str) -> None:
    rows = math500(test_data)
    grades = grade_math_all([(row["answer"], FORMS[form](row)) for row in rows])
    assert [row["answer"] for row, grade in zip(rows, grades, strict=True) if grade.verdict is not Verdict.RIGHT] == []
    assert len(rows) == 500


def test_gold_is_gold_by_computation_too(test_data: Path) -> None:
    verify = math_verifier()
    item: dict[str, Any] = {"bound": False, "decimals": 6}
    rows = math500(test_data)
    wrong = [r["answer"] for r in rows if not verify({**item, "gold": [f"${r['answer']}$"], "answer": [f"${r['answer']}$"]})[0]]
    assert [gold for gold in wrong if r"\$" not in gold] == []


def test_another_questions_gold_is_right_where_it_is_the_same_alone(test_data: Path) -> None:
    golds = sorted({row["answer"] for row in math500(test_data)})
    pairs = [(gold, rf"\boxed{{{other}}}") for gold, other in zip(golds, golds[1:] + golds[:1], strict=True)]
    right = [pair for pair, grade in zip(pairs, grade_math_all(pairs), strict=True) if grade.verdict is Verdict.RIGHT]
    # In alphabetical order, some stand beside themselves with a unit.
    assert [pair for pair in right if not pair[1].startswith((rf"\boxed{{{pair[0]}^\circ", rf"\boxed{{{pair[0]}\mbox"))] == []


# hostile texts

MARK = "{mark}"
CODE = [
    "__import__('os').system('touch {mark}')",
    r"\boxed{__import__('os').system('touch {mark}')}",
    "$__import__('os').system('touch {mark}')$",
    "The answer is __import__('os').system('touch {mark}').",
    r"\boxed{\text{__import__('os').system('touch {mark}')}}",
    r"\boxed{\operatorname{exec}(open('{mark}','w'))}",
    r"\[ f(x)=open('{mark}','w') \]",
    "The answer is 1+eval(\"open('{mark}','w')\")",
    "Answer: 1*(().__class__.__base__.__subclasses__())",
]


def test_code_is_not_run(tmp_path: Path) -> None:
    mark = tmp_path / "run"
    replies = [code.replace(MARK, str(mark)) for code in CODE]
    grades = grade_math_all([(gold, reply) for gold in ("42", r"\text{east}", "x^2") for reply in replies])
    assert {grade.verdict for grade in grades} <= {Verdict.WRONG, Verdict.UNPARSABLE}
    assert not mark.exists()


LONG = [r"\frac{1}{1+" * 40 + "1" + "}" * 40, "9^{9^{9^{9^9}}}", "((10!)!)!"]
LONG += [r"(a+b+c+d+e+f+g)^{60}-(a+b)^{60}"]
SHORT = {
    "a tower in prose": "9^(9^(9^9))",
    "a megabyte of digits": "1" * 1_000_000,
    "a megabyte of digits in a box": r"\boxed{" + "1" * 1_000_000 + "}",
    "a megabyte of letters": "a" * 1_000_000,
    "a megabyte of dollars": "$" * 1_000_000,
    "a megabyte of marks": "answer is " * 100_000,
    "a megabyte of boxes": r"\boxed{1}" * 100_000,
    "a megabyte of open boxes": r"\boxed{" * 100_000,
    "nested braces": r"\boxed{" + "{" * 100_000 + "1" + "}" * 100_000 + "}",
    "nested boxes": r"\boxed{" * 2_000 + "5" + "}" * 2_000,
    "nested brackets": "(-" * 9_000,
    "many digits": r"\boxed{" + "7" * 15_000 + "}",
    "products of many digits": r"\boxed{" + "7" * 9_000 + r"\times" + "7" * 9_000 + "}",
    "unclosed text": r"\text{" * 3_000,
    "many numbers": "1,000" * 4_000,
    "many spaces": r"\boxed{1" + " " * 15_000 + "2}",
    "many lines": "\n" * 20_000 + ".",
    "many dots": ("answer" + "." * 40) * 400,
    "many units": r"\boxed{1" + "a " * 7_000 + "^}",
    "many brackets": "(" * 20_000,
    "NUL bytes": "\0" * 20_000,
    "signs that grow": "\ufdfa" * 20_000,
    "half characters": "\ud800" * 100,
}


def test_what_computes_for_ever_is_a_timeout() -> None:
    grade_math("1", "2")
    began = time.monotonic()
    grades = grade_math_all([("42", rf"\boxed{{{text}}}") for text in LONG])
    assert time.monotonic() - began < ceil(len(LONG) / bounded.cores()) * (bounded.SECONDS + SLACK)
    assert {(grade.verdict, grade.reason) for grade in grades} == {(Verdict.TIMEOUT, "took longer than 3 s")}
    assert [grade.extracted for grade in grades[1:]] == LONG[1:]


@pytest.mark.parametrize("gold", ["42", "x^2", r"\text{(C)}"])
def test_hostile_texts_get_a_verdict_at_once(gold: str) -> None:
    for name, text in SHORT.items():
        began = time.monotonic()
        grade = grade_math(gold, text)
        assert time.monotonic() - began < bounded.SECONDS, name
        assert grade.verdict in (Verdict.WRONG, Verdict.UNPARSABLE), name


@pytest.mark.parametrize(
    ("failure", "reason"),
    [("memory", "took more than 512 MB"), ("crash", "the grader died of it"), ("timeout", "took longer than 3 s")],
)
def test_a_failure_is_never_wrong(monkeypatch: pytest.MonkeyPatch, failure: str, reason: str) -> None:
    monkeypatch.setattr(bounded.Pool, "map", lambda self, items: [bounded.Failure(failure) for _ in items])
    assert grade_math("42", "41") == Grade(Verdict.TIMEOUT, extracted="41", reason=reason)


@pytest.mark.skipif(sys.platform == "win32", reason="no signals")
def test_killed_graders_lose_nothing() -> None:
    pairs = [(str(i), rf"\boxed{{{i} + {i % 2}}}") for i in range(400)]
    grade_math_all(pairs[:20])
    with ThreadPoolExecutor(1) as thread:
        future = thread.submit(grade_math_all, pairs)
        for child in psutil.Process().children():
            if "resource_tracker" not in " ".join(child.cmdline()):  # Python's own, which other tests need
                time.sleep(0.2)
                os.kill(child.pid, signal.SIGKILL)
        verdicts = [grade.verdict for grade in future.result()]
    assert verdicts == [Verdict.WRONG if i % 2 else Verdict.RIGHT for i in range(400)]
