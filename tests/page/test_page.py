"""The page at `/`, in a real browser: who leads, am I it, until when; live, and honest when the sidecar is gone."""

import re
import signal
import uuid
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from sidecar import __version__
from tests.apiserver.sidecar_process import Sidecar, ending, the_leader, until

SETTINGS = {
    "LEADER_LEASE_NAME": "web",
    "LEADER_LEASE_DURATION": "4s",
    "LEADER_RENEW_DEADLINE": "3s",
    "LEADER_RETRY_PERIOD": "500ms",
    "LEADER_APP_ENDS_FIRST": "true",
}
PHONE = {"width": 360, "height": 740}

pytestmark = pytest.mark.xdist_group("page")


@pytest.fixture
def sidecars(tmp_path: Path) -> Iterator[list[Sidecar]]:
    """Two of them, on one local store; one leads."""
    store, uid = {"LEADER_STORE": f"local:{tmp_path}/leases.db"}, uuid.uuid4().hex
    two = [Sidecar(name, tmp_path, SETTINGS | store, uid=uid) for name in ("web-0", "web-1")]
    with ending(two):
        for sidecar in two:
            sidecar.start().serving()
        the_leader(two, within_seconds=10)
        yield two


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """Every fault of its script fails the test, and so does every request to anywhere but the sidecar."""
    context = browser.new_context()
    page, faults, asked = context.new_page(), [], []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    yield page
    assert faults == []
    assert not [url for url in asked if not url.startswith(("http://127.0.0.1:", "data:"))]
    context.close()


def open_page(page: Page, sidecar: Sidecar) -> None:
    """As a browser does."""
    page.goto(f"http://127.0.0.1:{sidecar.port}/")


def leader_first(sidecars: list[Sidecar]) -> tuple[Sidecar, Sidecar]:
    """The leader and the other."""
    leader = the_leader(sidecars, within_seconds=10)
    return leader, sidecars[1 - sidecars.index(leader)]


def test_the_leaders_page_says_that_it_leads_until_when_and_the_terms(sidecars: list[Sidecar], page: Page) -> None:
    leader, _ = leader_first(sidecars)
    open_page(page, leader)
    expect(page.locator("#name")).to_have_text(f"{leader.name} leads")
    expect(page.locator("#state")).to_have_text("this Pod leads")
    expect(page.locator("#left")).to_have_text(re.compile(r"certain for [123]\.\d s more"))
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows")).to_contain_text(str(leader.leader()["fencing_token"]))
    expect(page.locator("#members")).to_contain_text(f"{leader.name} (this Pod)")
    assert page.title() == f"{leader.name} leads web"


def test_the_deadline_runs_down_and_each_renewal_moves_it(sidecars: list[Sidecar], page: Page) -> None:
    """By the page's own clock in between; over ten renewals it never reads as passed."""
    leader, _ = leader_first(sidecars)
    open_page(page, leader)
    expect(page.locator("#left")).to_have_text(re.compile("certain"))
    seen = []
    for _ in range(50):
        text = page.locator("#left").text_content() or ""
        assert text.startswith("certain for"), text
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
    shades = "(all) => all.map(one => getComputedStyle(one).backgroundColor)"
    strip, legend = (page.locator(f"#{where}").evaluate_all(shades) for where in ("strip i", "legend i"))
    assert strip == legend
    assert strip[0] != strip[1] == page.locator("#dot").evaluate("one => getComputedStyle(one).backgroundColor")


def test_when_the_sidecar_is_gone_it_says_so_and_claims_nothing(sidecars: list[Sidecar], page: Page) -> None:
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
    expect(page.locator("#state")).to_have_text("no answer")
    expect(page.locator("#name")).not_to_have_text(f"{leader.name} leads")
    expect(page.locator("#left")).to_have_text("its deadline has passed", timeout=10_000)
    expect(page.locator("#name")).to_have_text("Nobody is known to lead")
    leader.start().serving()
    expect(page.locator("#gone")).to_be_hidden(timeout=15_000)
    expect(page.locator("#state")).to_have_text(re.compile("^this Pod"))


def test_a_leader_that_steps_down_never_reads_as_one_that_leads(sidecars: list[Sidecar], page: Page) -> None:
    """is_leader is false; what is kept is the Lease, until its application has stopped."""
    leader, _ = leader_first(sidecars)
    leader.signal(signal.SIGTERM)
    leader.wait(10)
    leader.start(LEADER_APP_ENDS_FIRST="false", LEADER_DRAIN_TIMEOUT="1m").serving()
    (other,) = (one for one in sidecars if one is not leader)
    other.signal(signal.SIGTERM)
    other.wait(10)
    until(leader.leads, within_seconds=10)
    open_page(page, leader)
    expect(page.locator("#name")).to_have_text(f"{leader.name} leads")
    leader.signal(signal.SIGTERM)
    expect(page.locator("#name")).to_have_text(f"{leader.name} is stepping down")
    expect(page.locator("#state")).to_have_text("this Pod: stepping down")
    expect(page.locator("#left")).to_have_text(re.compile(r"^work in flight is covered for [123]\.\d s more, at most$"))
    expect(page.locator("#members")).to_contain_text("stepping down")
    expect(page.locator("#rows tr").first).to_contain_text("stepping down")
    expect(page.locator("main")).not_to_contain_text(re.compile("leads|leading|certain", re.IGNORECASE))
    assert page.title() == f"{leader.name} steps down: web"
    assert page.locator("#bar").evaluate(COLOUR) != page.locator("main").evaluate(LEAD)


