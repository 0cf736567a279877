"""The sidecar as an ordinary container: SIGTERM reaches it and the application at once, and the application says when it has stopped."""

import pytest

from tests.e2e.app import SCRIPT
from tests.e2e.cluster import until
from tests.e2e.workload import Workload

pytestmark = pytest.mark.timeout(400)
DRAIN_TIMEOUT = 10
"""The default, in seconds: the renew deadline."""
PLAIN = (
    SCRIPT
    + r"""
[ -z "$token" ] || curl -s --max-time 3 -X POST -H 'Content-Type: application/json' -d "{\"token\": $token}" localhost:4040/drained
"""
)
"""Says when it has stopped, of which term: so it may be before the sidecar has heard of the end."""
FORGETFUL = SCRIPT.replace(
    "say ended",
    r"""
say until $((${deadline:-0} / 10000000))
while read -r up rest < /proc/uptime; [ "${up%.*}${up#*.}" -lt $((${deadline:-0} / 10000000)) ]; do say acts "$token"; sleep 0.05; done
say ended
""",
)
"""Acts on, up to the deadline that it was given last, without asking anybody, and does not say that it has stopped."""


def test_the_next_is_told_when_the_application_says_drained(workload: Workload) -> None:
    """Soon after, whether the sidecar had heard SIGTERM by then or not."""
    pods = workload.deploy(components=("regular-container",), replicas=2, script=PLAIN)
    assert not pods[0]["spec"].get("initContainers"), "an ordinary container"
    took = []
    for _ in range(3):
        first = workload.leader()
        other = next(pod["metadata"]["name"] for pod in workload.pods() if pod["metadata"]["uid"] != first)
        _follows(workload, other)
        mark = workload.ledger.length()
        workload.kubectl("delete", "pod", workload.name_of(first), "--wait=false")
        ended = workload.ledger.next("ended", uid=first, after=mark)
        told = workload.ledger.next("told", after=mark)
        assert told.uid != first
        took.append(told.seconds - ended.seconds)
        workload.running(2)
    print("the next application told", ", ".join(f"{seconds * 1000:.0f}" for seconds in took), "ms after the old one's end")
    assert min(took) >= 0
    assert min(took) < DRAIN_TIMEOUT / 2, "released when it was said, not when the drain timeout had passed"


def _follows(workload: Workload, pod: str) -> None:
    """Wait until the sidecar of that Pod contends: what is looked at is a release, not how fast a container starts."""
    until(f"{pod} follows", lambda: '"state": "following"' in workload.ask(pod, "/leader"))


def test_where_the_application_forgets_to_the_deadline_that_it_was_given_is_kept(workload: Workload) -> None:
    """It is the worst there is: acts up to that deadline without asking. The next leads after the drain timeout, and nobody in between."""
    pods = workload.deploy(components=("regular-container",), replicas=2, script=FORGETFUL)
    first = workload.leader()
    _follows(workload, next(pod["metadata"]["name"] for pod in pods if pod["metadata"]["uid"] != first))
    mark = workload.ledger.length()
    workload.kubectl("delete", "pod", workload.name_of(first), "--wait=false")
    given = workload.ledger.next("until", uid=first, after=mark)
    told = workload.ledger.next("told", after=mark)
    deadline = given.token / 100
    last = workload.ledger.lines("acts", uid=first)[-1]
    print(
        f"told to end, it had {deadline - given.seconds:.2f} s left and acted for {last.seconds - given.seconds:.2f} s; "
        f"the next was told {told.seconds - given.seconds:.2f} s after the old one was told to end"
    )
    assert told.uid != first
    assert last.seconds > given.seconds, "it acted on"
    assert told.seconds >= deadline, "the deadline that was given is behind"
    workload.running(2)
    assert workload.ledger.lines("acts", uid=first)[-1].seconds <= told.seconds
