"""The own Pod follows the answer: after it on the way up, before the release on the way down; nothing of it holds up an election."""

import asyncio
import logging
from itertools import pairwise

import pytest

from sidecar.features.pod_fields import SETTLE_SECONDS
from sidecar.features.pod_status import LAST_SECONDS
from sidecar.features.retry import LIMIT_SECONDS, LONGEST_PAUSE_PERIODS
from sidecar.runtime.elector import HOLD_SECONDS
from sidecar.runtime.health_lines import HealthLine
from tests.simulation.virtual_time import run_virtually
from tests.support.own_pod import Stage, now_seconds, stage

PERIOD = 2.0
SOON = 1.0
"""On a healthy API server everything is said within it."""


def test_it_says_follower_until_it_leads_and_leader_after_the_answer() -> None:
    """Whatever is written agrees with the answer at the moment when it lands."""

    async def main() -> None:
        async with stage("label", "condition") as it:
            said: list[tuple[str | None, bool]] = []
            it.cluster.commits = lambda: said.append((it.cluster.label, it.leads))
            await asyncio.sleep(SOON)
            assert [line for line in it.journal if "condition" not in line] == ["label follower", "lease web-0_u0", "label leader"]
            assert [line for line in it.journal if "label" not in line] == ["condition False", "lease web-0_u0", "condition True"]
            assert it.leads
            assert not it.runner.status.problems

    run_virtually(main())


def test_on_sigterm_false_is_said_first_then_the_pod_is_taken_back_then_the_lease_is_released() -> None:
    """And all of it takes as long as one patch."""

    async def main() -> None:
        async with stage("label", "condition") as it:
            await asyncio.sleep(SOON)
            del it.journal[:]
            answers: list[bool] = []
            it.cluster.commits = lambda: answers.append(it.leads)
            began = now_seconds()
            it.runner.stop()
            await it.run
            assert sorted(it.journal[:2]) == ["condition False", "label follower"]
            assert it.journal[2:] == ["lease released"]
            assert answers == [False, False]
            assert now_seconds() - began < 0.05

    run_virtually(main())


def test_with_a_drain_the_pod_is_taken_back_at_once_and_the_release_waits_for_nothing_more() -> None:
    async def main() -> None:
        async with stage("label", native_sidecar=False) as it:
            await asyncio.sleep(SOON)
            it.runner.leadership.read(promise_deadline=True)
            it.runner.resign(None, "")
            await asyncio.sleep(0.05)
            assert it.cluster.label == "follower"
            assert it.journal[-1] == "label follower", "the Lease is still its own"
            it.cluster.away = True
            began = now_seconds()
            it.runner.drained(None)
            await asyncio.sleep(0.05)
            assert it.journal[-1] == "lease released"
            assert it.releases()[-1] - began < 0.01

    run_virtually(main())


def test_a_slow_patch_holds_a_release_up_for_a_short_bound_and_no_longer() -> None:
    """The label comes later then; the election does not wait for it."""

    async def main() -> None:
        async with stage("label") as it:
            await asyncio.sleep(SOON)
            it.cluster.way_seconds = 1.5
            began = now_seconds()
            it.runner.resign(None, "")
            await asyncio.sleep(0.1)
            assert not it.releases()
            await asyncio.sleep(SOON)
            assert it.releases()[0] - began == pytest.approx(HOLD_SECONDS, abs=0.01)
            assert it.journal[-1] == "lease released"
            await asyncio.sleep(SOON)
            assert it.journal[-1] == "label follower"

    run_virtually(main())


def test_a_patch_under_way_on_the_way_up_is_not_overtaken_by_the_one_on_the_way_down() -> None:
    """One at a time: the newest answer is what stands there in the end."""

    async def main() -> None:
        async with stage("label", way_seconds=0.08) as it:
            await asyncio.sleep(SOON)
            it.runner.resign(3600, "")
            await asyncio.sleep(SOON)
            it.runner.campaign()
            while not it.leads:  # noqa: ASYNC110 - at that very moment
                await asyncio.sleep(0.001)
            del it.journal[:]
            it.runner.resign(None, "")
            await asyncio.sleep(SOON)
            assert it.journal == ["label leader", "label follower", "lease released"]

    run_virtually(main())


