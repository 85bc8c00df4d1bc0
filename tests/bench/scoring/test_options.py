from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench import read_number, read_options, split_reply
from heistbench.bench.scoring import numbers as _number
from heistbench.bench.scoring import options as _choice
from heistbench.bench.scoring.plain_text import TAIL, boxes, plain

TEN = "ABCDEFGHIJ"
SETS = ["A", "B", "C", "D", "AB", "AC", "AD", "BC", "BD", "CD", "ABC", "ABD", "ACD", "BCD", "ABCD"]


# options: one answer


@pytest.mark.parametrize(
    "reply",
    [
        r"\boxed{B}",
        r"$\boxed{(B)}$",
        r"\boxed{\text{B}}",
        r"\boxed{\textbf{(B) }\frac{R}{6}}",
        r"\boxed{\mathrm{B}}",
        r"\boxed{\text{Option B}}",
        r"\[ \boxed{B} \]",
        r"\boxed{b}",
        r"\boxed{\text{(B) does not exist}}",
        "B",
        "(B)",
        "b)",
        "B.",
        "**B**",
        "`B`",
        "[B]",
        "B. 3.5 m/s",
        "(B) 12 J",
        "Answer: B",
        "ANSWER: B",
        "**Answer:** B",
        "**Answer: B**",
        "Answer - B",
        "Answer = B",
        "Answer (B)",
        "Answer: Option B",
        "Answer: option b",
        "Ans. b",
        "ans: (b)",
        "### Final Answer\n\n**B**",
        "## Answer\nB",
        "**Final Answer**\nOption B",
        "Final answer: B. The ball stops.",
        "The answer is (B).",
        "The answer is B",
        "The answer is “B”.",
        "The right answer is option 'B'.",
        "the answer should be B",
        "Thus the answer must be (B)",
        "The correct choice is: B) 5 m/s",
        "The correct option is B: I -> T; II -> R",
        r"Hence the correct answer is [B] $v = 3$ and $\omega = 4$.",
        r"The correct answer is (B) $\mathrm{C}_{2} \mathrm{H}_{6}$.",
        "Therefore, the correct answer is:\n\n(B) Newton",
        "Since none of the others fits and A is not possible, the correct option is (B).",
        "The correct answer is B because A and C violate energy conservation",
        "The correct answer is B, not A.",
        "Answer: B\n\nExplanation: A is wrong because of x. C is correct only for x > 0. D is wrong.",
        "Answer: (B). (A) is incorrect, and (C) is correct only if x > 0, see (D).",
        "(A) is incorrect. Answer: (B)",
        "I would choose B.",
        "I'd go with option (B).",
        "which matches option (B).",
        "The value is 3 (Option B).",
        "Hence option B is correct",
        "B is the correct answer.",
        "Option (A) is correct at first sight. Yet the signs differ. Therefore, option (B) is the correct answer.",
        "Only (B) is true.",
        "B is correct, A, C, D are incorrect.",
        "Hence (B).",
        "Option B.",
        "∴ (B)",
        "Thus, the value of $p$ is (B) $\\frac{1}{5}$.",
        "(A) False\n(B) True\n(C) False\n(D) False",
        "<answer>B</answer>",
        '{"answer": "B"}',
        "答案是 B",
        "故选 B。",
        "**答案:B**",
        "Answer: Ｂ",  # noqa: RUF001
        "Answer:\u200b \u202eB",
        "The final answer is: $\\boxed{B}$. I hope it is correct.",
        r"So the answer is B, \boxed{6.4 \times 10^{-34}}.",
    ],
)
def test_one_option_in_the_forms_models_write(reply: str) -> None:
    assert read_options(reply) == "B"


