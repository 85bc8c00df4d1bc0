"""The pages: escaped, accessible, every figure with its table, every number with its file."""

from __future__ import annotations

import json
import re
import shlex
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaderboard.conftest import example, exposure, make_control, make_record, sample_records
from leaderboard.markup import HOSTILE, LITERAL, Reader, harmless

from heistbench.bench.cli import app
from heistbench.bench.storage.records import Record
from heistbench.leaderboard.pages import render
from heistbench.leaderboard.pages.cellpage import CellPage, command
from heistbench.leaderboard.pages.colours import DARK, LIGHT, contrast, fill, ink
from heistbench.leaderboard.pages.contest import Contest, cells, contest_of
from heistbench.leaderboard.pages.summary import Summary, summary_of
from heistbench.leaderboard.words import clean

Make = Callable[..., Record]


def cell_pages(contest: Contest) -> Iterator[str]:
    """The pages of a contest's cells."""
    for panel, cell in cells(contest):
        records = contest.records(panel, cell)
        files = [f"seed-{record.arm.seed}.json" for record in records]
        yield render.cell_page(CellPage.of(panel, cell, records, files), contest, "../")


def all_pages(records: Sequence[Record]) -> list[str]:
    """Every page of one contest's records, and the index."""
    contest = contest_of(records)
    return [render.index_page([summary_of(contest)]), render.contest_page(contest), *cell_pages(contest)]


@pytest.fixture(scope="module")
def index(sample: list[Record]) -> str:
    return all_pages(sample)[0]


@pytest.fixture(scope="module")
def page(sample: list[Record]) -> str:
    return all_pages(sample)[1]


@pytest.fixture(scope="module")
def cell(make: Make) -> Reader:
    """The page of one cell of two seeds."""
    return Reader(all_pages([make("rep(shots=2)", "noise_answers", 0.5, seed) for seed in (3, 4)])[-1])


# what is on them


def test_the_contest_says_what_a_reader_needs(page: str) -> None:
    text = Reader(page).shown()
    for phrase in ("▲ steals", "worst case", "honest user", "not run: answer_only", "over surrogate_trace", "12,345"):
        assert phrase in text
    assert "not evidence about real models" in text


def test_pocket_and_unranked_are_said_only_where_they_are_so(make: Make, page: str) -> None:
    math = {"arm__task__name": "math", "arm__task__spec": "math", "arm__exam__spec": "math", "arm__student": "s"}
    assert not any("model organisms" in other for other in all_pages([make(**math)]))
    assert "*</b>" not in page
    assert "*</b>" in all_pages(sample_records(seeds=1))[1]


def test_a_missing_pair_is_a_dash(page: str) -> None:
    assert page.count('<td class="blank">–</td>') == 1  # noqa: RUF001


def test_every_cell_of_the_matrix_leads_to_its_page_and_tells_its_row(page: str, sample: list[Record]) -> None:
    contest, read = contest_of(sample), Reader(page)
    wanted = {f"../{quote(contest.page(*place))}" for place in cells(contest)}
    assert len(wanted) == 8
    assert wanted <= set(read.all("href"))
    assert [tip.split("\n")[0] for tip in read.all("data-tip") if "untrained" in tip] == ["untrained on none"]
    assert len(read.all("data-tip")) == 8


def test_every_figure_has_its_table(page: str) -> None:
    figures = re.findall(r'<figure class="chart" id="([^"]*)">(.*?)</figure>', page, flags=re.DOTALL)
    assert len(figures) == 2
    for name, figure in figures:
        spec = re.search(rf'<script type="application/json" id="{re.escape(name)}-spec">(.*?)</script>', figure, flags=re.DOTALL)
        assert spec
        rows = sum(len(data) for data in json.loads(spec[1])["datasets"].values())
        assert rows == figure.count("<tr>") - 1 > 0
        assert "<details open>" in figure
        assert f'<div class="plot" data-chart="{name}" hidden></div>' in figure