def test_the_hold_ends_with_the_deadline() -> None:
    """What is left of it is less than the bound: the release goes when the term has ended, not later."""

    async def main() -> None:
        async with stage("label") as it:
            await asyncio.sleep(SOON)
            it.store.cut = True
            it.cluster.way_seconds = 1.9
            left_seconds = it.runner.leadership.read().expires_in
            ends_seconds = now_seconds() + left_seconds
            await asyncio.sleep(left_seconds - HOLD_SECONDS / 2)
            assert it.leads
            it.runner.resign(None, "")
            await asyncio.sleep(HOLD_SECONDS)
            assert it.releases()[0] == pytest.approx(ends_seconds, abs=0.02)

    run_virtually(main())


def test_a_second_sigterm_waits_for_nothing() -> None:
    async def main() -> None:
        async with stage() as it:
            await asyncio.sleep(SOON)
            it.cluster.way_seconds = 1.5
            it.runner.stop()
            await asyncio.sleep(0.01)
            it.runner.stop(now=True)
            began = now_seconds()
            await it.run
            await it.own.finish()
            assert now_seconds() == began
            assert not it.releases()

    run_virtually(main())


def test_at_the_end_what_is_under_way_has_a_moment_more() -> None:
    """The Event of the end is written; where the API server is slow nobody waits for it."""

    async def main(way_seconds: float) -> tuple[float, list[str]]:
        async with stage("events", way_seconds=way_seconds) as it:
            await asyncio.sleep(10)
            it.runner.stop()
            await it.run
            began = now_seconds()
            await it.own.finish()
            return now_seconds() - began, it.journal

    took, journal = run_virtually(main(0.02))
    assert journal[-1] == "event StoppedLeading"
    assert took < LAST_SECONDS / 2
    took, journal = run_virtually(main(0.9))
    assert "event StoppedLeading" not in journal
    assert took == pytest.approx(LAST_SECONDS, abs=0.02)


@pytest.mark.parametrize("missing", ["/pods/web-0", "/status", "/events"])
def test_a_missing_right_is_said_once_retried_and_holds_nothing_up(missing: str, caplog: pytest.LogCaptureFixture) -> None:
    """By verb and resource; when it is granted all is set right with no restart."""
    what = {"/pods/web-0": HealthLine.POD_LABEL, "/status": HealthLine.POD_CONDITION, "/events": HealthLine.EVENTS}[missing]
    right = {"/pods/web-0": 'patch on pods "web-0"', "/status": 'patch on pods/status "web-0"', "/events": "create on events.events.k8s.io"}

    async def main() -> None:
        async with stage(denied=(missing,)) as it:
            await asyncio.sleep(300)
            assert it.leads
            assert right[missing] in it.runner.status.problems[what]
            began = now_seconds()
            it.runner.resign(3600, "")
            await asyncio.sleep(SOON)
            assert it.releases()[0] - began < HOLD_SECONDS / 2
            it.cluster.denied = ()
            it.runner.campaign()
            await asyncio.sleep(60)
            assert it.leads
            assert it.runner.status.problems == {}
            assert (it.cluster.label, it.cluster.condition["status"]) == ("leader", "True")

    with caplog.at_level(logging.INFO):
        run_virtually(main())
    assert caplog.messages.count(f"{what} failed") == 1
    assert caplog.messages.count(f"{what} works again") == 1


def test_in_an_outage_all_parts_together_repeat_at_most_once_a_retry_period_and_then_it_is_right_again() -> None:
    """The latest answer is what is written, whatever was wished in between."""

    async def main() -> None:
        async with stage(away=True) as it:
            await asyncio.sleep(60)
            it.runner.resign(30, "")
            await asyncio.sleep(60)
            assert it.leads
            firsts, repeats = it.cluster.asked[:3], it.cluster.asked[3:]
            assert {asked.at_seconds < 0.1 for asked in firsts} == {True}
            assert len(repeats) > 10
            assert all(later.at_seconds - earlier.at_seconds >= PERIOD - 0.001 for earlier, later in pairwise(repeats))
            it.cluster.away = False
            await asyncio.sleep(8 * PERIOD)
            assert it.runner.status.problems == {}
            assert (it.cluster.label, it.cluster.condition["status"]) == ("leader", "True")
            assert [line for line in it.journal if line.startswith("event")] == [
                "event BecameLeader",
                "event Resigned",
                "event BecameLeader",
            ]

    run_virtually(main())


