"""The timelines are drawn from what was recorded, and the record keeps the promises."""

import json
import re
from itertools import combinations, pairwise
from typing import Any

import pytest

from tools.timelines import PICTURES, RECORD, TITLES, draw

JSON = dict[str, Any]
RECORDED: dict[str, list[JSON]] = json.loads(RECORD.read_text(encoding="utf-8"))
PANELS = [panel for panels in RECORDED.values() for panel in panels]
MOST_BYTES = 30_000


def _pods(panel: JSON) -> list[JSON]:
    return [lane for lane in panel["lanes"] if lane["name"] != "Lease"]


def _terms(lane: JSON) -> list[JSON]:
    """What the Pod answered true, and what its application might act on after that."""
    return [bar for bar in lane["bars"] if bar["kind"] in {"true", "deadline"}]


def _ticks(panel: JSON) -> list[JSON]:
    return sorted((tick for lane in _pods(panel) for tick in lane["ticks"]), key=lambda tick: float(tick["at"]))


def test_all_four_are_recorded() -> None:
    assert list(RECORDED) == list(TITLES)


@pytest.mark.parametrize("name", RECORDED)
def test_the_picture_is_what_the_record_gives(name: str) -> None:
    """`python -m tools.timelines` draws it anew."""
    assert (PICTURES / f"{name}.svg").read_text(encoding="utf-8") == draw(name, RECORDED[name])


@pytest.mark.parametrize("name", RECORDED)
def test_a_picture_is_small_needs_nothing_from_elsewhere_and_is_told_in_words_and_in_the_dark(name: str) -> None:
    svg = (PICTURES / f"{name}.svg").read_text(encoding="utf-8")
    assert len(svg.encode()) < MOST_BYTES
    assert re.findall(r"https?://[^\s\"]+", svg) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"@font-face|@import|<image|<script|href=", svg)
    assert "prefers-color-scheme:dark" in svg
    (told,) = re.findall(r'<desc id="d">(.+)</desc>', svg)
    assert all(event["text"].split()[0] in told for panel in RECORDED[name] for lane in panel["lanes"] for event in lane["events"])


@pytest.mark.parametrize("panel", PANELS)
def test_no_two_lead_given_deadlines_counted_in(panel: JSON) -> None:
    for one, other in combinations(_pods(panel), 2):
        overlaps = [(a, b) for a in _terms(one) for b in _terms(other) if a["from"] < b["until"] and b["from"] < a["until"]]
        assert not overlaps


@pytest.mark.parametrize("panel", PANELS)
def test_the_token_grows_from_each_leader_to_the_next(panel: JSON) -> None:
    terms = sorted((bar["from"], bar["token"]) for lane in _pods(panel) for bar in lane["bars"] if bar["kind"] == "true")
    tokens = [token for _, token in terms]
    assert all(before < after for before, after in pairwise(tokens))
    waits = panel.get("title", "").endswith("waits for ever")
    assert len(tokens) == (1 if waits else 2)


@pytest.mark.parametrize("panel", PANELS)
def test_only_a_write_with_a_smaller_token_than_an_earlier_one_is_refused(panel: JSON) -> None:
    largest = 0
    for tick in _ticks(panel):
        assert tick["kind"] == ("refused" if tick["token"] < largest else "write")
        largest = max(largest, tick["token"])
        assert tick["largest"] == largest


def test_the_paused_leaders_write_is_the_one_that_is_refused() -> None:
    """It was paused over the deadline that it had read and into the next one's term."""
    (panel,) = RECORDED["paused-leader"]
    (refused,) = (tick for tick in _ticks(panel) if tick["kind"] == "refused")
    (old,) = (lane for lane in _pods(panel) if refused in lane["ticks"])
    (paused,) = (bar for bar in old["bars"] if bar["kind"] == "paused")
    (deadline,) = (bar for bar in old["bars"] if bar["kind"] == "deadline")
    (new,) = (bar for lane in _pods(panel) if lane is not old for bar in lane["bars"] if bar["kind"] == "true")
    assert paused["from"] < deadline["until"] < new["from"] < paused["until"] <= refused["at"]
    assert refused["token"] == deadline["token"] < new["token"]


def test_after_a_crash_the_next_leads_past_the_given_deadline_and_within_the_lease_duration_and_a_second() -> None:
    (panel,) = RECORDED["crash"]
    (deadline,) = (bar["until"] for lane in _pods(panel) for bar in lane["bars"] if bar["kind"] == "deadline")
    (told,) = (event["at"] for lane in _pods(panel) for event in lane["events"] if event["text"].startswith("application told"))
    assert 8_000 < deadline <= 10_000
    assert deadline < told < 16_000


def test_a_graceful_handover_takes_milliseconds() -> None:
    """From the sidecar's SIGTERM to the moment at which the next application is told."""
    (panel,) = RECORDED["graceful-handover"]
    events = {event["text"]: event["at"] for lane in _pods(panel) for event in lane["events"]}
    (stopped,) = (at for text, at in events.items() if text.endswith("SIGTERM to the sidecar"))
    (told,) = (at for text, at in events.items() if text.startswith("application told"))
    assert 0 < told - stopped < 200


def test_the_rollout_waits_for_a_pod_that_waits_for_it_and_goes_through_with_a_handover() -> None:
    """Without: ready and leading are one Pod's to the end. With: the new Pod leads and is ready, and the old one ends after that."""
    without, handed_over = RECORDED["rollout-deadlock"]
    old, new = without["lanes"]
    assert {bar["kind"]: bar["until"] for bar in old["bars"]} == {"true": without["until"], "ready": without["until"]}
    assert not [bar for bar in new["bars"] if bar["kind"] in {"true", "ready"}]
    old, new = handed_over["lanes"]
    starts = {bar["kind"]: bar["from"] for bar in new["bars"]}
    (led,) = (bar["until"] for bar in old["bars"] if bar["kind"] == "true")
    (down,) = (bar["from"] for bar in old["bars"] if bar["kind"] == "down")
    assert led < min(starts["true"], starts["ready"])
    assert abs(starts["true"] - starts["ready"]) < 1000
    assert max(starts["true"], starts["ready"]) < down
