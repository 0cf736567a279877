"""S11: after a SIGTERM while the application may act, the own Pod's deletion says that it has ended."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

import pytest

from sidecar.election.store import Denied, Missing, Unknown
from sidecar.features.own_deletion import is_deleted, look_once
from sidecar.kubernetes.pods import Found, PodEvent, PodOutcome
from sidecar.runtime.identity import Pod
from sidecar.runtime.rate_limiter import BURST, KEPT_REQUESTS
from tests.simulation.virtual_time import run_virtually
from tests.unit.test_native_sidecar import CLOCK, Stage, stage

ME = Pod("shop", "web-0", "u")


def pod(*, deleted: bool = True, uid: str = "u", native: int = 1) -> dict[str, Any]:
    """Of the own name, with so many native sidecars."""
    metadata = {"name": "web-0", "uid": uid} | ({"deletionTimestamp": "2026-11-23T08:00:00Z"} if deleted else {})
    containers = [{"name": "migrate"}, *({"name": f"native-{number}", "restartPolicy": "Always"} for number in range(native))]
    return {"kind": "Pod", "metadata": metadata, "spec": {"initContainers": containers}}


class Asked:
    """A namespace's Pods, of which only one is read."""

    def __init__(self, outcome: PodOutcome) -> None:
        self.reads: list[tuple[str, int]] = []
        self._outcome = outcome

    async def read(self, name: str, limit_seconds: float) -> PodOutcome:
        """What a test has it say."""
        assert limit_seconds > 0
        self.reads.append((name, CLOCK.boottime_ns()))
        return self._outcome

    def watch(self, name: str) -> AsyncGenerator[PodEvent, None]:
        """Not needed."""
        raise NotImplementedError(name)


async def stopped(it: Stage, pods: Asked) -> float:
    """How long after SIGTERM the Lease is released."""
    looks = asyncio.create_task(look_once(it.runner, pods, ME))
    await asyncio.sleep(1)
    assert not pods.reads
    it.runner.stop()
    try:
        return await it.released_after()
    finally:
        looks.cancel()
        with suppress(asyncio.CancelledError):
            await looks


@pytest.mark.parametrize(
    ("outcome", "ended"),
    [
        (Found(pod()), True),
        (Found(pod(deleted=False)), False),
        (Found(pod(uid="another")), False),
        (Found(pod(native=2)), False),
        (Found(pod(native=0)), False),
        (Missing(), False),
        (Denied("no right"), False),
        (Unknown("no answer"), False),
    ],
)
def test_the_own_pods_deletion_alone_says_that_the_application_has_ended(outcome: PodOutcome, ended: bool) -> None:  # noqa: FBT001
    """Read once, and released at once, whatever is open; what is not said by it says nothing. Another native sidecar may be what acts."""

    async def main() -> None:
        async with stage() as it:
            pods = Asked(outcome)
            after_seconds = await stopped(it, pods)
            assert [name for name, _ in pods.reads] == ["web-0"]
            assert (after_seconds < 0.1) is ended

    run_virtually(main())


def test_it_is_not_read_where_sigterm_says_it_already() -> None:
    async def main() -> None:
        async with stage(alive=False) as it:
            pods = Asked(Found(pod()))
            assert await stopped(it, pods) < 0.1
            assert not pods.reads

    run_virtually(main())


def test_the_read_leaves_the_election_its_requests() -> None:
    """Out of its budget, and after what it may need at once (L2)."""

    async def main() -> None:
        async with stage() as it:
            limiter = it.runner.rate_limiter
            for _ in range(BURST - KEPT_REQUESTS):
                limiter.spend(CLOCK.boottime_ns() + 1_000_000_000)
            pods = Asked(Found(pod()))
            await stopped(it, pods)
            ((_, at_ns),) = pods.reads
            assert limiter.opens_ns(KEPT_REQUESTS) <= at_ns

    run_virtually(main())


@pytest.mark.parametrize("junk", [None, [], {}, {"metadata": 1}, {"metadata": {}, "spec": []}, {"metadata": {"uid": ""}, "spec": {}}])
def test_junk_is_no_deletion(junk: object) -> None:
    """Nor an own uid that is not known."""
    assert not is_deleted(junk, "")
    assert not is_deleted(junk, "u")