def test_what_fails_while_it_follows_is_said_once_and_set_right_soon_after(caplog: pytest.LogCaptureFixture) -> None:
    """News of the Lease is no news of the Pod: that does not "work again" before it does."""

    async def main() -> None:
        async with stage("label") as it:
            await asyncio.sleep(SOON)
            it.cluster.away = True
            it.other_leads()
            for _ in range(100):
                await asyncio.sleep(0.1)
                it.lease.put(it.lease.lease or {})  # news of the Lease, many times
            assert HealthLine.POD_LABEL in it.runner.status.problems
            assert it.cluster.label == "leader", "cut off, it keeps its label"
            it.cluster.away = False
            await asyncio.sleep(LIMIT_SECONDS + LONGEST_PAUSE_PERIODS * PERIOD + SOON)
            assert it.cluster.label == "follower"

    run_virtually(main())
    assert caplog.messages.count("pod label failed") == 1


def test_a_stale_label_is_corrected_though_the_lease_cannot_be_seen() -> None:
    """A former process was killed while it led."""

    async def main() -> None:
        pod = {"metadata": {"uid": "u0", "labels": {"leader-sidecar/role": "leader"}}, "status": {}}
        async with stage("label", pod=pod) as it:
            it.lease.lease = None
            await asyncio.sleep(0.02)
            assert it.cluster.label == "follower"
            assert not it.leads

    run_virtually(main())


def test_a_restart_moves_no_transition_time_where_the_status_stays() -> None:
    async def main() -> None:
        before = {"type": "leader-sidecar/leading", "status": "False", "lastTransitionTime": "2026-11-23T08:00:00Z"}
        pod = {"metadata": {"uid": "u0", "labels": {}}, "status": {"conditions": [before]}}
        async with stage("condition", pod=pod) as it:
            it.other_leads()
            await asyncio.sleep(10)
            assert it.cluster.condition == before
            assert it.journal == ["lease web-1_u1"]

    run_virtually(main())


@pytest.mark.parametrize(
    ("pod", "said"), [(None, "not found"), ({"metadata": {"uid": "another", "labels": {}}, "status": {}}, "metadata.uid")]
)
def test_a_pod_that_is_gone_or_another_is_left_alone(pod: dict[str, object] | None, said: str) -> None:
    """404 or 422: said, tried seldom, never an end; each patch carries the uid."""

    async def main() -> None:
        async with stage("label", "condition", pod=pod) as it:
            await asyncio.sleep(600)
            assert it.leads
            assert said in it.runner.status.problems[HealthLine.POD_LABEL]
            assert said in it.runner.status.problems[HealthLine.POD_CONDITION]
            assert not [line for line in it.journal if "lease" not in line]
            assert {asked.body["metadata"]["uid"] for asked in it.cluster.asked} == {"u0"}
            assert len(it.cluster.asked) < 600 / 20 * 2

    run_virtually(main())


def test_a_patch_that_lands_late_is_found_and_set_right() -> None:
    """No answer came, so the Pod is patched once more when no former patch can be on its way."""

    async def main() -> None:
        async with stage("label") as it:
            await asyncio.sleep(SOON)
            it.cluster.away = True
            it.other_leads()
            await asyncio.sleep(2.5)
            it.cluster.away = False
            await asyncio.sleep(4 * PERIOD)
            assert it.cluster.label == "follower"
            assert it.cluster.pod is not None
            it.cluster.pod["metadata"]["labels"]["leader-sidecar/role"] = "leader"
            await asyncio.sleep(SETTLE_SECONDS)
            assert it.cluster.label == "follower"
            asked = len(it.cluster.asked)
            await asyncio.sleep(600)
            assert len(it.cluster.asked) == asked, "and then there is nothing to do"

    run_virtually(main())


def test_what_a_patch_without_an_answer_may_have_said_is_not_taken_for_unsaid() -> None:
    """A patch to leader landed, nobody knows; the answer is false again: "follower" is written, as soon as a repeat may go."""

    async def main() -> None:
        async with stage("label") as it:
            await asyncio.sleep(SOON)
            it.runner.resign(0.2, "")
            await asyncio.sleep(0.1)
            assert it.cluster.label == "follower"
            it.cluster.mute = True
            await leading(it)
            await asyncio.sleep(0.1)
            assert it.cluster.label == "leader"
            it.other_leads()
            it.cluster.mute = False
            await asyncio.sleep(PERIOD + SOON)
            assert it.cluster.label == "follower"

    run_virtually(main())


