"""What script adds: sorting, filtering, themes, tips, copying, charts; and what is left when it cannot."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

Visit = Callable[..., Page]


def column(table: Locator, at: int) -> list[str]:
    """The texts of one column, as they stand."""
    return [text.strip() for text in table.locator("tbody tr").locator(f":nth-child({at + 1})").all_inner_texts()]


def numbers(texts: list[str]) -> list[float]:
    return [float(text.split()[0].replace("\u2212", "-").replace(",", "")) for text in texts]


def chart(page: Page, kind: str) -> Locator:
    """A drawn chart of this kind, the first."""
    figure = page.locator(f"figure.chart[id^='{kind}-']").first
    figure.scroll_into_view_if_needed()
    figure.locator(".plot svg").wait_for()
    return figure


# sorting


@pytest.fixture
def table(visit: Visit, pages: dict[str, Path]) -> Locator:
    """The table of the frontier, opened."""
    figure = chart(visit(pages["contest"]), "frontier")
    figure.locator("summary").click()
    return figure.locator("table")


def test_a_click_sorts_by_number_and_another_turns_the_order(table: Locator) -> None:
    at, header = 2, table.locator("thead th").nth(2)
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    up = numbers(column(table, at))
    assert up == sorted(up)
    header.get_by_role("button").click()
    expect(header).to_have_attribute("aria-sort", "descending")
    down = numbers(column(table, at))
    assert down == sorted(down, reverse=True) != up


def test_thousands_sort_as_numbers(visit: Visit, pages: dict[str, Path]) -> None:
    figure = chart(visit(pages["sweep"]), "budget")
    figure.locator("summary").click()
    figure.locator("thead").get_by_role("button", name="queries").click()
    assert list(dict.fromkeys(column(figure.locator("table"), 2))) == ["0", "50", "1,000"]


def test_the_keyboard_sorts_too_and_the_order_is_said(table: Locator) -> None:
    button = table.locator("thead th").nth(0).get_by_role("button")
    button.focus()
    button.press("Enter")
    names = column(table, 0)
    assert names == sorted(names)
    button.press(" ")
    assert column(table, 0) == sorted(names, reverse=True)
    expect(table.page.get_by_role("status").filter(has_text="sorted by defense, descending")).to_have_count(1)


def test_one_column_is_sorted_at_a_time_and_a_dash_stays_last(table: Locator) -> None:
    buttons = table.locator("thead").get_by_role("button")
    for at in (0, 1, 1):
        buttons.nth(at).click()
        assert table.locator("[aria-sort]").count() == 1
    assert column(table, 1)[-1] == "–"  # noqa: RUF001
    buttons.nth(1).click()
    assert column(table, 1)[-1] == "–"  # noqa: RUF001


def test_sorting_twice_by_equal_values_keeps_their_order(table: Locator) -> None:
    first = column(table, 0)
    table.locator("thead").get_by_role("button").nth(4).click()  # n, the same everywhere
    assert column(table, 0) == first


# filtering


def test_the_filter_keeps_the_rows_with_every_word_and_says_how_many(visit: Visit, pages: dict[str, Path]) -> None:
    page = visit(pages["index"])
    field = page.get_by_role("searchbox")
    rows = page.locator(f"#{field.get_attribute('data-filter')} tbody tr")
    total = rows.count()
    field.fill("SWEPT")
    assert [row.inner_text().count("swept") > 0 for row in rows.all() if row.is_visible()] == [True]
    expect(page.locator(".filter output")).to_have_text(f"1 of {total} rows")
    field.fill("swept oracle")
    assert not any(row.is_visible() for row in rows.all())
    field.fill("")
    assert all(row.is_visible() for row in rows.all())


# themes


def theme(page: Page) -> tuple[str, bool]:
    """What the button says, and whether the page is dark."""
    background = page.evaluate("getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)")
    return page.locator("button.theme").inner_text(), sum(background[:3]) < 380


def test_the_switch_goes_round_and_the_choice_is_kept_on_other_pages(visit: Visit, pages: dict[str, Path]) -> None:
    page = visit(pages["index"], color_scheme="dark")
    seen = [theme(page)]
    for _ in range(3):
        page.locator("button.theme").click()
        seen.append(theme(page))
    assert seen == [("theme: system", True), ("theme: light", False), ("theme: dark", True), ("theme: system", True)]
    page.locator("button.theme").click()
    page.goto(pages["cell"].as_uri())
    assert theme(page) == ("theme: light", False)


def test_charts_follow_the_theme(visit: Visit, pages: dict[str, Path]) -> None:
    page = visit(pages["contest"], color_scheme="light")
    label = chart(page, "frontier").locator("svg .role-axis-label text").first
    before = label.evaluate("e => getComputedStyle(e).fill")
    for _ in range(2):
        page.locator("button.theme").click()
    assert theme(page) == ("theme: dark", True)
    assert label.evaluate("e => getComputedStyle(e).fill") != before


def test_a_browser_that_keeps_nothing_still_has_the_switch(visit: Visit, pages: dict[str, Path]) -> None:
    page = visit(pages["index"])
    page.add_init_script("Object.defineProperty(window, 'localStorage', { get() { throw new Error('no') } })")
    page.reload()
    page.locator("button.theme").click()
    assert theme(page)[0] == "theme: light"


# tips


@pytest.mark.parametrize("kind", ["contest", "hostile contest"])
def test_a_cells_tip_shows_when_pointed_at_and_goes_with_escape(visit: Visit, pages: dict[str, Path], kind: str) -> None:
    page = visit(pages[kind])
    cell, tip = page.locator("[data-tip]").first, page.get_by_role("tooltip")
    cell.hover()
    assert tip.inner_text().split() == (cell.get_attribute("data-tip") or "").split()
    assert tip.locator("*").count() == 0
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_a_cells_tip_describes_what_has_the_focus_and_stays_beside_it(visit: Visit, pages: dict[str, Path]) -> None:
    page = visit(pages["contest"])
    link, tip = page.locator("[data-tip] a").last, page.get_by_role("tooltip")
    link.focus()  # the page scrolls there
    expect(tip).to_be_visible()
    expect(tip).to_be_in_viewport()
    expect(link).to_have_attribute("aria-describedby", "tip")
    link.blur()
    expect(tip).to_be_hidden()
    assert link.get_attribute("aria-describedby") is None


@pytest.mark.parametrize("kind", ["contest", "hostile contest"])
def test_pointing_at_a_mark_tells_its_row_as_text(visit: Visit, pages: dict[str, Path], kind: str) -> None:
    page = visit(pages[kind])
    figure = chart(page, "frontier")
    figure.locator("svg .mark-symbol.role-mark path").last.hover(force=True)
    tip = page.locator("#vg-tooltip-element.visible")
    expect(tip).to_be_visible()
    headings = tip.locator("td.key").all_inner_texts()
    assert [heading.strip(": ") for heading in headings] == json.loads(
        figure.locator("thead").evaluate("e => JSON.stringify([...e.rows[0].cells].map((c) => c.textContent.trim()))")
    )
    assert tip.locator("img, script").count() == 0


# copying


def test_the_copy_button_of_a_served_page_copies_the_command(
    visit: Visit, pages: dict[str, Path], site: Path, served: str
) -> None:
    page = visit(served + quote(pages["cell"].relative_to(site).as_posix()), permissions=["clipboard-read", "clipboard-write"])
    button = page.locator("button.copy").first
    button.click()
    expect(button).to_have_text("copied")
    command = page.evaluate("navigator.clipboard.readText()")
    assert command == button.get_attribute("data-copy")
    assert command.startswith("heist run ")


def test_copying_from_a_file_works_without_the_clipboards_permission(visit: Visit, pages: dict[str, Path]) -> None:
    page = visit(pages["cell"])
    page.evaluate("document.addEventListener('copy', () => { window.got = document.activeElement.value })")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    button = page.locator("button.copy").first
    button.click()
    expect(button).to_have_text("copied")
    assert page.evaluate("window.got") == button.get_attribute("data-copy")
    assert page.locator("textarea").count() == 0


# charts


COUNTS: dict[str, Callable[[dict[str, list[Any]]], int]] = {
    "frontier": lambda data: len(data["defenses"]),
    "overlap": lambda data: len(data["cells"]),
    "releases": lambda data: len(data["arms"]) + sum(d["verdict"] in ("better", "worse") for d in data["arms"]),
    "budget": lambda data: len(data["attacks"]) + 2 * len(data["controls"]),  # controls in the charts of both defenses
}


@pytest.mark.parametrize("kind", COUNTS)
def test_a_chart_draws_every_row_of_its_table(visit: Visit, pages: dict[str, Path], kind: str) -> None:
    page = visit(pages["sweep" if kind == "budget" else "contest"])
    figure = chart(page, kind)
    data = json.loads(figure.locator("script").text_content() or "")["datasets"]
    assert figure.locator("svg .mark-symbol.role-mark path").count() == COUNTS[kind](data)
    figure.locator("summary").click()
    assert figure.locator("tbody tr").count() == sum(map(len, data.values()))
    title = figure.locator("h3").inner_text()
    expect(figure.get_by_role("img")).to_have_attribute("aria-label", title)


def test_a_served_page_draws_its_charts_too(visit: Visit, pages: dict[str, Path], site: Path, served: str) -> None:
    page = visit(served + quote(pages["contest"].relative_to(site).as_posix()))
    assert chart(page, "frontier").locator("svg").is_visible()


def test_what_closed_since_the_last_release_points_down(visit: Visit, pages: dict[str, Path]) -> None:
    figure = chart(visit(pages["contest"]), "releases")
    data = json.loads(figure.locator("script").text_content() or "")["datasets"]["arms"]
    assert {d["attack"] for d in data if d["verdict"] == "better"} == {"rep"}
    assert figure.locator("svg .role-legend").filter(has_text="better").count() > 0


def test_the_library_is_loaded_only_where_a_chart_comes_near(visit: Visit, pages: dict[str, Path]) -> None:
    for kind, wanted in (("index", 0), ("cell", 0), ("contest", 1)):
        page = visit(pages[kind])
        if wanted:
            chart(page, "frontier")
        assert page.locator("script[src$='vega.js']").count() == wanted


def test_without_the_library_the_table_stays_open_and_the_page_says_so(
    visit: Visit, pages: dict[str, Path], site: Path, tmp_path: Path, complaints: list[str]
) -> None:
    shutil.copytree(site, tmp_path / "site")
    (tmp_path / "site" / "assets" / "vega.js").unlink()
    page = visit(tmp_path / "site" / pages["contest"].relative_to(site))
    figure = page.locator("figure.chart").first
    figure.scroll_into_view_if_needed()
    expect(figure.locator("figcaption")).to_contain_text("No chart")
    assert figure.locator("table").is_visible()
    assert not figure.locator(".plot").is_visible()
    assert all("ERR_FILE_NOT_FOUND" in complaint or complaint.startswith("request: ") for complaint in complaints)
    complaints.clear()
