"""Every kind of page: silent, at home, readable without script, on phones and walls, in the dark, on paper, by axe-core."""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

Visit = Callable[..., Page]
KINDS = ["index", "contest", "sweep", "cell", "hostile contest", "hostile cell"]
BRIGHTNESS = """() => {
    const [r, g, b] = getComputedStyle(document.body).backgroundColor.match(/[0-9.]+/g).map(Number);
    return (r + g + b) / 765;
}"""
MOVING = """() => [...document.querySelectorAll("*")].filter((element) => {
    const style = getComputedStyle(element);
    return [style.transitionDuration, style.animationDuration].some((time) => parseFloat(time) > 0.01);
}).length"""

REACHED = """() => {
    document.activeElement.dataset.reached = "";
    return getComputedStyle(document.activeElement).outlineStyle;
}"""


def draw(page: Page) -> None:
    """Scroll to each chart and wait for it."""
    for figure in page.locator("figure.chart").all():
        figure.scroll_into_view_if_needed()
        figure.locator(".plot svg").wait_for()


@pytest.mark.parametrize("kind", KINDS)
def test_it_opens_from_a_file_without_a_complaint_or_a_request(visit: Visit, pages: dict[str, Path], kind: str) -> None:
    page = visit(pages[kind])
    draw(page)
    assert page.locator("h1").count() == 1
    assert page.locator("html").get_attribute("class") == "js"


@pytest.mark.parametrize("kind", KINDS)
def test_it_never_scrolls_sideways_on_a_phone_or_on_a_wall(visit: Visit, pages: dict[str, Path], kind: str) -> None:
    page = visit(pages[kind], viewport={"width": 360, "height": 740})
    draw(page)
    for width in (360, 2560):
        page.set_viewport_size({"width": width, "height": 1440})
        assert page.evaluate("document.scrollingElement.scrollWidth") <= width


@pytest.mark.parametrize("kind", ["index", "contest", "cell"])
def test_axe_finds_nothing_serious_in_the_light_and_in_the_dark(visit: Visit, pages: dict[str, Path], kind: str) -> None:
    page = visit(pages[kind])
    draw(page)
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page, options={"preload": False}).response["violations"]
        serious = {f"{v['id']}: {n['html'][:200]}" for v in found for n in v["nodes"] if v["impact"] in ("serious", "critical")}
        assert serious == set()


@pytest.mark.parametrize("kind", KINDS)
def test_without_script_every_table_can_be_read_and_no_button_is_dead(visit: Visit, pages: dict[str, Path], kind: str) -> None:
    page = visit(pages[kind], java_script_enabled=False)
    assert all(table.is_visible() for table in page.locator("figure.chart table").all())
    for summary in page.locator("details:not([open]) > summary").all()[::-1]:
        summary.click()
    assert all(table.is_visible() for table in page.locator("table").all())
    assert not any(control.is_visible() for control in page.locator("button, input").all())
    assert not any(plot.is_visible() for plot in page.locator(".plot").all())


@pytest.mark.parametrize("kind", ["hostile contest", "hostile cell", "index"])
def test_hostile_text_shows_as_text(visit: Visit, pages: dict[str, Path], kind: str, literal: str) -> None:
    page = visit(pages[kind])
    draw(page)
    shown = page.locator("body").evaluate("body => body.textContent")
    assert literal in shown
    assert page.locator("img, body script:not([type='application/json']), [onerror]").count() == 0
    assert not [c for c in shown if c not in "\n\t" and unicodedata.category(c) in {"Cc", "Cf", "Cs"}]


@pytest.mark.parametrize("kind", ["index", "contest", "cell"])
def test_the_dark_is_dark_and_the_light_is_light(visit: Visit, pages: dict[str, Path], kind: str) -> None:
    page = visit(pages[kind], color_scheme="dark")
    assert page.evaluate(BRIGHTNESS) < 0.2
    page.emulate_media(color_scheme="light")
    assert page.evaluate(BRIGHTNESS) > 0.8


@pytest.mark.parametrize("kind", ["index", "contest", "cell"])
def test_nothing_moves_for_those_who_ask_for_that(visit: Visit, pages: dict[str, Path], kind: str) -> None:
    assert visit(pages[kind], reduced_motion="reduce").evaluate(MOVING) == 0


def test_paper_is_white_shows_every_table_and_has_no_buttons(visit: Visit, pages: dict[str, Path]) -> None:
    page = visit(pages["contest"], color_scheme="dark")
    draw(page)
    page.emulate_media(media="print")
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert page.evaluate(BRIGHTNESS) > 0.8
    assert all(table.is_visible() for table in page.locator("figure.chart table").all())
    assert not any(control.is_visible() for control in page.locator("button.theme, button.copy, input").all())


@pytest.mark.parametrize("kind", ["index", "contest", "cell"])
def test_the_keyboard_reaches_everything_and_shows_where_it_is(visit: Visit, pages: dict[str, Path], kind: str) -> None:
    page = visit(pages[kind])
    draw(page)
    page.evaluate("scrollTo(0, 0)")
    stops = "a[href], button, input, summary, [tabindex='0']"
    wanted = sum(stop.is_visible() for stop in page.locator(stops).all())
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.getAttribute('href')").startswith("#")
    for _ in range(wanted):
        assert page.evaluate(REACHED) != "none"
        page.keyboard.press("Tab")
    missed = page.locator(f":is({stops}):not([data-reached])")
    assert [stop.evaluate("e => e.outerHTML") for stop in missed.all() if stop.is_visible()] == []


def test_the_skip_link_leads_to_the_main_part(visit: Visit, pages: dict[str, Path]) -> None:
    page = visit(pages["index"])
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    target = page.evaluate("location.hash")
    assert page.locator(f"main{target}, main {target}").count() == 1
