"""A comparison as a JUnit report, which continuous integration shows beside its tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from heistbench.leaderboard.compare.comparison import Change, Comparison, Pair
from heistbench.leaderboard.compare.report import (
    MEANINGS,
    MOVED,
    attack,
    both,
    defense,
    groups,
    sentence,
    users_sentence,
    victim,
)
from heistbench.leaderboard.compare.users import UserChange
from heistbench.leaderboard.words import clean

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

SKIPPED: tuple[Change, ...] = ("does not discriminate", "unranked")
"""Verdicts that say nothing."""
USERS = "honest users"
"""The suite of what honest users get."""


@dataclass(frozen=True, slots=True)
class Gate:
    """What fails: attacks that teach more by more than `threshold`, honest users who get less by more than `users_threshold`, and
    attacks that cannot be judged unless `allow_unjudged`.
    """

    threshold: float = 0.0
    users_threshold: float = 0.0
    allow_unjudged: bool = False


def junit(comparison: Comparison, gate: Gate) -> bytes:
    """One test case per pair, and one for the honest users behind each defense.

    A failure is a regression, or a loss, beyond its threshold; an error what cannot be judged, unless that is allowed; skipped is
    what says nothing. Controls are cases that never fail; where some moved, their suite's output says so.
    """
    from xml.etree import ElementTree

    root = ElementTree.Element("testsuites", {"name": "heist compare"})
    regressions, unjudged = comparison.regressions(gate.threshold), [] if gate.allow_unjudged else comparison.unjudged()
    for title, pairs in groups(comparison):
        suite = ElementTree.SubElement(root, "testsuite", {"name": _plain(title)})
        for pair in pairs:
            _add_case(suite, pair, pair in regressions, pair in unjudged)
        if moved := [sentence(pair) for pair in comparison.moved() if pair in pairs]:
            ElementTree.SubElement(suite, "system-out").text = _plain(MOVED.format("; ".join(moved)))
    if comparison.users:
        suite, losses = ElementTree.SubElement(root, "testsuite", {"name": USERS}), comparison.losses(gate.users_threshold)
        for users in comparison.users:
            _add_users(suite, users, users in losses)
    for element in (root, *root):
        element.attrib.update(_counts(element))
    ElementTree.indent(root)
    report: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return report + b"\n"


def _add_users(suite: Element, users: UserChange, failed: bool) -> None:
    from xml.etree.ElementTree import SubElement

    classname = f"{users.task}/{both(*users.victims)}/{USERS}"
    case = SubElement(suite, "testcase", classname=_plain(classname), name=_plain(both(*users.defenses)), time="0")
    if failed:
        SubElement(case, "failure", type="honest users", message=_plain(users_sentence(users)))


def _add_case(suite: Element, pair: Pair, failed: bool, unjudged: bool) -> None:
    from xml.etree.ElementTree import SubElement

    classname = f"{pair.task}/{victim(pair)}/{defense(pair)}"
    case = SubElement(suite, "testcase", classname=_plain(classname), name=_plain(attack(pair)), time="0")
    verdict = pair.compared.verdict
    if failed:
        SubElement(case, "failure", type="regression", message=_plain(sentence(pair)))
    elif unjudged:
        SubElement(case, "error", type="not judged", message=_plain(MEANINGS[verdict]))
    elif verdict in SKIPPED:
        SubElement(case, "skipped", message=_plain(f"{verdict}: {MEANINGS[verdict]}"))


def _counts(element: Element) -> dict[str, str]:
    """The counts of a suite, or of all of them."""
    tags = {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}
    return {**{name: str(sum(1 for _ in element.iter(tag))) for name, tag in tags.items()}, "time": "0"}


def _plain(text: str) -> str:
    """Text that XML 1.0 can hold: `clean` leaves two characters that it forbids."""
    return clean(text).translate({0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD})