def test_a_panel_opens_with_its_matrix_and_figures_and_its_lists_are_folded(page: str) -> None:
    open_part = re.sub(r"<details>.*?</details>", "", page, flags=re.DOTALL)
    assert '<table class="matrix">' in open_part
    assert "Bill: " not in open_part
    assert re.search(r"<details>\s*<summary>Bill</summary>.*?<strong>Bill</strong>", page, flags=re.DOTALL)


def test_tables_have_captions_and_headers_have_scopes(sample: list[Record]) -> None:
    for text in all_pages(sample):
        read = Reader(text)
        assert read.tags["table"] == read.tags["caption"] > 0
        assert read.tags["th"] == sum(tag == "th" and name == "scope" for tag, name, _ in read.attributes)
        assert ("html", "lang", "en") in read.attributes
        assert read.tags["main"] == read.tags["header"] == 1


def test_a_table_that_scrolls_can_be_focused_and_has_a_name_of_its_own(sample: list[Record]) -> None:
    for text in all_pages(sample):
        regions = re.findall(r'<div class="scroll" role="region" tabindex="0" aria-label="([^"]+)">', text)
        assert len(regions) == len(set(regions)) == Reader(text).tags["table"]


def test_what_only_script_can_do_is_hidden_without_it(sample: list[Record]) -> None:
    for text in all_pages(sample):
        controls = re.findall(r"<(?:button|input|p class=.filter)[^>]*>", text)
        assert all("hidden" in control or "<input" in control for control in controls)
        assert text.count("<input") == text.count('<p class="filter scripted" hidden>')


# the index


def line(records: Sequence[Record]) -> Summary:
    return summary_of(contest_of(records))


def arms(attack: str, defense: str, accuracy: float, **changes: Any) -> list[Record]:
    return [make_record(attack, defense, accuracy, seed, **changes) for seed in range(3)]


def idle(**changes: Any) -> list[Record]:
    return [make_control("untrained", 0.1, seed=seed, **changes) for seed in range(3)]


def test_a_line_names_the_strongest_attack_and_the_defense_of_the_lowest_worst_case() -> None:
    strong = {"none": (0.9, 0.5), "wall": (0.3, 0.6), "moat": (0.4, 0.4)}
    records = [r for wall, how in strong.items() for a, x in zip(("rep", "copy"), how, strict=True) for r in arms(a, wall, x)]
    summary = line([*records, *idle()])
    assert summary.strongest
    assert (summary.strongest.attack, summary.strongest.gain and summary.strongest.gain.verdict) == ("rep", "steals")
    assert summary.robust
    assert summary.robust.defense == "moat"
    assert summary.worst
    assert summary.worst.defense == "moat"


def test_a_defense_that_not_every_attack_was_run_against_is_not_named() -> None:
    summary = line([*arms("rep", "none", 0.9), *arms("copy", "none", 0.8), *arms("copy", "wall", 0.1), *idle()])
    assert summary.robust is None


def test_where_nothing_steals_no_defense_gets_credit() -> None:
    summary = line([*arms("rep", "none", 0.1), *arms("rep", "wall", 0.0), *idle()])
    assert (summary.robust, summary.worst) == (None, None)


def test_what_the_newest_release_changed_is_counted_from_the_defenders_side() -> None:
    old, new = ({"arm__release": release} for release in ("9", "10"))
    before = [*arms("rep", "none", 0.9, **old), *arms("copy", "none", 0.2, **old), *idle(**old)]
    after = [*arms("rep", "none", 0.2, **new), *arms("copy", "none", 0.9, **new), *idle(**new)]
    summary = line([*after, *before])
    assert summary.releases == ("10", "9")
    assert summary.changes
    assert (summary.changes.better, summary.changes.worse, summary.changes.broken) == (1, 1, False)
    assert "10 1 better, 1 worse" in Reader(render.index_page([summary])).shown()
    assert line(before).changes is None


