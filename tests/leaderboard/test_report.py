"""`heist compare`: tables, JSON, JUnit, exit codes; hostile names are text in each of them."""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from rich.console import Console

from heistbench.bench.storage.records import Record
from heistbench.bench.storage.result_files import write_record
from heistbench.leaderboard.compare.comparison import Comparison, compare, compare_within
from heistbench.leaderboard.compare.junit import Gate, junit
from heistbench.leaderboard.compare.report import as_json, lines, tables
from heistbench.leaderboard.words import clean, p_text, pieces, share, signed, signed_span

Make = Callable[..., Record]
Heist = Callable[..., Any]
LONG = "trace_inversion(adaptive=true,use_summary=false)"


@pytest.fixture(scope="module")
def releases(make: Make, control: Make) -> tuple[list[Record], list[Record]]:
    """Two releases: the second opens `rep`, closes an inversion and lacks `gone`; `young` has one seed, `weak` never gains."""

    def release(name: str, rep: float, inversion: float) -> list[Record]:
        known: dict[str, Any] = {"arm__release": name, "provenance__models__victim": f"sha256:v{name}"}
        made = []
        for seed in range(3):
            made += [control("untrained", 0.1, seed=seed, **known), control("surrogate_trace", 0.4, seed=seed, **known)]
            made += [make("rep", wall, rep, seed, **known) for wall in ("none", "redact_summary(level=all)+noise_answers")]
            made += [make(LONG, "none", inversion, seed, **known), make("weak", "none", 0.2, seed, **known)]
            made += [make("gone", "none", 0.5, seed, **known)] if name == "1" else []
        return [*made, make("young", "none", 0.9, 0, **known)]

    return release("1", 0.5, 0.9), release("2", 0.9, 0.5)


@pytest.fixture(scope="module")
def comparison(releases: tuple[list[Record], list[Record]]) -> Comparison:
    return compare(*releases)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory, releases: tuple[list[Record], list[Record]]) -> tuple[Path, Path]:
    """The two releases as folders beside each other. To be read only."""
    both = tmp_path_factory.mktemp("releases")
    return written(both / "a", releases[0]), written(both / "b", releases[1])


def written(folder: Path, records: Sequence[Record]) -> Path:
    for record in records:
        write_record(folder, record)
    return folder


