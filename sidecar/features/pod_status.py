"""The own Pod: its label, its condition, and Events on the Lease, each off by default. They follow the answer and hold up no election."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Final

from sidecar.clock import ns
from sidecar.election.record import JSON
from sidecar.features.lease_events import Recorder
from sidecar.features.pod_marks import Condition, Kind, Label, Mark
from sidecar.features.retry import Asking
from sidecar.kubernetes import resource
from sidecar.kubernetes.client import Client
from sidecar.runtime.identity import Pod
from sidecar.runtime.runner import Runner

_log: Final = logging.getLogger(__name__)

LAST_SECONDS: Final = 0.2
"""What is under way when the election has ended gets so long: a native sidecar has 2 s in all."""
_LOOK_SECONDS: Final = 0.01


class OwnPod:
    """All that is wanted of the three, over one election."""

    def __init__(  # noqa: PLR0913 - three parts, each of them off or on
        self, pod: Pod, client: Client, runner: Runner, *, label: bool, condition: bool, events: bool,
        seen: Callable[[JSON], None] = lambda _: None,
    ) -> None:  # fmt: skip
        """`seen` is told of the own Pod, as the API server shows it."""
        self._runner, self._clock = runner, runner.clock
        names, me = runner.leadership.names, runner.candidate
        asking = Asking(client, pod, runner.status, runner.clock, me, longest_wait_seconds=self._longest_wait_seconds)
        kinds: list[Kind] = [*([Label()] if label else []), *([Condition(f"{names.namespace}/{names.lease}")] if condition else [])]
        told = runner.hold_release(self._is_awaited)
        self._marks = [Mark(kind, asking, runner.leadership, told, seen) for kind in kinds]
        self._recorder = Recorder(resource.lease(names.namespace, names.lease), me.process, asking) if events else None
        if self._recorder is not None:
            runner.status.transition_listeners.append(self._recorder.hear)

    async def run(self) -> None:
        """Follow the answer until cancelled."""
        async with asyncio.TaskGroup() as group:
            for mark in self._marks:
                group.create_task(self._kept(mark.run))
            if self._recorder is not None:
                group.create_task(self._kept(self._recorder.run))

    async def finish(self) -> None:
        """The election has ended: let what is under way come to its end, LAST_SECONDS at most, and not where it is to leave at once."""
        end_ns = self._clock.boottime_ns() + ns(LAST_SECONDS)
        while not self._runner.left and self._clock.boottime_ns() < end_ns and self._is_pending():
            await self._clock.sleep(_LOOK_SECONDS)

    def _longest_wait_seconds(self) -> float:
        return self._runner.situation().longest_wait_seconds()

    def _is_awaited(self) -> bool:
        return any(mark.is_awaited() for mark in self._marks)

    def _is_pending(self) -> bool:
        return self._is_awaited() or (self._recorder is not None and self._recorder.is_pending())

    async def _kept(self, part: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                return await part()
            except Exception:  # noqa: BLE001 - what is optional must not end an election, be it a bug
                _log.exception("a bug in what follows the answer; the election goes on")
                await self._clock.sleep(self._runner.candidate.retry_period_seconds)
