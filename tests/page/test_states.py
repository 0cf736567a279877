"""Each state of the machine has its picture, and none says that this Pod leads where it does not."""

import re
import signal
import uuid
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from sidecar import __version__
from tests.apiserver.sidecar_process import Sidecar, ending, the_leader, until
from tests.page.looking import COLOUR, COLOURS, LEAD, SETTINGS, leader_first, open_page

pytestmark = pytest.mark.xdist_group("page")

OTHER: dict[str, object] = {"name": "web-1", "holder": "web-1_u2", "fencing_token": 81240}
NOBODY: dict[str, object] = {
    "name": "",
    "holder": "",
    "fencing_token": None,
    "acquired_at": None,
    "expires_in": 0,
    "valid_until_boottime_ns": 0,
}
STATES: dict[str, tuple[dict[str, object], str, str, str]] = {
    "starting": (NOBODY | {"state": "starting", "is_leader": False}, "Not known yet", "this Pod: starting", "has not seen the Lease"),
    "following": (OTHER | {"state": "following", "is_leader": False, "expires_in": 0}, "web-1 leads", "this Pod: following", ""),
    "nobody": (NOBODY | {"state": "following", "is_leader": False}, "No known leader", "this Pod: following", ""),
    "leading": ({}, "web-0 leads", "this Pod leads", ""),
    "stepping-down": (
        {"state": "stepping-down", "is_leader": False}, "web-0 is stepping down", "this Pod: stepping down", "is_leader is false",
    ),
    "resigned": (OTHER | {"state": "resigned", "is_leader": False, "expires_in": 0}, "web-1 leads", "this Pod: resigned", "not contend"),
    "conflict": (NOBODY | {"state": "conflict", "is_leader": False}, "No known leader", "this Pod: conflict", "Another process"),
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
        expect(page.locator("main")).not_to_contain_text(re.compile(r"\bleads\b|leading|valid for"))
    shot = tmp_path_factory.mktemp("page") / f"{state}.png"
    page.screenshot(path=shot, full_page=True)
    print(f"screenshot: {shot}")


def test_a_leader_that_steps_down_never_reads_as_one_that_leads(sidecars: list[Sidecar], page: Page) -> None:
    """is_leader is false; what is kept is the Lease, until its application has stopped."""
    leader, _ = leader_first(sidecars)
    leader.signal(signal.SIGTERM)
    leader.wait(10)
    leader.start(LEADER_NATIVE_SIDECAR="false", LEADER_DRAIN_TIMEOUT="1m").serving()
    (other,) = (one for one in sidecars if one is not leader)
    other.signal(signal.SIGTERM)
    other.wait(10)
    until(leader.leads, within_seconds=10)
    open_page(page, leader)
    expect(page.locator("#name")).to_have_text(f"{leader.name} leads")
    leader.signal(signal.SIGTERM)
    expect(page.locator("#name")).to_have_text(f"{leader.name} is stepping down")
    expect(page.locator("#state")).to_have_text("this Pod: stepping down")
    expect(page.locator("#left")).to_have_text(re.compile(r"^the Lease is kept for [123]\.\d s more, at most$"))
    expect(page.locator("#members")).to_contain_text("stepping down")
    expect(page.locator("#rows tr").first).to_contain_text("stepping down")
    expect(page.locator("main")).not_to_contain_text(re.compile("leads|leading|valid for", re.IGNORECASE))
    assert page.title() == f"{leader.name} steps down: web"
    assert page.locator("main").evaluate(LEAD) not in page.locator("i, .dot, .badge").evaluate_all(COLOURS)


def test_the_page_says_which_version_it_is_of_and_where_the_rest_is_described(sidecars: list[Sidecar], page: Page) -> None:
    open_page(page, sidecars[0])
    expect(page.locator("main")).to_contain_text(f"leader-sidecar {__version__}")
    for link in page.locator("main a").all():
        target = link.get_attribute("href")
        assert target is not None
        assert sidecars[0].ask(target).status == 200


def test_the_picture_of_the_page_is_what_its_words_say(browser: Browser, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """`docs/pictures/page.png` is this picture: of a sidecar whose Pod leads, after a few handovers. What is printed here goes there."""
    store = {"LEADER_STORE": f"local:{tmp_path}/leases.db", "LEADER_LEASE_DURATION": "15s", "LEADER_RENEW_DEADLINE": "10s"}
    three = [Sidecar(f"web-{number}", tmp_path, SETTINGS | store, uid=uuid.uuid4().hex[:4]) for number in range(3)]
    context = browser.new_context(viewport={"width": 1000, "height": 800})
    with ending(three):
        for sidecar in three:
            sidecar.start().serving()
        the_leader(three, within_seconds=10)
        for successor in (three[1], three[2], three[0], three[1], three[0]):
            leader = the_leader(three, within_seconds=20)
            if leader is not successor:
                assert leader.ask("/resign", method="POST", body={"for": "1s", "to": successor.name}).status == 200
                leader.ask("/drained", method="POST")
            until(successor.leads, within_seconds=20)
            until(lambda: all(one.leader()["state"] in ("leading", "following") for one in three), within_seconds=20)
        page = context.new_page()
        open_page(page, three[0])
        expect(page.locator("#name")).to_have_text("web-0 leads")
        expect(page.locator("#state")).to_have_text("this Pod leads")
        expect(page.locator("#since")).to_have_text(re.compile("^since .*, for [3-9] s$"), timeout=20_000)  # long enough for the strip
        expect(page.locator("#left")).to_have_text(re.compile(r"valid for \d\.\d s; each renewal extends it$"))
        expect(page.locator("#legend > span").nth(2)).to_be_visible()
        assert page.locator("#rows tr").count() >= 3
        shot = tmp_path_factory.mktemp("page") / "page.png"
        page.screenshot(path=shot, full_page=True)
        print(f"docs/pictures/page.png: {shot}")
    context.close()
    text = (Path(__file__).parents[2] / "docs" / "getting-started.md").read_text()
    words = re.search(r"!\[([^]]*)\]\(pictures/page\.png\)", text)
    assert words is not None
    assert words[1] == "The page of a sidecar whose Pod leads: who leads and since when, the deadline running down, the terms seen"