COLOUR = "one => getComputedStyle(one).backgroundColor"
LEAD = """one => {
  const i = document.createElement("i");
  i.style.color = "var(--lead)"; one.append(i);
  const found = getComputedStyle(i).color;
  i.remove();
  return found;
}"""

OTHER: dict[str, object] = {"name": "web-1", "holder": "web-1_u2", "fencing_token": 81240}
NOBODY: dict[str, object] = {"name": "", "holder": "", "fencing_token": None, "acquired_at": None, "expires_in": 0, "valid_until_boottime_ns": 0}
STATES: dict[str, tuple[dict[str, object], str, str, str]] = {
    "starting": (NOBODY | {"state": "starting", "is_leader": False}, "Not known yet", "this Pod: starting", "has not seen the Lease"),
    "following": (OTHER | {"state": "following", "is_leader": False, "expires_in": 0}, "web-1 leads", "this Pod: following", ""),
    "nobody": (NOBODY | {"state": "following", "is_leader": False}, "Nobody is known to lead", "this Pod: following", ""),
    "leading": ({}, "web-0 leads", "this Pod leads", ""),
    "stepping-down": (
        {"state": "stepping-down", "is_leader": False}, "web-0 is stepping down", "this Pod: stepping down", "is_leader is false",
    ),
    "resigned": (OTHER | {"state": "resigned", "is_leader": False, "expires_in": 0}, "web-1 leads", "this Pod: resigned", "stays out"),
    "conflict": (NOBODY | {"state": "conflict", "is_leader": False}, "Nobody is known to lead", "this Pod: conflict", "Another process"),
}  # fmt: skip
"""Of each state what `/leader` answers in place of a leader's own answer; the headline, the badge, and a word of the note."""


@pytest.mark.parametrize("state", STATES)
def test_each_state_has_its_picture(sidecars: list[Sidecar], page: Page, state: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing in it says that this Pod leads where it does not. The pictures are to be looked at."""
    leader, _ = leader_first(sidecars)
    told, name, badge, note = STATES[state]
    own = leader.identity
    ended = {"name": "web-2", "holder": "web-2_u3", "fencing_token": 81200, "from": "2026-11-23T08:00:00.000000Z",
             "to": "2026-11-23T08:10:00.000000Z", "ended": "released"}  # fmt: skip

    def answer() -> dict[str, object]:
        usual = {"name": "web-0", "holder": own, "fencing_token": 81240, "is_leader": True, "state": "leading", "expires_in": 9.2}
        return leader.ask("/leader").json | usual | told

    def history(route: Route) -> None:
        now = answer()
        stands = {"name": now["name"], "holder": now["holder"], "fencing_token": now["fencing_token"],
                  "from": "2026-11-23T08:11:00.000000Z", "to": None, "ended": None}  # fmt: skip
        route.fulfill(json={"terms": [stands, ended] if now["name"] else [ended]})

    def members(route: Route) -> None:
        now = answer()
        found = [{"name": "web-0", "identity": own, "state": now["state"], "self": True}]
        if now["holder"] not in ("", own):
            found.append({"name": now["name"], "identity": now["holder"], "state": "leading", "self": False})
        route.fulfill(json={"members": found, "complete": False})

    page.route("**/leader", lambda route: route.fulfill(json=answer()))
    page.route("**/history", history)
    page.route("**/members", members)
    open_page(page, leader)
    expect(page.locator("#name")).to_have_text(name)
    expect(page.locator("#state")).to_have_text(badge)
    if note:
        expect(page.locator("#note")).to_contain_text(note)
    else:
        expect(page.locator("#note")).to_be_hidden()
    expect(page.locator("#deadline")).to_be_visible(visible=state in ("leading", "stepping-down"))
    if state == "leading":
        assert page.locator("#bar").evaluate(COLOUR) == page.locator("main").evaluate(LEAD)
    elif state not in ("following", "resigned"):
        expect(page.locator("main")).not_to_contain_text(re.compile(r"\bleads\b|leading|certain"))
    shot = tmp_path_factory.mktemp("page") / f"{state}.png"
    page.screenshot(path=shot, full_page=True)
    print(f"screenshot: {shot}")


def test_the_page_says_which_version_it_is_of_and_where_the_rest_is_described(sidecars: list[Sidecar], page: Page) -> None:
    open_page(page, sidecars[0])
    expect(page.locator("main")).to_contain_text(f"leader-sidecar {__version__}")
    for link in page.locator("main a").all():
        target = link.get_attribute("href")
        assert target is not None
        assert sidecars[0].ask(target).status == 200


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
    expect(page.locator("#left")).to_have_text(re.compile("certain"))
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