@pytest.mark.parametrize(
    "reply",
    [
        r"\boxed{\text{A, C}}",
        r"\boxed{AC}",
        r"\boxed{(A), (C)}",
        r"\boxed{(A)(C)}",
        r"\boxed{\text{(A) and (C)}}",
        r"\boxed{A \text{ and } C}",
        r"\boxed{A \& C}",
        r"\boxed{\{A, C\}}",
        r"\boxed{a, c}",
        r"\boxed{\textbf{(A) } x^2 \text{ and } \textbf{(C) } y^2}",
        r"the correct options are $\boxed{A}$ and $\boxed{C}$.",
        r"\boxed{\textbf{(A)}}, \boxed{\textbf{(C)}}",
        "A, C",
        "(A), (C)",
        "A C",
        "**A** and **C**",
        "> **(A), (C)**",
        "Only A and C.",
        "Answer: A and C",
        "Answer: A/C",
        "Answer: A) and C)",
        "Ans. a, c",
        "So my final answer: (a) and (c).",
        "**Correct Options: (A), (C)**",
        "Correct option(s): (A), (C)",
        "The correct statement(s) is(are): A and C.",
        "The correct options are (A) and (C). The charge of B stays.",
        r"The correct options are (A) $x^2$ and (C) $y^2$.",
        "The correct options are (A) and (C) while (B) and (D) are not.",
        "The correct options are:\n- (A) the first law\n- (C) the third law",
        "The correct options are:\n1. (A) the first law\n2. (C) the third law",
        "The correct options are:\n\nA. the first law\n\nC. the third law\n\nThat is all.",
        "The final answers are:\n(A) True\n(B) False\n(C) True\n(D) Not given",
        "In conclusion, the mixtures that deviate are:\n(A) water and salt\n(C) oil and water",
        "So the points on the line are (A) and (C).",
        "The final answer is that reactions (A) and (C) have equal enthalpies.",
        "A and C are correct",
        "Hence statements (A), (C) are true, while (B) and (D) are false.",
        "Final answer: (A) and (C) are correct, and (D) is incorrect.",
        "(A) is correct. (B) is incorrect. (C) is correct. (D) is wrong.",
        "(B) and (D) are wrong; (A) and (C) are right.",
        "The incorrect statements are (B) and (D), hence the answer is (A) and (C).",
        "The set of correct options is {A, C}.",
        r"The correct set is $\{A, C\}$",
        "{'answer': ['A', 'C']}",
        "<answer>\nA, C\n</answer>",
        "The correct answers are:\n* A\n* C",
        "| Option | Verdict |\n|---|---|\n| A | True |\n| B | False |\n| C | True |\n| D | False |",
        "(A) ✓\n(B) ✗\n(C) ✓\n(D) ✗",
        "答案:A、C",
        "因此,正确选项是(A)和(C)。",
    ],
)
def test_several_options_in_the_forms_models_write(reply: str) -> None:
    assert read_options(reply) == "AC"


@pytest.mark.parametrize(
    "reply", ["All four options are correct.", "All of the options are true", "(A), (B), (C) and (D) are right."]
)
def test_all_options(reply: str) -> None:
    assert read_options(reply) == "ABCD"


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "A particle moves in a circle.",
        "Answer: A particle moves in a circle.",
        "The answer is a function of x.",
        "I do not know.",
        "(A) is incorrect.",
        "Option A is not correct.",
        "The answer is A or B.",
        "Either (A) or (B).",
        "None of the options is correct.",
        "Therefore, none of the options (A), (B), (C), (D) are correct.",
        "The current is AC and the field is B.",
        "The answer is AC current.",
        "The electric field at A is 5 N/C and at B is 3 N/C.",
        "BAD news",
        "Now check which of the options are true:\n(A) x = 1\n(B) x = 2",
        "The options are:\n(A) 1\n(B) 2\n(C) 3\n(D) 4",
        "If (A) is true then x = 0.",
        r"\boxed{126}",
        r"\boxed{A = 3}",
        "We cannot say whether (B) and (C) are correct.",
    ],
)
def test_no_option_is_guessed(reply: str) -> None:
    assert read_options(reply) is None


@pytest.mark.parametrize(
    ("reply", "letter"),
    [
        ("The answer is (H).", "H"),
        ("The answer is I.", "I"),
        ("The answer is (I)", "I"),
        ("Answer: A", "A"),
        ("the correct option is **J**", "J"),
        ("I think so.", None),
        ("The answer is I think wrong", None),
        (r"\boxed{I}", "I"),
    ],
)
def test_other_sets_of_letters(reply: str, letter: str | None) -> None:
    assert read_options(reply, TEN) == letter
    assert read_options("The answer is (H).") is None


FORMS: list[Callable[[str], str]] = [
    lambda s: rf"\boxed{{{s}}}",
    lambda s: rf"So \[\boxed{{\text{{{', '.join(s)}}}}}\]",
    lambda s: f"**Answer:** {' and '.join(f'({c})' for c in s)}",
    lambda s: f"The correct options are {', '.join(s)}.",
    lambda s: f"Final answer: {s}",
    lambda s: f"The correct options are:\n{chr(10).join(f'({c}) law {i}' for i, c in enumerate(s))}",
    lambda s: "\n".join(f"({c}) is {'true' if c in s else 'false'}." for c in "ABCD"),
]


@given(
    st.sampled_from(SETS),
    st.sampled_from(FORMS),
    st.sampled_from(["", "A ball B hits C. ", "(A) is incorrect. ", "Let D = 3.\n\n"]),
)
def test_a_set_is_read_as_it_was_written(letters: str, form: Callable[[str], str], before: str) -> None:
    assert read_options(before + form(letters)) == letters


@given(st.text(), st.sampled_from(["ABCD", TEN]))
def test_what_is_read_is_sorted_letters_of_the_set(text: str, letters: str) -> None:
    found = read_options(text, letters)
    assert found is None or (found and set(found) <= set(letters) and list(found) == sorted(set(found)))


