"""The snapshot that HTTP serves, and the broadcast that waiting clients await.

The elector publishes a `View`. Each reading of it is an `Answer`, computed at that moment from CLOCK_BOOTTIME and the view's own deadline
(S2). So a loop that hangs, a SIGSTOP or a suspended machine cannot keep an answer true, nor a version unchanged.
"""

import asyncio
from dataclasses import dataclass
from typing import Final

from sidecar.clock import NS_PER_SECOND, Clock, ns, seconds
from sidecar.election.record import format_time, pod_name
from sidecar.election.view import State, View

VACANT_SECONDS: Final = 0.05
"""Hold back "no leader" for 50 ms: usually the next one has acquired by then, so waiting clients wake once."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One reading of the leadership: valid at the moment it was computed, and until `valid_until_boottime_ns`."""

    name: str
    is_leader: bool
    state: State
    version: str
    fencing_token: int | None
    expires_in: float
    valid_until_boottime_ns: int
    identity: str
    holder: str
    lease: str
    namespace: str
    acquired_at: str | None
    renewed_at: str | None
    transitions: int
    observed_ago: float | None

    def to_json(self) -> dict[str, object]:
        """The body of `GET /leader`."""
        return {field: getattr(self, field) for field in self.__slots__}


@dataclass(frozen=True, slots=True)
class Names:
    """The fields of an answer that never change."""

    identity: str
    lease: str
    namespace: str
    boot: str
    """Opaque, new in each process: no version of a former process equals one of this process, so no poll waits on it."""


class Leadership:
    """The published view, read at a moment. One for each election."""

    def __init__(self, clock: Clock, names: Names) -> None:
        self.names = names
        self._clock = clock
        self._view = View()
        self._counter = 1
        """The version of `_view` while it has not expired. Once it has expired its version is one more."""
        self._announced = 1
        """The newest version that waiting clients were woken for."""
        self.quiet_until_ns = 0
        """Before this moment (CLOCK_BOOTTIME) no client is woken for the news that no candidate leads."""
        self._changed = asyncio.Event()
        """Set when the version moves."""
        self._renewed = asyncio.Event()
        """Set when the version moves, and also when only the deadline does."""
        self.given_until_ns = 0
        """The latest deadline in a true answer on the app listener (S11), CLOCK_BOOTTIME."""
        self.waiters = 0
        """Polls and streams that wait at this moment."""
        self.closed = False

    def close(self) -> None:
        """End every wait, now and from now on: the process ends."""
        self.closed = True
        self._changed.set()
        self._renewed.set()

    def overdue_ns(self) -> int:
        """For how long the published view has claimed a term whose deadline is behind; 0 where it claims none."""
        if self._view.state is not State.LEADING or self._view.expires_ns is None:
            return 0
        return max(0, self._clock.boottime_ns() - self._view.expires_ns)

    def publish(self, view: View) -> None:
        """Publish `view`, and wake the clients whose answer it changes. News that nobody leads waits for VACANT_SECONDS."""
        now_ns = self._clock.boottime_ns()
        before = self._view.at(now_ns)
        version = self._version_number(now_ns)
        if _key(before) != _key(view.at(now_ns)):
            version += 1
        renewed = view.covered_until_ns != before.covered_until_ns
        self._view = view
        # Version = counter, plus one once the view has expired; solve for the counter.
        self._counter = 0
        self._counter = version - self._version_number(now_ns)
        if view.state is not State.FOLLOWING or view.holder:
            self.quiet_until_ns = 0
        elif before.state is State.FOLLOWING and before.holder:  # the end of the own term is told at once
            self.quiet_until_ns = now_ns + ns(VACANT_SECONDS)
        self.announce()
        if renewed:
            self._renewed = _set(self._renewed)

    def announce(self) -> None:
        """Wake waiting clients if the version has moved, also where the clock alone has moved it."""
        now_ns = self._clock.boottime_ns()
        version = self._version_number(now_ns)
        if version != self._announced and now_ns >= self.quiet_until_ns:
            self._announced = version
            self._changed, self._renewed = _set(self._changed), _set(self._renewed)

    def version(self) -> str:
        """The version of an answer that is computed now."""
        return self._version(self._clock.boottime_ns())

    def read(self, *, promise_deadline: bool = False) -> Answer:
        """The answer at this moment. `promise_deadline`: remember the deadline of a true answer, which an application may act on (S11)."""
        now_ns = self._clock.boottime_ns()
        view = self._view.at(now_ns)
        is_leader = view.state is State.LEADING
        until_ns = _until_ns(view, now_ns)
        if promise_deadline and is_leader:
            self.given_until_ns = max(self.given_until_ns, until_ns)
        names = self.names
        return Answer(
            name=pod_name(view.holder),
            is_leader=is_leader,
            state=view.state,
            version=self._version(now_ns),
            fencing_token=view.token,
            expires_in=_floor_seconds(until_ns - now_ns) if until_ns else 0.0,
            valid_until_boottime_ns=until_ns,
            identity=names.identity,
            holder=view.holder,
            lease=names.lease,
            namespace=names.namespace,
            acquired_at=format_time(view.acquired_at_us),
            renewed_at=format_time(view.renewed_at_us),
            transitions=view.transitions,
            observed_ago=round(seconds(now_ns - view.confirmed_ns), 3) if view.confirmed_ns is not None else None,
        )

    async def wait(self, version: str, wait_seconds: float, until_ns: int | None = None) -> None:
        """Return when the version is no longer `version`, or after `wait_seconds`; with `until_ns` also when the deadline is another.

        Cancelled when the client has gone.
        """
        end_ns = self._clock.boottime_ns() + ns(wait_seconds)
        self.waiters += 1
        try:
            while True:
                changed = self._changed if until_ns is None else self._renewed
                now_ns = self._clock.boottime_ns()
                if self.closed or now_ns >= end_ns or self._version(now_ns) != version:
                    return
                if until_ns is not None and until_ns != _until_ns(self._view.at(now_ns), now_ns):
                    return
                expires_ns = self._view.expires_ns
                ends_ns = min(end_ns, expires_ns) if expires_ns is not None and expires_ns > now_ns else end_ns
                await self._clock.wait(changed, ends_ns)
        finally:
            self.waiters -= 1

    def _version(self, now_ns: int) -> str:
        return f"{self.names.boot}-{self._version_number(now_ns)}"

    def _version_number(self, now_ns: int) -> int:
        return self._counter + (1 if _key(self._view.at(now_ns)) != _key(self._view) else 0)


def _set(event: asyncio.Event) -> asyncio.Event:
    """Wake every waiter of `event`; return the event to wait for next."""
    event.set()
    return asyncio.Event()


def _until_ns(view: View, now_ns: int) -> int:
    """The deadline that an answer tells; 0 for none."""
    return view.covered_until_ns if view.covered_until_ns is not None and view.covered_until_ns > now_ns else 0


def _key(view: View) -> tuple[object, ...]:
    """The part of a view that moves the version. A renewal is no part of it."""
    return (view.state, view.holder, view.token)


def _floor_seconds(nanoseconds: int) -> float:
    """Seconds, rounded down to milliseconds: rounded up they would promise too much."""
    return nanoseconds // (NS_PER_SECOND // 1000) / 1000