def test_the_index_leads_to_each_of_the_three(index: str) -> None:
    text = Reader(index).shown()
    assert all(phrase in text for phrase in ("You defend", "You attack", "You ship releases", "How to cite", "pull request"))
    assert "heist leaderboard verify" in text


# the page of a cell


def test_a_cell_says_of_each_seed_its_interval_and_its_file(cell: Reader) -> None:
    assert {"seed-3.json", "seed-4.json"} <= set(cell.all("href"))
    assert "unranked: fewer than 3 seeds" in cell.shown()
    assert "words|empty:0|v:1" in cell.shown()
    assert "commit abc" in cell.shown()


def test_the_command_is_one_that_heist_takes_and_names_the_cell(make: Make) -> None:
    spec = "trace_inversion(summary='a b', adaptive=true)"
    text = command([make(spec, "noise_answers(rate=0.5)+box_answers", seed=seed) for seed in (0, 2)])
    _, bound, _ = app.parse_args(shlex.split(text)[1:], exit_on_error=False, print_error=False)
    expected = {"suite": "made", "task": ["pocket"], "victim": ["oracle-1"], "attack": [spec], "seeds": "0,2"}
    assert bound.arguments == {**expected, "defense": ["noise_answers(rate=0.5)+box_answers"]}


def test_controls_come_along_and_are_not_named(control: Make) -> None:
    assert "--attack" not in command([control()])


@pytest.mark.parametrize("name", ["$(touch x)", "--plugin=evil.py", "a b", "';x", "-x"])
def test_no_name_becomes_another_option_or_another_command(make: Make, name: str) -> None:
    text = command([make(name, name, arm__victim=name, arm__release="")])
    _, bound, _ = app.parse_args(shlex.split(text)[1:], exit_on_error=False, print_error=False)
    assert (bound.arguments["attack"], bound.arguments["defense"], bound.arguments["victim"]) == ([name], [name], [name])
    assert "plugin" not in bound.arguments


def test_examples_are_the_most_and_the_least_telling_of_all_seeds_each_question_once(make: Make) -> None:
    rows = [[example(f"q{i}", 1 - i / 20 - seed / 100) for i in range(seed, 12, 2)] for seed in range(2)]
    rows = [sorted([*rows[seed], example("both", 0.52 - seed / 10)], key=lambda row: -row["score"]) for seed in range(2)]
    records = [make(seed=seed, examples=rows[seed]) for seed in range(2)]
    contest = contest_of(records)
    ((panel, cell),) = cells(contest)
    shown = CellPage.of(panel, cell, records, ["", ""])
    assert [(one.example.id, one.seed) for one in shown.most] == [("q0", 0), ("q1", 1), ("q2", 0), ("q3", 1), ("q4", 0)]
    assert [one.example.id for one in shown.least] == ["q8", "q9", "both", "q10", "q11"]


def test_examples_without_scores_keep_their_order_and_few_are_shown_once(make: Make) -> None:
    records = [make(examples=[example(name, None) for name in "zyx"])]
    ((panel, cell),) = cells(contest_of(records))
    shown = CellPage.of(panel, cell, records, [""])
    assert [one.example.id for one in (*shown.most, *shown.least)] == ["z", "y", "x"]


def test_texts_keep_their_lines(make: Make) -> None:
    row = {**example("q", 1.0), "hidden": "first\n\tsecond\r\x1b[31m"}
    assert "first\n    second\ufffd\ufffd[31m" in all_pages([make(examples=[row])])[-1]


# hostile text


