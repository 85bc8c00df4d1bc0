"""A comparison as a JUnit report, which continuous integration shows beside its tests."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from heistbench.leaderboard.compare.comparison import Change, Comparison, Pair
from heistbench.leaderboard.compare.report import MEANINGS, MOVED, attack, defense, groups, sentence, victim
from heistbench.leaderboard.words import clean

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SKIPPED: tuple[Change, ...] = ("does not discriminate", "unranked")
"""Verdicts that say nothing."""


def junit(comparison: Comparison, threshold: float) -> bytes:
    """One test case per pair: a failure where it is a regression beyond the threshold, skipped where nothing can be said.

    Controls are cases that never fail; where some moved, their suite's output says so.
    """
    from xml.etree import ElementTree

    regressions = comparison.regressions(threshold)
    root = ElementTree.Element("testsuites", {"name": "heist compare", **_counts(comparison.pairs, regressions)})
    for title, pairs in groups(comparison):
        suite = ElementTree.SubElement(root, "testsuite", {"name": _plain(title), **_counts(pairs, regressions)})
        for pair in pairs:
            _add_case(suite, pair, pair in regressions)
        if moved := [sentence(pair) for pair in comparison.moved() if pair in pairs]:
            ElementTree.SubElement(suite, "system-out").text = _plain(MOVED.format("; ".join(moved)))
    ElementTree.indent(root)
    report: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return report + b"\n"


def _add_case(suite: Element, pair: Pair, failed: bool) -> None:
    from xml.etree.ElementTree import SubElement

    classname = f"{pair.task}/{victim(pair)}/{defense(pair)}"
    case = SubElement(suite, "testcase", classname=_plain(classname), name=_plain(attack(pair)), time="0")
    verdict = pair.compared.verdict
    if failed:
        SubElement(case, "failure", type="regression", message=_plain(sentence(pair)))
    elif verdict in SKIPPED:
        SubElement(case, "skipped", message=_plain(f"{verdict}: {MEANINGS[verdict]}"))


def _counts(pairs: Sequence[Pair], regressions: Sequence[Pair]) -> dict[str, str]:
    failures = sum(pair in regressions for pair in pairs)
    skipped = sum(pair.compared.verdict in SKIPPED for pair in pairs)
    return {"tests": str(len(pairs)), "failures": str(failures), "errors": "0", "skipped": str(skipped), "time": "0"}


def _plain(text: str) -> str:
    """Text that XML 1.0 can hold: `clean` leaves two characters that it forbids."""
    return clean(text).translate({0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD})
