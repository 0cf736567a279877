"""Requests of the optional features to the API server: typed outcomes, and one pace for all repeats together (L2)."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sidecar.clock import Clock, ns, seconds
from sidecar.election.record import JSON
from sidecar.election.requests import Candidate
from sidecar.election.store import Busy, Denied, Unknown
from sidecar.kubernetes.client import MERGE_PATCH, Client
from sidecar.kubernetes.resource import Resource
from sidecar.kubernetes.responses import Conflicted, NotFound, Received
from sidecar.runtime.identity import Pod
from sidecar.runtime.status import Status

LONGEST_PAUSE_PERIODS: Final = 4
"""Repeats are further and further apart, up to this many retry periods: soon after an outage all is right again."""
LONGEST_DENIED_PERIODS: Final = 15
"""The same for a request that was denied: an administrator has to grant the right first. No restart is needed after that."""

LIMIT_SECONDS: Final = 2.0
"""The longest that a request may take: a later change of the answer waits until the request before it has ended."""


@dataclass(frozen=True, slots=True)
class DeniedByConflict(Denied):
    """HTTP 409: the object to be created exists already, or other programs write the object too often."""


Failure = Denied | Busy | Unknown


class Retry:
    """Sends requests, and paces the repeats of those that fail. The features of one election share one."""

    def __init__(  # noqa: PLR0913 - each is what some feature needs
        self, client: Client, pod: Pod, status: Status, clock: Clock, me: Candidate, *, longest_wait_seconds: Callable[[], float]
    ) -> None:
        self.pod = pod
        self.status = status
        self.clock = clock
        self._client = client
        self._longest_wait_seconds = longest_wait_seconds
        self._period_seconds = me.retry_period_seconds
        self._limit_seconds = min(LIMIT_SECONDS, me.request_limit_seconds)
        self._repeat_ns = 0
        """No feature repeats a request before this moment (CLOCK_BOOTTIME)."""

    async def request(self, verb: str, resource: Resource, body: JSON | None = None, patch_type: str = MERGE_PATCH) -> JSON | Failure:
        """Send one request. Returns the object as the server has it now, or why it failed; never raises."""
        found = await self._client.request(verb, resource, body, patch_type=patch_type, limit_seconds=self._limit_seconds)
        match found:
            case Received(shown):
                return shown
            case NotFound(message):
                return Denied(f"not found: {resource.asked(verb)}: {message}")
            case Conflicted(message):
                return DeniedByConflict(f"refused: {resource.asked(verb)}: {message}")
            case Unknown(message):
                return Unknown(f"{verb}: {message}")
        return found

    async def pause(self, failures: int, why: Failure) -> None:
        """Wait until a request that has failed `failures` times in a row may be repeated.

        All features together repeat one request per retry period at most.
        """
        longest = LONGEST_DENIED_PERIODS if isinstance(why, Denied) else LONGEST_PAUSE_PERIODS
        pause_seconds = self._period_seconds * min(2.0 ** min(failures - 1, 10), longest)
        asked_seconds = why.retry_after_seconds if isinstance(why, Busy) else 0.0
        await self.clock.sleep(max(pause_seconds, min(asked_seconds, self._longest_wait_seconds())))
        while (wait_ns := self._repeat_ns - self.clock.boottime_ns()) > 0:
            await self.clock.sleep(seconds(wait_ns))
        self._repeat_ns = self.clock.boottime_ns() + ns(self._period_seconds)