def test_a_bug_in_it_ends_no_election(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        async with stage(bug=True) as it:
            await asyncio.sleep(10)
            assert it.leads
            it.cluster.bug = False
            await asyncio.sleep(2 * PERIOD)
            assert it.cluster.label == "leader"

    run_virtually(main())
    assert "a bug in the Pod label, the Pod condition or the Events; the election goes on" in caplog.messages


def test_an_admission_webhook_that_takes_the_label_back_makes_no_storm() -> None:
    async def main() -> None:
        async with stage("label") as it:
            await asyncio.sleep(SOON)
            asked = len(it.cluster.asked)
            it.cluster.ignores = True
            it.other_leads()
            await asyncio.sleep(60)
            assert len(it.cluster.asked) - asked <= 60 / PERIOD
            assert "does not show it" in it.runner.status.problems[HealthLine.POD_LABEL]

    run_virtually(main())


def test_events_tell_who_became_leader_and_why_it_stopped() -> None:
    async def main() -> None:
        async with stage("events") as it:
            await asyncio.sleep(SOON)
            it.other_leads()
            await asyncio.sleep(SOON)
            first, second = it.cluster.events.values()
            assert (first["reason"], first["type"], first["action"]) == ("BecameLeader", "Normal", "Acquire")
            assert "web-0 became leader with fencing token" in first["note"]
            assert (second["reason"], second["type"]) == ("StoppedLeading", "Warning")
            assert second["note"] == "web-0 stopped leading: web-1_u1 holds the Lease"
            assert second["regarding"] == {
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "namespace": "shop", "name": "web", "uid": "lease-uid",
            }  # fmt: skip
            assert (second["reportingController"], second["reportingInstance"]) == ("leader-sidecar", "web-0")
            assert second["eventTime"].endswith("Z")

    run_virtually(main())


@pytest.mark.parametrize("letter", ["é", "日", "😀", "e"])
def test_an_events_note_has_1024_bytes_at_most_and_ends_with_a_whole_character(letter: str) -> None:
    """The API server counts bytes, and refuses the whole Event where there are more."""

    async def main() -> None:
        async with stage("events") as it:
            await asyncio.sleep(SOON)
            it.other_leads(letter * 2000 + "_u1")
            await asyncio.sleep(SOON)
            note = list(it.cluster.events.values())[-1]["note"]
            assert note.startswith(f"web-0 stopped leading: {letter}{letter}")
            assert len(note.encode()) <= 1024
            assert len(note.encode()) > 900
            assert note.endswith(" characters more)")

    run_virtually(main())


def test_an_event_that_was_written_without_an_answer_is_not_written_twice() -> None:
    """Its name is the same in each repeat."""

    async def main() -> None:
        async with stage("events", way_seconds=1.99) as it:
            await asyncio.sleep(3)
            it.cluster.way_seconds = 0.005
            await asyncio.sleep(0.005)
            names = [asked.body["metadata"]["name"] for asked in it.cluster.asked if asked.method == "POST"]
            assert len(names) == len(set(names)) == 1
            it.cluster.events[names[0]] = {"reason": "BecameLeader"}
            await asyncio.sleep(20)
            assert len(it.cluster.events) == 1
            assert it.runner.status.problems == {}

    run_virtually(main())


def test_where_nothing_can_be_written_the_newest_events_are_kept_and_the_queue_is_bounded() -> None:
    async def main() -> None:
        async with stage("events", away=True) as it:
            await moves(it, 20)
            it.cluster.away = False
            await asyncio.sleep(60)
            reasons = [line for line in it.journal if line.startswith("event")]
            assert len(reasons) == 16
            notes = [event["note"] for event in it.cluster.events.values()]
            assert str(it.runner.leadership.read().fencing_token) in notes[-1]

    run_virtually(main())


async def moves(it: Stage, times: int) -> None:
    """Lead, resign, and come back."""
    for _ in range(times):
        await leading(it)
        it.runner.resign(0.2, "")
        await asyncio.sleep(SOON)
    await leading(it)


async def leading(it: Stage) -> None:
    """Until it does."""
    while not it.leads:  # noqa: ASYNC110 - virtual time
        await asyncio.sleep(0.1)