def test_every_real_reply_is_split_and_its_letter_recovered(test_data: Path) -> None:
    lines = (test_data / "traces/r1_mmlupro_pcmb/pcmb_traces.jsonl").read_text(encoding="utf-8").splitlines()
    assert len(lines) == 413
    for row in map(json.loads, lines):
        trace, answer = split_reply(f"<think>{row['reasoning']}</think>{row['answer_text']}")
        assert (trace, answer) == (row["reasoning"].strip(), row["answer_text"].strip())
        assert read_options(answer, TEN) == row["predicted_letter"], row["id"]


# numbers


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        (r"\boxed{4.47}", "4.47"),
        (r"\boxed{-14.6 \text{ kJ}}", "-14.6"),
        (r"\boxed{x = -14.6}", "-14.6"),
        (r"\boxed{{-}14.6}", "-14.6"),
        (r"\boxed{ - 14.6 }", "-14.6"),
        (r"x \approx -\boxed{5.44}", "-5.44"),
        ("−14.6", "-14.6"),  # noqa: RUF001
        ("Answer: –14.6", "-14.6"),  # noqa: RUF001
        ("Final Answer: -17.7", "-17.7"),
        ("Answer - 17.7", "17.7"),
        ("minus 14.6", "-14.6"),
        ("+7", "7"),
        (".5", "0.5"),
        ("5.", "5"),
        (r"\boxed{6.3 \times 10^{-3}}", "0.0063"),
        (r"6.3 \cdot 10^{5}", "630000"),
        ("6.3 × 10⁻³", "0.0063"),  # noqa: RUF001
        ("6.3 x 10^-3", "0.0063"),
        ("6.3*10^(-3)", "0.0063"),
        ("6.3 * 10**-3", "0.0063"),
        ("6.3e-3", "0.0063"),
        ("10^{5}", "100000"),
        ("1,250", "1250"),
        ("1,234,567.89", "1234567.89"),
        (r"\boxed{1{,}250}", "1250"),
        (r"\boxed{1\,250}", "1250"),
        ("Answer: 3/4", "3/4"),
        (r"\boxed{\frac{3}{4}}", "3/4"),
        (r"\boxed{\dfrac34}", "3/4"),
        (r"\boxed{-\frac{11}{2}}", "-11/2"),
        (r"\boxed{\frac{-11}{2}}", "-11/2"),
        (r"\boxed{1\frac{1}{2}}", "3/2"),
        ("1½", "3/2"),
        ("The ratio is 3:1", "3"),
        ("11%", "11"),
        (r"\boxed{11\%}", "11"),
        (r"\boxed{90^\circ}", "90"),
        ("25 °C", "25"),
        (r"\boxed{5~\Omega}", "5"),
        (r"\boxed{3 \mu\text{F}}", "3"),
        (r"\boxed{5.56 \pm 0.01}", "5.56"),
        (r"$5 \times 10^{3}~\mathrm{m\,s^{-1}}$", "5000"),
        ("nine", "9"),
        ("The answer is twelve.", "12"),
        ("approximately 5.56", "5.56"),
        ("Answer: ~3.3", "3.3"),
        ("W = 8500 J", "8500"),
        ("**Answer:** 42", "42"),
        ("### Final Answer\n\n9", "9"),
        ("Answer:\n\n$$9$$", "9"),
        ("Ans. 4", "4"),
        ("答案是 9。", "9"),
        ("<answer>42</answer>", "42"),
        ('{"answer": 42}', "42"),
        ("#### 42", "42"),
        ("The answer, correct to 2 decimal places, is 5.56.", "5.56"),
        ("x is 5.56, rounded to two decimal places.", "5.56"),
        ("5.56 (rounded to 2 decimal places)", "5.56"),
        ("The maximum value is 7, which occurs at x = 2.", "7"),
        ("The value is 5 at t = 3", "5"),
        ("the answer is 4 (since 2+2=4)", "4"),
        ("So the smallest value for $n_f$ is 5.", "5"),
        ("Total = 16 + 12 = 28", "28"),
        ("v = d/t = 5 m/s, which is fast", "5"),
        ("Therefore there are 180 possible ways.", "180"),
        (r"\begin{align*} x &= 1 \\ &= 576 \end{align*}", "576"),
        ("The final answer is 10 \\cdot 9! = 3628800.", "3628800"),
        ("The answer is 5!", "5"),
        (r"\boxed{2^{10}}", "1024"),
        ("3.14159...", "3.14159"),
        ("Question 1 gives \\boxed{3}. Question 2 gives \\boxed{4}.", "4"),
        (r"\boxed{n+1} which for n = 4 is the answer: 5", "5"),
    ],
)
def test_numbers_in_the_forms_models_write(reply: str, number: str) -> None:
    assert read_number(reply) == Fraction(number)


