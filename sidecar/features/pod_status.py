"""Shows the leadership in the own Pod's label and condition, and in Events on the Lease. Each is off by default.

All three follow the answer. None of them can hold up the election, but for the short wait of a release (`Elector.hold_release`).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from sidecar.clock import ns
from sidecar.election.record import JSON
from sidecar.features.lease_events import EventRecorder
from sidecar.features.pod_fields import Condition, Kind, Label, PodField
from sidecar.features.retry import Retry
from sidecar.kubernetes import resource
from sidecar.kubernetes.client import Client
from sidecar.runtime.identity import Pod
from sidecar.runtime.runner import Runner

_log: Final = logging.getLogger(__name__)

LAST_SECONDS: Final = 0.2
"""How long requests that are under way at the end of the election may still take; a native sidecar has 2 s in all."""
_LOOK_SECONDS: Final = 0.01
"""The time between two checks of whether they have ended."""


class PodStatus:
    """The label, the condition and the Events of one election, as far as the settings ask for them."""

    def __init__(  # noqa: PLR0913 - three features, each of them off or on
        self, pod: Pod, client: Client, runner: Runner, *, label: bool, condition: bool, events: bool,
        seen: Callable[[JSON], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`seen` is called with the own Pod, as the answer to each patch shows it."""
        self._runner, self._clock = runner, runner.clock
        names, me = runner.leadership.names, runner.candidate
        retry = Retry(client, pod, runner.status, runner.clock, me, longest_wait_seconds=self._longest_wait_seconds)
        kinds: list[Kind] = [*([Label()] if label else []), *([Condition(f"{names.namespace}/{names.lease}")] if condition else [])]
        told = runner.hold_release(self._is_awaited)
        self._fields = [PodField(kind, retry, runner.leadership, told, seen) for kind in kinds]
        self._recorder = EventRecorder(resource.lease(names.namespace, names.lease), me.process, retry) if events else None
        if self._recorder is not None:
            runner.status.transition_listeners.append(self._recorder.on_transition)

    async def run(self) -> None:
        """Follow the answer until cancelled."""
        async with asyncio.TaskGroup() as group:
            for each in self._fields:
                group.create_task(self._kept(each.run))
            if self._recorder is not None:
                group.create_task(self._kept(self._recorder.run))

    async def finish(self) -> None:
        """After the election: wait for requests under way, LAST_SECONDS at most; not at all in a process that is to leave at once."""
        end_ns = self._clock.boottime_ns() + ns(LAST_SECONDS)
        while not self._runner.left and self._clock.boottime_ns() < end_ns and self._is_pending():
            await self._clock.sleep(_LOOK_SECONDS)

    def _longest_wait_seconds(self) -> float:
        return self._runner.situation().longest_wait_seconds()

    def _is_awaited(self) -> bool:
        return any(each.is_awaited() for each in self._fields)

    def _is_pending(self) -> bool:
        return self._is_awaited() or (self._recorder is not None and self._recorder.is_pending())

    async def _kept(self, part: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await part()
            except Exception:  # noqa: BLE001 - an optional feature must not end an election, not even by a bug
                _log.exception("a bug in the Pod label, the Pod condition or the Events; the election goes on")
                await self._clock.sleep(self._runner.candidate.retry_period_seconds)
