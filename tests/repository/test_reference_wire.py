"""docs/reference/wire-format.md: the Lease that it shows is one that a sidecar writes, and each name and number on it is the code's."""

import re
from typing import Any, Final

import pytest
import yaml

from sidecar.election import record, turns
from sidecar.election.record import HolderPod, Term
from sidecar.features import lease_events, pod_fields, retry, rollout_handover
from sidecar.runtime import elector, standby
from tests.repository.test_reference import PAGES, chapter, rows
from tests.support.texts import block

PAGE: Final = PAGES["wire-format.md"]
ANNOTATIONS: Final = (
    record.TERM_ANNOTATION,
    record.STANDBY_ANNOTATION,
    record.SUCCESSOR_ANNOTATION,
    record.GROUP_ANNOTATION,
    rollout_handover.YIELDED_ANNOTATION,
)


def shown() -> dict[str, Any]:
    """The Lease on the page."""
    lease: dict[str, Any] = yaml.load(block("docs/reference/wire-format.md", "yaml"), yaml.BaseLoader)  # noqa: S506 - it makes strings only, as JSON has times
    lease["spec"] |= {field: int(lease["spec"][field]) for field in ("leaseDurationSeconds", "leaseTransitions")}
    return lease


def test_the_lease_shown_is_held_by_a_sidecar_whose_pod_it_names() -> None:
    """Nothing in it is junk, and a follower stands by."""
    found = record.parse(shown())
    assert found.own_term is not None
    assert found.token is not None
    assert found.own_term.process
    assert found.own_term.place
    assert found.own_term.extra == ()
    assert found.pod is not None
    assert found.holder == f"{found.pod.name}_{found.pod.uid}"
    assert None not in (found.version_number, found.acquire_time_us, found.renew_time_us, found.transitions, found.duration_seconds)
    assert found.standbys


def test_the_lease_shown_is_what_a_sidecar_writes() -> None:
    """To the letter: what was read, written anew, is the same."""
    lease = shown()
    written = record.merge_patch(record.parse(lease), lease["metadata"]["resourceVersion"])
    annotations = {name: text for name, text in written["metadata"]["annotations"].items() if text is not None}
    assert annotations == {name: text for name, text in lease["metadata"]["annotations"].items() if name.startswith("leader-sidecar/")}
    assert written["spec"] == lease["spec"]


def test_every_annotation_and_every_field_of_the_spec_has_a_row() -> None:
    """And no other."""
    assert set(rows(chapter(PAGE, "Fields of the spec"))) - {"field"} == set(record.merge_patch(record.Record(""), None)["spec"])
    table = chapter(PAGE, "Annotations").split("\n### ", maxsplit=1)[0]
    assert set(rows(table)) - {"annotation"} == set(ANNOTATIONS)


@pytest.mark.parametrize("annotation", ANNOTATIONS)
def test_every_annotation_has_a_chapter(annotation: str) -> None:
    assert f"\n### `{annotation}`\n" in PAGE


def test_every_member_of_a_term_has_a_row() -> None:
    """In the order in which it is written."""
    members = re.findall(r'"(\w+)":', re.sub(r"\{[^{}]*\}\}", "{}}", Term("web-0_1", pod=HolderPod("web-0", "1")).to_json()))
    part = PAGE.split("\n### `leader-sidecar/term`\n")[1].split("\n### ")[0]
    assert list(rows(part))[1:-1] == members


def test_every_number_on_the_page_is_in_force() -> None:
    """Of the placeholder holder, the stand-bys, the Pod and the Events."""
    text = " ".join(PAGE.split())
    assert f"| {record.PLACEHOLDER} |".replace("| ", "| `").replace(" |", "` |") in text
    for words in (
        f"1 to {record.MAX_DURATION_SECONDS}",
        f"the second after {turns.STANDBY_STEP_SECONDS * 1000:g} ms",
        f"wait at least {turns.STANDBY_LEAD_SECONDS * 1000:g} ms",
        f"a random time of up to {turns.SPREAD_SECONDS * 1000:g} ms",
        f"the others wait {turns.HOLD_BACK_SECONDS:g} s longer",
        f"at most {retry.LONGEST_PAUSE_PERIODS} retry periods apart, or {retry.LONGEST_DENIED_PERIODS} if",
        f"The release waits at most {elector.HOLD_SECONDS:g} s",
        f"At most {lease_events.QUEUE} Events",
        f"label `{pod_fields.LABEL}` | `{pod_fields.LEADER}` or `{pod_fields.FOLLOWER}`",
        f"condition `{pod_fields.CONDITION}`",
        f"the reporting controller `{lease_events.CONTROLLER}`",
    ):
        assert words in text, words
    assert standby.MOST == 2
    assert rollout_handover.AGAIN_SECONDS == 600
