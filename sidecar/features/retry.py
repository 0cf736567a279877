"""What the optional parts ask of the API server: each outcome in the store's words, and one pace for all that is repeated (L2)."""

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
"""Repeats are ever further apart, up to this many retry periods: after an outage it is soon right again."""
LONGEST_DENIED_PERIODS: Final = 15
"""Where a right is missing somebody has to grant it first; it is noticed without a restart."""

LIMIT_SECONDS: Final = 2.0
"""The longest a request may take: the next answer is written after it, not beside it."""


@dataclass(frozen=True, slots=True)
class Clash(Denied):
    """HTTP 409: what was to be created is there, or others write it too often."""


Refused = Denied | Busy | Unknown


class Asking:
    """Requests that never raise, and the pace at which failed ones are repeated; one for all parts of an election."""

    def __init__(  # noqa: PLR0913 - each is what some part needs
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
        """No repeat before, of whichever part."""

    async def ask(self, verb: str, resource: Resource, body: JSON | None = None, patch_type: str = MERGE_PATCH) -> JSON | Refused:
        """The object as the server has it now, or why not."""
        found = await self._client.request(verb, resource, body, patch_type=patch_type, limit_seconds=self._limit_seconds)
        match found:
            case Received(shown):
                return shown
            case NotFound(message):
                return Denied(f"not there: {resource.asked(verb)}: {message}")
            case Conflicted(message):
                return Clash(f"refused: {resource.asked(verb)}: {message}")
            case Unknown(message):
                return Unknown(f"{verb}: {message}")
        return found

    async def pause(self, failures: int, why: Refused) -> None:
        """Return when what has failed `failures` times in a row may be tried again: all parts together once a retry period."""
        longest = LONGEST_DENIED_PERIODS if isinstance(why, Denied) else LONGEST_PAUSE_PERIODS
        pause_seconds = self._period_seconds * min(2.0 ** min(failures - 1, 10), longest)
        asked_seconds = why.retry_after_seconds if isinstance(why, Busy) else 0.0
        await self.clock.sleep(max(pause_seconds, min(asked_seconds, self._longest_wait_seconds())))
        while (wait_ns := self._repeat_ns - self.clock.boottime_ns()) > 0:
            await self.clock.sleep(seconds(wait_ns))
        self._repeat_ns = self.clock.boottime_ns() + ns(self._period_seconds)