def printed(comparison: Comparison, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    for table in tables(comparison, width):
        console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


# tables


@pytest.mark.parametrize("width", [80, 100, 120, 160])
def test_the_table_fits_and_cuts_no_number_and_no_word_of_a_name(comparison: Comparison, width: int) -> None:
    text = printed(comparison, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for pair in comparison.pairs:
        change = pair.compared
        for value in (share(pair.base.accuracy), share(pair.new.accuracy), share(change.detectable), signed(change.mean)):
            assert value in text
        assert signed_span(change.interval) in text
        assert change.p_adjusted is None or p_text(change.p_adjusted) in text
        assert all(piece in text for name in (pair.new.attack, pair.new.defense) for piece in pieces(name))


def test_the_table_says_what_a_reader_needs(comparison: Comparison) -> None:
    text = " ".join(printed(comparison, 200).split())
    assert "pocket · victim oracle-1 → oracle-2 · student pocket/base · 200 queries" in text
    phrases = ("▲ worse", "▼ better", "≡ same", "∅ does not discriminate", "· unranked", "120 questions, 1 to 3 seeds")
    assert all(phrase in text for phrase in (*phrases, "new minus base"))
    assert text.index("▲ worse") < text.index("▼ better") < text.index("surrogate_trace")


def test_the_lines_under_it_count_verdicts_and_list_what_has_no_pair(comparison: Comparison) -> None:
    report_lines = lines(comparison, 0)
    assert report_lines[0] == "2 worse, 1 better, 1 does not discriminate, 1 unranked, of 5 attacks"
    assert "only in base, not compared: pocket/oracle-1/none/gone/200-queries/pocket-base" in report_lines
    assert [line.split(",")[0] for line in report_lines if line.startswith("worse")] == [
        "worse: rep", "worse: rep behind redact_summary(level=all)+noise_answers",
    ]  # fmt: skip
    rep = comparison.regressions()[0]
    assert f"oracle-1 → oracle-2: {rep.base.accuracy:.2f} to {rep.new.accuracy:.2f}, +0.4" in report_lines[-2]


def test_regressions_within_the_threshold_are_not_named(comparison: Comparison) -> None:
    assert not [line for line in lines(comparison, 0.9) if line.startswith("worse")]
    assert [line for line in lines(comparison, 0.1) if line.startswith("worse by more than 0.1: rep")]


def test_ground_that_moved_is_said(control: Make) -> None:
    base, new = ([control("untrained", share, seed=seed) for seed in range(3)] for share in (0.2, 0.8))
    report_lines = lines(compare(base, new), 0)
    assert report_lines[0] == "none, of 0 attacks"
    assert report_lines[1].startswith("the ground moved: untrained, oracle-1: 0.")


def test_within_one_source_nothing_is_base_or_new(releases: tuple[list[Record], list[Record]]) -> None:
    compared = compare_within(releases[0], "attack", LONG, "rep")
    text = " ".join([*printed(compared, 200).split(), *lines(compared, 0)])
    assert "B minus A" in text
    assert "base," not in text
    assert "only in A, not compared" not in text
    assert "only in B, not compared: " in text


# JSON


def test_json_holds_everything(comparison: Comparison) -> None:
    raw = json.loads(json.dumps(as_json(comparison, 0.1), allow_nan=False))
    assert (raw["sides"], raw["threshold"], raw["regressions"]) == (["base", "new"], 0.1, 2)
    assert raw["verdicts"] == {
        "worse": 2,
        "better": 1,
        "tie": 0,
        "same": 0,
        "does not discriminate": 1,
        "unranked": 1,
    }
    assert (raw["unjudged"], raw["losses"], [users["verdict"] for users in raw["users"]]) == (1, 0, ["tie", "tie"])
    assert raw["only"] == {"base": ["pocket/oracle-1/none/gone/200-queries/pocket-base"], "new": []}
    assert len(raw["pairs"]) == len(comparison.pairs)
    first, pair = raw["pairs"][0], comparison.pairs[0]
    assert first["regression"] is True
    assert (first["base"]["victim"], first["new"]["seeds"]) == ("oracle-1", [0, 1, 2])
    assert (first["compared"]["mean"], first["compared"]["p_adjusted"]) == (pair.compared.mean, pair.compared.p_adjusted)


# JUnit


def test_junit_counts_are_those_of_its_elements(comparison: Comparison) -> None:
    root = ElementTree.fromstring(junit(comparison, Gate(0.0)))
    for element in (root, *root.findall("testsuite")):
        for name, tag in (("tests", "testcase"), ("failures", "failure"), ("skipped", "skipped"), ("errors", "error")):
            assert int(element.attrib[name]) == len(list(element.iter(tag)))
    assert [root.attrib[name] for name in ("tests", "failures", "skipped", "errors")] == ["9", "2", "1", "1"]
    assert len(comparison.pairs) == 7
    assert all(case.attrib.keys() >= {"classname", "name", "time"} for case in root.iter("testcase"))
    places = [(case.attrib["classname"], case.attrib["name"]) for case in root.iter("testcase")]
    assert len(set(places)) == len(places)


def test_junit_fails_regressions_and_skips_what_says_nothing(comparison: Comparison) -> None:
    root = ElementTree.fromstring(junit(comparison, Gate(0.0)))
    cases = {(case.attrib["classname"], case.attrib["name"]): [child.tag for child in case] for case in root.iter("testcase")}
    where = "pocket/oracle-1 → oracle-2/none"
    assert cases[where, "rep"] == ["failure"]
    assert cases[where, LONG] == cases[where, "untrained"] == []
    assert (cases[where, "weak"], cases[where, "young"]) == (["skipped"], ["error"])
    allowed = ElementTree.fromstring(junit(comparison, Gate(allow_unjudged=True)))
    assert (allowed.attrib["errors"], allowed.attrib["skipped"]) == ("0", "2")
    assert "rep, oracle-1 → oracle-2: 0." in next(root.iter("failure")).attrib["message"]


def test_junit_of_a_threshold_above_all_differences_fails_nothing(comparison: Comparison) -> None:
    assert not list(ElementTree.fromstring(junit(comparison, Gate(1.0))).iter("failure"))


def test_junit_says_that_the_ground_moved(control: Make) -> None:
    base, new = ([control("untrained", share, seed=seed) for seed in range(3)] for share in (0.2, 0.8))
    root = ElementTree.fromstring(junit(compare(base, new), Gate(0.0)))
    assert "the ground moved: untrained" in (root.findtext("testsuite/system-out") or "")
    assert root.attrib["failures"] == "0"


# the command


def test_a_regression_ends_with_1_and_a_threshold_above_it_with_0(heist: Heist, folders: tuple[Path, Path]) -> None:
    ended = heist("compare", *folders)
    assert (ended.code, ended.err) == (1, "")
    assert "2 worse, 1 better" in ended.out
    assert heist("compare", *folders, "--threshold", 0.9, "--allow-unjudged").code == 0
    assert heist("compare", folders[0], folders[0]).code == 0


def test_what_closed_an_attack_ends_with_0(heist: Heist, folders: tuple[Path, Path]) -> None:
    ended = heist("compare", *folders[::-1], "--threshold", 0.5, "--allow-unjudged")
    assert ended.code == 0


def test_what_cannot_be_judged_ends_with_4_unless_that_is_allowed(heist: Heist, folders: tuple[Path, Path]) -> None:
    ended = heist("compare", *folders, "--threshold", 0.9)
    assert ended.code == 4
    assert "not judged: fewer than 3 seeds on one side: no verdict: young" in ended.out


def test_users_who_get_less_end_with_1_and_are_a_case_of_their_own(heist: Heist, tmp_path: Path, make: Make) -> None:
    kept = ({"utility__accuracy": share, "utility__refused": 0.0} for share in (0.9, 0.4))
    base, new = (
        written(tmp_path / name, [make("rep", seed=s, **use) for s in range(3)]) for name, use in zip("ab", kept, strict=True)
    )
    ended = heist("compare", base, new, "--junit", tmp_path / "x.xml")
    assert ended.code == 1
    assert "users get less: behind none, oracle-1: 0.90 to 0.40" in " ".join(ended.out.split())
    (case,) = (case for case in ElementTree.parse(tmp_path / "x.xml").iter("testcase") if case.find("failure") is not None)
    assert (case.attrib["classname"], case.attrib["name"]) == ("pocket/oracle-1/honest users", "none")
    assert heist("compare", base, new, "--users-threshold", 0.6).code == 0


def test_two_versions_of_a_defense_need_to_be_named(heist: Heist, tmp_path: Path, make: Make) -> None:
    gate = {"spec": "gate", "name": "gate", "parameters": {}, "touches": [], "random": False}
    folders = [
        written(tmp_path / v, [make("rep", "gate", seed=s, arm__defenses=[{**gate, "version": v}]) for s in range(3)])
        for v in ("1-A", "2-A")
    ]
    assert heist("compare", *folders).code == 2
    assert heist("compare", *folders, "--changed", "gate").code == 0
    assert (
        "--changed gates: no such attack or defense in both sources; did you mean 'gate'?"
        in heist("compare", *folders, "--changed", "gates").err
    )


def test_releases_of_one_folder_are_compared_by_name(heist: Heist, folders: tuple[Path, Path]) -> None:
    by_name = heist("compare", "1", "oracle-2", "--results", folders[0].parent, "--json")
    assert by_name.code == 1
    assert json.loads(by_name.out) == json.loads(heist("compare", *folders, "--json").out)


def test_two_attacks_of_one_folder(heist: Heist, folders: tuple[Path, Path]) -> None:
    assert heist("compare", folders[0], "--attack", "rep", LONG).code == 1
    assert heist("compare", "--results", folders[0], "--attack", LONG, "rep").code == 0
    ended = heist("compare", folders[1], "--defense", "none", "redact_summary(level=all)+noise_answers", "--json")
    assert json.loads(ended.out)["verdicts"]["tie"] == 1


def test_junit_is_written_beside_the_report(heist: Heist, folders: tuple[Path, Path], tmp_path: Path) -> None:
    report = tmp_path / "reports" / "compare.xml"
    assert heist("compare", *folders, "--junit", report).code == 1
    assert ElementTree.parse(report).getroot().attrib["failures"] == "2"
    assert [path.name for path in report.parent.iterdir()] == ["compare.xml"]


WRONG = {
    "nothing": ([], "expected BASE and NEW"),
    "one source": (["{a}"], "expected BASE and NEW"),
    "three sources": (["{a}", "{b}", "{a}"], "{a}"),
    "attacks and two sources": (["{a}", "{b}", "--attack", "rep", "weak"], "within one source"),
    "attacks and defenses": (["{a}", "--attack", "rep", "weak", "--defense", "none", "wall"], "expected one of them"),
    "one attack": (["{a}", "--attack", "rep"], "--attack requires 2"),
    "a threshold for users above one": (["{a}", "{b}", "--users-threshold", "2"], "--users-threshold 2.0: expected"),
    "a change within one source": (["{a}", "--attack", "rep", "weak", "--changed", "rep"], "--changed: expected BASE and NEW"),
    "an unknown attack": (["{a}", "--attack", "rep", "reps"], "no results of attack 'reps'; did you mean 'rep'?"),
    "an unknown defense": (["{a}", "--defense", "none", "wall"], "no results of defense 'wall'"),
    "a threshold above one": (["{a}", "{b}", "--threshold", "1.5"], "--threshold 1.5: expected a difference in accuracy, 0 to 1"),
    "a threshold below zero": (["{a}", "{b}", "--threshold=-0.1"], "--threshold -0.1"),
    "a threshold that is no number": (["{a}", "{b}", "--threshold", "nan"], "--threshold nan"),
    "an unknown source": (["{a}", "nowhere", "--results", "{b}"], "nothing to compare is called 'nowhere'"),
    "a report that cannot be written": (["{a}", "{b}", "--junit", "{a}"], "--junit {a}: expected a file, this is a folder"),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_mistake_is_one_line_and_2(heist: Heist, folders: tuple[Path, Path], what: str) -> None:
    words, expected = WRONG[what]
    names = dict(zip("ab", folders, strict=True))
    ended = heist("compare", *(word.format(**names) for word in words))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("heist: error: ")
    assert ended.err.count("\n") == 1
    assert expected.format(**names) in ended.err


def test_incomparable_results_end_with_2_field_and_files(heist: Heist, tmp_path: Path, make: Make) -> None:
    base, new = written(tmp_path / "a", [make("rep")]), written(tmp_path / "b", [make("rep", arm__recipe={"epochs": 9})])
    ended = heist("compare", base, new)
    assert ended.code == 2
    path = "pocket/oracle-1/none/rep/200-queries/pocket-base/seed-0.json"
    assert f"arm.recipe.epochs is 30 in base: {path} and 9 in new: {path}" in ended.err


# hostile names

HOSTILE = [
    "[bold red]x[/]", "[/]", ":smile:", "\x1b[31mx\x1b[0m", "a\u202eb\u2066c", "x\ny\tz\r", "\x00\x0b", "\ufffe\uffff", "]]>",
    "<script>alert(1)</script>", "&amp;\"'", "\u2028\x9b", "../../x", "e\u0301é🤖",
]  # fmt: skip
FORBIDDEN = {"Cc", "Cf", "Cs", "Zl", "Zp"}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_text_everywhere(make: Make, name: str) -> None:
    known = {
        "arm__victim": name,
        "arm__student": name,
        "arm__task": {"spec": name, "name": name, "version": "1-A", "parameters": {}},
    }
    base, new = ([make(name, name, share, seed, **known) for seed in range(3)] for share in (0.1, 0.9))
    compared = compare([*base, make(f"more {name}", name, **known)], new)
    everywhere = [printed(compared, 100), "\n".join(lines(compared, 0)), json.dumps(as_json(compared, 0), ensure_ascii=False)]
    for text in everywhere:
        assert not {char for char in text if char != "\n" and unicodedata.category(char) in FORBIDDEN}
        assert "[/]" not in name or "[/]" in "".join(text.split())
    assert "".join(clean(name).split()) in "".join(everywhere[0].split())
    case = next(ElementTree.fromstring(junit(compared, Gate(0))).iter("testcase"))
    assert case.attrib["name"] == clean(name).translate({0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD})
    assert [child.tag for child in case] == ["failure"]


def test_hostile_names_stay_on_one_line_of_an_error(heist: Heist, tmp_path: Path, make: Make) -> None:
    name = "x\x1b[31m\n\u202ey"
    folder = written(tmp_path, [make(name)])
    ended = heist("compare", folder, "--attack", name, "rep")
    assert ended.code == 2
    assert ended.err.rstrip("\n").isprintable()
