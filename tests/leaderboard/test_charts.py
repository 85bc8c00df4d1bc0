"""Figures: specs that compile, data that are their tables, and marks that say what the numbers say."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Callable
from math import fsum
from random import Random
from typing import Any

import pytest
import vl_convert
from hypothesis import given
from hypothesis import strategies as st

from heistbench.bench.storage.records import Record
from heistbench.leaderboard.board.build import build
from heistbench.leaderboard.compare.releases import history_of
from heistbench.leaderboard.pages import charts
from heistbench.leaderboard.pages.chart import COLOURS, DASHES, GREY, SHAPES, Datum, chart, domain_of, series
from heistbench.leaderboard.pages.charts import Chart
from heistbench.leaderboard.pages.colours import contrast

Make = Callable[..., Record]
HOSTILE = "<script>alert(1)</script>\"'.x[0]\\{{ 7*7 }}\x1b[31m\u202e\u2066\n\u200b"
LOADED = ("image", "href", "url", "signal", "expr", "usermeta")
"""Words of Vega-Lite that load something or run something."""


def released(make: Make, control: Make, closed: float = 0.2) -> list[Record]:
    """Two releases: the second closes `rep`, opens `summary_answer` and leaves `copy` as it was."""
    strengths = {"rep": (0.9, closed), "summary_answer": (0.3, 0.8), "copy": (0.85, 0.85)}
    return [
        record
        for at, release in enumerate(("2", "10"))
        for seed in range(3)
        for here in [{"seed": seed, "arm__release": release}]
        for record in [
            *(make(attack, wall, how[at], **here) for attack, how in strengths.items() for wall in ("none", "wall")),
            control("untrained", 0.1, **here),
        ]
    ]


def swept(make: Make, control: Make, defenses: tuple[str, ...] = ("none", "wall")) -> list[Record]:
    """One attack at no queries, 50 and 1000; the ceiling was run at 50 only."""
    records = [control("true_trace", 0.9, queries=50, arm__budget=50, provenance__data={}, arm__threat="full-leak")]
    for at, queries in enumerate((0, 50, 1000)):
        here = {"arm__budget": queries, "provenance__data": {}}
        records += [make("rep", wall, 0.2 + 0.3 * at, **here) for wall in defenses] + [control("untrained", 0.3, **here)]
    return records


def defended(make: Make, control: Make, *walls: tuple[str, float, float]) -> list[Record]:
    """One attack on defenses of these worst cases and honest users."""
    attacked = [make("rep", name, worst, s, utility__accuracy=kept) for name, worst, kept in walls for s in range(3)]
    return attacked + [control("untrained", 0.1, seed=s) for s in range(3)]


def exam_of(right: int, n: int = 20) -> dict[str, Any]:
    """An exam with this many right answers."""
    verdicts = {f"q{i:02}": "right" if i < right else "wrong" for i in range(n)}
    counts = {"right": right, "wrong": n - right}
    return {"accuracy": right / n, "score": right / n, "n": n, "verdicts": verdicts, "counts": counts}


def figures_of(records: list[Record]) -> dict[str, Chart]:
    """The figures of these records, one of each kind that they make."""
    history, board = history_of(records), build(records)
    figures = {
        "frontier": charts.frontier(board.panels[0]),
        "overlap": charts.overlap(board.panels[0]),
        "budget": charts.budget(board.sweeps[0]) if board.sweeps else None,
        "releases": charts.releases(history) if history else None,
    }
    return {kind: figure for kind, figure in figures.items() if figure}


@pytest.fixture(scope="module")
def figures(make: Make, control: Make, sample: list[Record]) -> dict[str, Chart]:
    """One figure of each kind."""
    return {**figures_of(released(make, control)), **figures_of(swept(make, control)), **figures_of(sample)}


KINDS = ["frontier", "overlap", "budget", "releases"]


def drawn(figure: Chart) -> list[dict[str, Any]]:
    """All data of a figure."""
    return [datum for data in figure.spec["datasets"].values() for datum in data]


def by_first(figure: Chart) -> dict[str, tuple[str, ...]]:
    return {row[0]: row for row in figure.rows}


@pytest.mark.parametrize("kind", KINDS)
def test_every_spec_compiles(figures: dict[str, Chart], kind: str) -> None:
    compiled = vl_convert.vegalite_to_vega(figures[kind].spec)
    assert compiled["marks"]
    assert {scale["name"] for scale in compiled["scales"]} >= {"x", "y"}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_drawn_is_what_the_table_says(figures: dict[str, Chart], kind: str) -> None:
    figure = figures[kind]
    assert [tuple(datum[heading] for heading in figure.headings) for datum in drawn(figure)] == list(figure.rows)
    assert figure.rows
    assert figure.spec["description"] == figure.title


@pytest.mark.parametrize("kind", KINDS)
def test_pointing_at_a_datum_tells_its_row(figures: dict[str, Chart], kind: str) -> None:
    view = figures[kind].spec
    layers = view.get("spec", view)["layer"]
    tips = [[tip["field"] for tip in layer["encoding"]["tooltip"]] for layer in layers if "tooltip" in layer["encoding"]]
    sources = {layer.get("data", view["data"])["name"] for layer in layers if "tooltip" in layer["encoding"]}
    assert all(tip == list(figures[kind].headings) for tip in tips)
    assert sources == set(view["datasets"])


@pytest.mark.parametrize("kind", KINDS)
def test_specs_load_and_run_nothing(figures: dict[str, Chart], kind: str) -> None:
    text = json.dumps(figures[kind].spec)
    assert not [word for word in LOADED if f'"{word}"' in text]


@pytest.mark.parametrize("kind", KINDS)
def test_a_name_is_a_slug_and_numbers_are_short(figures: dict[str, Chart], kind: str) -> None:
    assert figures[kind].name.startswith(f"{kind}-")
    assert not any(c.isspace() for c in figures[kind].name)
    numbers = [value for datum in drawn(figures[kind]) for value in datum.values() if isinstance(value, float)]
    assert numbers == [round(value, 4) for value in numbers]


def test_the_order_of_records_makes_no_difference(make: Make, control: Make, sample: list[Record]) -> None:
    for records in (sample, released(make, control), swept(make, control)):
        assert figures_of(Random(7).sample(records, len(records))) == figures_of(records)


# frontier


def test_a_defense_is_dominated_where_another_is_better_in_one_way_and_no_worse_in_the_other(make: Make, control: Make) -> None:
    walls = (("none", 0.95, 0.97), ("wall", 0.5, 0.97), ("moat", 0.52, 0.6), ("hedge", 0.3, 0.4))
    figure = figures_of(defended(make, control, *walls))["frontier"]
    standing = {name: row[figure.headings.index("standing")] for name, row in by_first(figure).items()}
    assert standing["wall"] == standing["hedge"] == "on the frontier"
    assert standing["none"] == "dominated by wall"
    assert standing["moat"] == "dominated by wall"
    assert {d["defense"] for d in drawn(figure) if d.get("group") == "dominated"} == {"none", "moat"}


def test_a_mean_that_differs_in_its_last_bit_is_no_better(make: Make) -> None:
    kept = next(i / 500 for i in range(500) if fsum([i / 500] * 3) / 3 > i / 500)
    many = [make(f"attack{i}", "none", exam=exam_of(10), utility__accuracy=kept) for i in range(3)]
    figure = figures_of([*many, make("attack0", "wall", exam=exam_of(10), utility__accuracy=kept)])["frontier"]
    assert [row[figure.headings.index("standing")] for row in figure.rows] == ["on the frontier"] * 2


def test_a_defense_that_met_fewer_attacks_dominates_nobody_that_met_more(make: Make, control: Make) -> None:
    records = defended(make, control, ("none", 0.9, 0.9), ("wall", 0.3, 0.9))
    records += [make("copy", "none", 0.2, s, utility__accuracy=0.9) for s in range(3)]
    figure = figures_of(records)["frontier"]
    rows = by_first(figure)
    assert rows["none"][figure.headings.index("standing")] == "on the frontier"
    assert rows["wall"][figure.headings.index("attacks not run")] == "1"


def test_strengths_of_one_defense_are_joined_and_others_are_not(make: Make, control: Make) -> None:
    walls = (("none", 0.9, 1.0), ("wall(level=1)", 0.8, 0.9), ("wall(level=2)", 0.7, 0.8), ("wall(level=1)+moat", 0.6, 0.7))
    figure = figures_of(defended(make, control, *walls))["frontier"]
    kinds = {d["defense"]: d["kind"] for d in drawn(figure) if "kind" in d}
    assert kinds == {"none": "none", "wall(level=1)": "wall", "wall(level=2)": "wall", "wall(level=1)+moat": "wall+moat"}


def test_below_the_line_of_the_best_idle_control_nothing_is_stolen(figures: dict[str, Chart]) -> None:
    figure = figures["frontier"]
    (line,) = figure.spec["datasets"]["idle"]
    assert line["defense"] == "surrogate_trace"
    assert line["y"] == pytest.approx(0.5, abs=0.1)


def test_one_defense_makes_no_frontier(make: Make, control: Make) -> None:
    assert "frontier" not in figures_of(defended(make, control, ("none", 0.5, 0.9)))


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), min_size=2, max_size=6))
def test_somebody_is_always_on_the_frontier(make: Make, spots: list[tuple[int, int]]) -> None:
    names = ["none", *(f"wall{i}" for i in range(1, len(spots)))]
    figure = figures_of([_exactly(make, name, *spot) for name, spot in zip(names, spots, strict=True)])["frontier"]
    undominated = {name for name, row in by_first(figure).items() if row[figure.headings.index("standing")] == "on the frontier"}
    best = [not any(o != spot and o[0] <= spot[0] and o[1] >= spot[1] for o in spots) for spot in spots]
    assert undominated == {name for name, good in zip(names, best, strict=True) if good}
    assert undominated


def _exactly(make: Make, defense: str, right: int, kept: int) -> Record:
    return make("rep", defense, exam=exam_of(right), utility__accuracy=kept / 20, utility__n=20)


# overlap


def title_of(make: Make, control: Make, overlap: Callable[..., Any], points: list[tuple[float, float]]) -> str:
    """The title for attacks of these overlaps and accuracies."""
    records = [control("untrained", 0.1, overlap={})]
    for at, (x, accuracy) in enumerate(points):
        records += [make(f"attack{at}", "none", accuracy, overlap={"words": overlap("words", "lcs_f", stolen=x)})]
    return figures_of(records)["overlap"].title


@pytest.mark.parametrize(
    ("points", "correlation"),
    [
        ([(i / 10, i / 10) for i in range(1, 10, 2)], ": rank correlation +1.00 over 5 cells"),
        ([(i / 10, 1 - i / 10) for i in range(1, 10, 2)], ": rank correlation −1.00 over 5 cells"),  # noqa: RUF001
        ([(i / 10, i / 10) for i in range(1, 9, 2)], ""),
        ([(0.5, i / 10) for i in range(6)], ""),
    ],
    ids=["climbing", "falling", "too few", "one overlap"],
)
def test_the_title_says_the_rank_correlation_where_there_is_one(
    make: Make, control: Make, overlap: Callable[..., Any], points: list[tuple[float, float]], correlation: str
) -> None:
    assert title_of(make, control, overlap, points) == f"Overlap (LCS-F) against gain{correlation}"


def test_floors_and_ceiling_are_drawn_and_told(figures: dict[str, Chart]) -> None:
    figure = figures["overlap"]
    assert {d["attack"]: d["x"] for d in figure.spec["datasets"]["bounds"]} == {
        "floor: other question": 0.31,
        "floor: surrogate": 0.52,
        "ceiling: victim again": 0.98,
    }


def test_controls_have_no_gain_and_no_point(figures: dict[str, Chart], make: Make) -> None:
    figure = figures["overlap"]
    assert {d["attack"] for d in figure.spec["datasets"]["cells"]} == {"trace_inversion(use_summary=false)", "answer_only"}
    assert "overlap" not in figures_of([make()])


# budget


def test_no_queries_can_be_drawn_and_what_was_not_run_is_not(make: Make, control: Make) -> None:
    figure = figures_of(swept(make, control))["budget"]
    assert [d["x"] for d in figure.spec["datasets"]["attacks"]] == [0, 50, 1000, 0, 50, 1000]
    assert {d["control"] for d in figure.spec["datasets"]["controls"] if d["attack"] == "true_trace"} == {
        "ceiling: the victim's own traces"
    }
    assert len(figure.spec["datasets"]["controls"]) == 4
    x = figure.spec["spec"]["layer"][0]["encoding"]["x"]
    assert x["scale"]["type"] == "symlog"
    assert x["axis"]["values"] == [0, 50, 1000]


def test_several_defenses_are_small_charts_and_one_is_a_large_one(make: Make, control: Make) -> None:
    assert "facet" in figures_of(swept(make, control))["budget"].spec
    assert "layer" in figures_of(swept(make, control, ("none",)))["budget"].spec


# releases


def test_what_closed_and_what_opened_is_marked_and_the_rest_is_not(figures: dict[str, Chart]) -> None:
    figure = figures["releases"]
    last = {d["attack"]: d["verdict"] for d in drawn(figure) if d["release"] == "10" and d["defense"] == "none"}
    assert last == {"rep": "better", "summary_answer": "worse", "copy": "tie", "untrained": "same"}
    assert {d["verdict"] for d in drawn(figure) if d["release"] == "2"} == {"–"}  # noqa: RUF001
    x = figure.spec["spec"]["layer"][0]["encoding"]["x"]
    assert x["sort"] == ["2", "10"]


def test_controls_have_a_small_chart_of_their_own(figures: dict[str, Chart]) -> None:
    figure = figures["releases"]
    assert figure.spec["facet"]["sort"] == ["none", "wall", "controls"]
    assert {d["attack"] for d in drawn(figure) if d["facet"] == "controls"} == {"untrained"}


# all of them


@pytest.mark.parametrize("kind", KINDS)
def test_hostile_names_compile_and_show_only_themselves(make: Make, control: Make, kind: str) -> None:
    here = {"arm__victim": HOSTILE}
    arms = [{"seed": s, "arm__release": r, "arm__budget": b, **here} for s in range(3) for r in "12" for b in (9, 10)]
    records = [make(HOSTILE, wall, 0.8, **arm) for wall in ("none", HOSTILE) for arm in arms]
    records += [control(HOSTILE, 0.1, **arm) for arm in arms]
    figure = figures_of(records)[kind]
    text = json.dumps([figure.spec, figure.rows, figure.name, figure.title], ensure_ascii=False)
    assert not [char for char in text if unicodedata.category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}]
    assert vl_convert.vegalite_to_vega(figure.spec)["marks"]
    svg = vl_convert.vegalite_to_svg({**figure.spec, **({} if "facet" in figure.spec else {"width": 300})})
    assert "<script" not in svg


@pytest.mark.parametrize("colour", [*COLOURS, GREY])
@pytest.mark.parametrize("page", ["#fdfcf9", "#12151a"])
def test_colours_stand_out_on_light_and_dark_pages(colour: str, page: str) -> None:
    assert contrast(colour, page) >= 3


@pytest.mark.parametrize("styles", [SHAPES, DASHES])
def test_twenty_series_share_no_pair_of_styles(styles: tuple[object, ...]) -> None:
    names = [f"attack {i}" for i in range(20)]
    colour, style = (series("attack", names, what)["scale"]["range"] for what in (COLOURS, styles))
    assert len({(c, str(s)) for c, s in zip(colour, style, strict=True)}) == 20


@given(st.lists(st.floats(0, 1), min_size=1))
def test_axes_of_shares_show_all_and_end_at_zero_and_one(values: list[float]) -> None:
    low, high = domain_of(values)
    assert 0 <= low <= min(values)
    assert max(values) <= high <= 1
    assert low < high


def test_a_chart_needs_a_text_for_each_heading() -> None:
    with pytest.raises(ValueError, match="zip"):
        chart(("x",), "x", "x", ("a", "b"), {"d": [Datum(("only one",), {})]}, {})