def leaves(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where the texts of a record are."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in inner:
        yield from leaves(child, (*at, key))
    if isinstance(value, str):
        yield at


def changed(record: Record, at: tuple[Any, ...], text: str) -> Record:
    """The record with another text there."""
    raw = record.model_dump(mode="json")
    parent: Any = raw
    for key in at[:-1]:
        parent = parent[key]
    parent[at[-1]] = text
    return Record.model_validate(raw)


def full(**changes: Any) -> Record:
    """A record with something in every field."""
    return make_record(
        n=3,
        exposure=exposure(2, 0.5, r02=0.5),
        arm__attack__parameters={"shots": "two"},
        arm__attack__paper="arXiv",
        provenance__packages={"numpy": "2"},
        provenance__contamination={"test": 0.5},
        **changes,
    )


BOUND = [("exam", "verdicts"), ("exam", "counts"), ("exam", "replies")]
"""Parts that the schema keeps from holding any text."""
FIELDS = [at for at in leaves(full().model_dump(mode="json")) if at[:2] not in BOUND]


@pytest.mark.parametrize("at", FIELDS, ids=lambda at: ".".join(map(str, at)))
def test_a_hostile_text_in_any_field_shows_only_itself(at: tuple[Any, ...]) -> None:
    first = "words|" if at[-1] == "signature" and at[0] == "overlap" else ""  # as every signature of that name starts
    for text in all_pages([changed(full(), at, first + HOSTILE)]):
        harmless(text)


def test_hostile_names_show_as_they_are(make: Make, control: Make) -> None:
    texts = ("arm__victim", "arm__student", "arm__threat", "arm__attack__paper", "arm__task__spec", "arm__task__version")
    row = {"id": HOSTILE, **dict.fromkeys(("question", "exposed", "stolen", "answer", "hidden"), HOSTILE), "score": 0.5}
    keys = {"provenance__packages": {HOSTILE: HOSTILE}, "provenance__settings": {HOSTILE: [HOSTILE]}}
    fields = {**dict.fromkeys(texts, HOSTILE), "examples": [row], **keys}
    pages = [harmless(text) for text in all_pages([make(HOSTILE, HOSTILE, **fields), control(HOSTILE, 0.1, **fields)])]
    assert len(pages) == 4
    assert all(LITERAL in read.text for read in pages)


def test_a_names_text_survives_its_line_breaks(page: str) -> None:
    assert "trace<wbr>_inversion<wbr>(use<wbr>_summary<wbr>=false)" in page


@given(st.text())
def test_cleaned_text_has_no_invisible_character_and_loses_no_other(text: str) -> None:
    safe = clean(text)
    assert len(safe) == len(text)
    assert not {char for char in safe if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}
    assert all(a == b or b == "\ufffd" for a, b in zip(text, safe, strict=True))


# colours


@given(st.floats(0, 1), st.sampled_from([LIGHT, DARK]))
def test_ink_can_be_read_on_every_fill(share: float, anchors: tuple[str, ...]) -> None:
    background = fill(share, anchors)
    assert re.fullmatch("#[0-9a-f]{6}", background)
    assert contrast(ink(background), background) >= 4.5


@pytest.mark.parametrize(("anchors", "sign"), [(LIGHT, -1), (DARK, 1)])
def test_lightness_alone_orders_the_scale(anchors: tuple[str, ...], sign: int) -> None:
    light = [contrast(fill(i / 50, anchors), "#000000") * sign for i in range(51)]
    assert light == sorted(light)


def test_the_scale_ends_at_its_anchors_and_stays_there() -> None:
    assert (fill(0), fill(1), fill(-1), fill(2)) == (LIGHT[0], LIGHT[-1], LIGHT[0], LIGHT[-1])
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


def test_the_largest_budget_of_the_newest_release_stands_first(make: Make) -> None:
    about = [(release, budget) for release in "12" for budget in (0, 9, 100)]
    records = [make("rep", arm__budget=budget, arm__release=release, provenance__data={}) for release, budget in about]
    panels = contest_of(records).board.panels
    assert [(panel.victim[-1], panel.budget) for panel in panels] == [(r, b) for r in "21" for b in (100, 9, 0)]