@pytest.mark.parametrize(
    ("reply", "number"),
    [
        (r"\boxed{2\sqrt{3}}", 3.4641),
        (r"\boxed{\frac{\pi}{4}}", 0.7854),
        (r"\boxed{\ln 2}", 0.6931),
        (r"\boxed{\frac{20\pi - 45}{9}}", 1.9813),
        (r"\boxed{2\sqrt{2}+2\pi-6}", 3.1116),
        (r"\boxed{(1+\sqrt{3})\cdot\frac{\pi}{2}}", 4.2915),
    ],
)
def test_arithmetic_that_was_left_open_is_worked_out(reply: str, number: float) -> None:
    found = read_number(reply)
    assert found is not None
    assert float(found) == pytest.approx(number, abs=1e-4)


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "no number here",
        r"\boxed{}",
        r"\boxed{\infty}",
        r"\boxed{n+1}",
        r"\boxed{3x}",
        r"\boxed{\frac{13}{3}\alpha^2 - 1}",
        r"\boxed{2a^{2}}",
        r"\boxed{(4,3)}",
        r"\boxed{1, 2}",
        r"\boxed{2\text{ to }3}",
        "Answer: 5 or 6",
        "between 2 and 3",
        "2-3",
        "2–3",  # noqa: RUF001
        "The answer lies between 3 and 4",
        "Rounding to 2 decimal places",
        "The 5th term",
        "Answer: 3,5",
        "9" * 61,
        "Answer: 10^{999999999}",
        r"\boxed{2^{2^{2^{2^{2^{2}}}}}}",
        r"\boxed{\frac{1}{0}}",
        r"\boxed{0^{-1}}",
        r"\boxed{(-8)^{0.5}}",
        r"\boxed{\sqrt{-1}}",
    ],
)
def test_no_number_is_guessed(reply: str) -> None:
    assert read_number(reply) is None


@given(
    st.decimals(-(10**6), 10**6, places=2),
    st.sampled_from(
        [r"\boxed{%s}", "Answer: %s", "The answer is **%s** kJ.", "So $E = %s \\mathrm{~J}$.", "Hence x is about %s m."]
    ),
)
def test_a_number_is_read_as_it_was_written(number: Any, form: str) -> None:
    assert read_number(form % number) == Fraction(number)


@given(st.text(st.sampled_from("0123456789.,+-*/^(){}\\ frac sqrt!xe=")))
def test_any_arithmetic_ends(text: str) -> None:
    read_number(f"\\boxed{{{text}}}")


# text


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert len(plain(text)) <= TAIL
    read_options(text)
    read_number(text)


def test_only_the_tail_is_read() -> None:
    assert read_options("Answer: B" + "\nx" * TAIL) is None
    assert read_number("x\n" * TAIL + "Answer: 7") == 7


def test_boxes_are_matched_brace_by_brace() -> None:
    assert [content for _, _, content in boxes(r"\boxed{a_{1}} \boxed{\{2\}} \boxed{open")] == [r"\{2\}", "a_{1}"]
    assert [content for _, _, content in boxes(r"\boxed{1 \boxed{2}}")] == [r"1 \boxed{2}", "2"]


@pytest.mark.parametrize(
    "unit",
    [
        "\\boxed{", "\\boxed{A", "is ", "is only both all the of ", "the answer is (A) and ", "A, ", "ABCD", " ", "\n", "(", "\0",
        "9", "1,", "\\frac{1}{", "9^", "answer ", "answer: 5x ", "A is ", "(A) x\n", "if (A) is true ", "\\boxed{1^{9^{9}}x} ",
        "\u202e(A)", "\ufdfa", "\\text{", "- ", "minus ", "$", "\\sqrt{", "170!*", "is\n", "the correct ", "= -", "=",
    ],
)  # fmt: skip
def test_hostile_text_is_read_in_no_time(unit: str) -> None:
    for text in (unit * (10**6 // len(unit)), "Answer: " + unit * 100 + "}" * 100):
        started = time.process_time()
        read_options(text, TEN)
        read_number(text)
        assert time.process_time() - started < 2


@pytest.mark.parametrize(("module", "read"), [(_choice, read_options), (_number, read_number)])
def test_the_tables_in_the_docstrings_are_true(module: ModuleType, read: Callable[[str], object]) -> None:
    rows = re.findall(r"^\| (`.*`) +\| (\S+) +\|$", module.__doc__ or "", re.MULTILINE)
    assert len(rows) >= 7
    for cell, value in rows:
        for written in re.findall("`(.*?)`", cell):
            found = read(written.replace("⏎", "\n"))
            assert found == (None if value == "None" else value if read is read_options else Fraction(value)), written
