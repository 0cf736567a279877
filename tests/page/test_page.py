"""The page at `/`, in a real browser: who leads, am I it, until when; live, and honest when the sidecar is gone."""

import re
import signal
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from tests.apiserver.sidecar_process import Sidecar, ending, until
from tests.page.looking import COLOUR, COLOURS, LEAD, SETTINGS, leader_first, open_page

PHONE = {"width": 360, "height": 740}

pytestmark = pytest.mark.xdist_group("page")


def test_the_leaders_page_says_that_it_leads_until_when_and_the_terms(sidecars: list[Sidecar], page: Page) -> None:
    leader, _ = leader_first(sidecars)
    open_page(page, leader)
    expect(page.locator("#name")).to_have_text(f"{leader.name} leads")
    expect(page.locator("#state")).to_have_text("this Pod leads")
    expect(page.locator("#left")).to_have_text(re.compile(r"valid for [123]\.\d s; each renewal extends it$"))
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows")).to_contain_text(str(leader.leader()["fencing_token"]))
    expect(page.locator("#members")).to_contain_text(f"{leader.name} (this Pod)")
    assert page.title() == f"{leader.name} leads web"


def test_the_deadline_runs_down_and_each_renewal_moves_it(sidecars: list[Sidecar], page: Page) -> None:
    """By the page's own clock in between; over ten renewals it never reads as passed."""
    leader, _ = leader_first(sidecars)
    open_page(page, leader)
    expect(page.locator("#left")).to_have_text(re.compile("valid for"))
    seen = []
    for _ in range(50):
        text = page.locator("#left").text_content() or ""
        assert text.startswith("valid for"), text
        seen.append(float(text.split()[2]))
        page.wait_for_timeout(100)
    moves = [after - before for before, after in pairwise(seen)]
    assert any(move < 0 for move in moves)
    assert any(move > 0 for move in moves)


def test_a_handover_is_shown_without_anything_being_pressed(sidecars: list[Sidecar], page: Page) -> None:
    """The follower's page, live over its stream: another leader, another term."""
    leader, follower = leader_first(sidecars)
    open_page(page, follower)
    expect(page.locator("#name")).to_have_text(f"{leader.name} leads")
    expect(page.locator("#state")).to_have_text("this Pod: following")
    expect(page.locator("#deadline")).to_be_hidden()
    leader.signal(signal.SIGTERM)
    expect(page.locator("#name")).to_have_text(f"{follower.name} leads", timeout=2000)
    expect(page.locator("#state")).to_have_text("this Pod leads")
    expect(page.locator("#rows tr")).to_have_count(2)
    expect(page.locator("#rows tr").nth(1)).to_contain_text("released")
    expect(page.locator("#strip i")).to_have_count(2)
    expect(page.locator("#legend")).to_have_text(f"{leader.name}{follower.name}, leads")
    strip, legend = (page.locator(f"#{where}").evaluate_all(COLOURS) for where in ("strip i", "legend i"))
    assert strip == legend
    assert strip[0] != strip[1] == page.locator("#dot").evaluate(COLOUR) == page.locator("main").evaluate(LEAD)


def test_when_the_sidecar_is_gone_it_says_so_and_claims_nothing(sidecars: list[Sidecar], page: Page, tmp_path: Path) -> None:
    """A page of a leader that was killed must not go on saying "leads"; when it is back the page is live again."""
    leader, _ = leader_first(sidecars)
    open_page(page, leader)
    expect(page.locator("#state")).to_have_text("this Pod leads")
    assert "leading" in page.locator("main").inner_text()
    leader.kill()
    expect(page.locator("#gone")).to_be_visible(timeout=5000)
    expect(page.locator("main")).not_to_contain_text(re.compile("leading|leads", re.IGNORECASE))
    expect(page.locator("#members")).to_contain_text("not known")
    expect(page.locator("#rows")).to_contain_text("not known")
    assert page.title() == "no answer: web"
    assert page.locator("main").evaluate(LEAD) not in page.locator("i, .dot, .badge").evaluate_all(COLOURS)
    expect(page.locator("#state")).to_have_text("no answer")
    expect(page.locator("#name")).not_to_have_text(f"{leader.name} leads")
    expect(page.locator("#left")).to_have_text("its deadline has passed", timeout=10_000)
    expect(page.locator("#name")).to_have_text("No known leader")
    page.screenshot(path=tmp_path / "gone.png", full_page=True)
    print(f"screenshot: {tmp_path / 'gone.png'}")
    leader.start().serving()
    expect(page.locator("#gone")).to_be_hidden(timeout=15_000)
    expect(page.locator("#state")).to_have_text(re.compile("^this Pod"))


def test_a_sidecar_that_hangs_reads_as_one_that_is_gone(sidecars: list[Sidecar], page: Page) -> None:
    """SIGSTOP: its connections stay up and nothing is said; the page's own clock ends the claim."""
    leader, _ = leader_first(sidecars)
    open_page(page, leader)
    expect(page.locator("#state")).to_have_text("this Pod leads")
    leader.signal(signal.SIGSTOP)
    expect(page.locator("#state")).not_to_have_text("this Pod leads", timeout=5000)
    leader.signal(signal.SIGCONT)
    expect(page.locator("#gone")).to_be_hidden(timeout=15_000)


def test_names_are_text_and_never_markup(sidecars: list[Sidecar], page: Page, tmp_path: Path) -> None:
    """Whatever stands in a Lease."""
    del sidecars
    store = {"LEADER_STORE": f"local:{tmp_path}/other.db", "LEADER_IDENTITY": "<img src=x onerror=alert(1)>"}
    hostile = Sidecar("web-9", tmp_path, SETTINGS | store)
    with ending([hostile]):
        hostile.start().serving()
        until(hostile.leads, within_seconds=10)
        open_page(page, hostile)
        expect(page.locator("#name")).to_have_text("<img src=x onerror=alert(1)> leads")
        assert page.locator("img").count() == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read_on_a_phone_and_in_the_dark(
    sidecars: list[Sidecar], browser: Browser, scheme: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nothing is wider than the screen, and text stands out from its ground (WCAG 2.1, 1.4.3: at least 4.5 to 1)."""
    leader, _ = leader_first(sidecars)
    context = browser.new_context(
        viewport={"width": PHONE["width"], "height": PHONE["height"]}, color_scheme="dark" if scheme == "dark" else "light"
    )
    page = context.new_page()
    open_page(page, leader)
    expect(page.locator("#left")).to_have_text(re.compile("valid for"))
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    for contrast in page.evaluate(CONTRASTS):
        assert contrast["ratio"] >= 4.5, contrast
    shots = tmp_path_factory.mktemp("page") / f"{scheme}.png"
    page.screenshot(path=shots, full_page=True)
    print(f"screenshot: {shots}")
    context.close()


CONTRASTS = """() => {
  const light = text => {
    const [r, g, b] = text.match(/[0-9.]+/g).map(Number).map(v => v / 255).map(v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const ground = element => {
    for (let e = element; e; e = e.parentElement) {
      const colour = getComputedStyle(e).backgroundColor;
      if (!/, 0\\)$/.test(colour)) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const says = e => e.offsetParent && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
  return [...document.querySelectorAll("main *")].filter(says).map(e => {
      const [a, b] = [light(getComputedStyle(e).color), light(ground(e))].sort((x, y) => y - x);
      return { text: e.textContent.slice(0, 40), ratio: (a + .05) / (b + .05) };
  });
}"""


def test_whatever_a_lease_names_its_holder_the_words_beside_it_stay_what_they_are(sidecars: list[Sidecar], page: Page) -> None:
    """Bidi marks and control characters are written out, a name of 100,000 letters is cut with a sign, and a tag is text."""
    _, follower = leader_first(sidecars)
    name = "\u202eevil\x1b[31m\\n\u2066<b>bold</b>"
    shown = r"\u{202e}evil\u{1b}[31m\\n\u{2066}<b>bold</b>".replace(r"\\n", r"\u{5c}n")
    long = "é" * 100_000

    def leader(route: Route) -> None:
        route.fulfill(json=route.fetch().json() | {"name": name, "holder": name, "is_leader": False})

    def members(route: Route) -> None:
        route.fulfill(json={"members": [{"name": long, "identity": long, "state": "following", "self": False}], "complete": False})

    def history(route: Route) -> None:
        term = {"name": name, "holder": name, "fencing_token": 7, "from": "2026-11-23T08:00:00.000000Z", "to": None, "ended": None}
        route.fulfill(json={"terms": [term]})

    for path, handler in (("leader", leader), ("members", members), ("history", history)):
        page.route(f"**/{path}", handler)
    open_page(page, follower)
    expect(page.locator("#name")).to_have_text(f"{shown} leads")
    expect(page.locator("#rows td").first).to_have_text(shown)
    expect(page.locator("#members td").first).to_have_text("é" * 300 + "… (99700 characters more)")
    expect(page.locator("#strip i")).to_have_attribute("title", re.compile("^" + re.escape(shown)))
    assert page.title() == f"{shown} leads web"
    assert page.locator("main b").count() == 0
