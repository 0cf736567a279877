"""Warns at the start where the Pod's terminationGracePeriodSeconds is too short for a step-down, if the own Pod can be seen.

After that period a kubelet kills the Pod's processes. A sidecar that still waits for its application has then released nothing, and the
Lease has to run out.
"""

import logging
from math import ceil
from typing import Any, Final

from sidecar.election.store import Busy, Denied, Unknown
from sidecar.features import pod_termination
from sidecar.kubernetes.pods import Found, Pods
from sidecar.logs import move as log_move
from sidecar.runtime.identity import Pod
from sidecar.runtime.runner import Runner

_log: Final = logging.getLogger(__name__)

RELEASE_SECONDS: Final = 2
"""The time for the release itself and for the end of the process."""


def needed_seconds(drain_timeout_seconds: float) -> int:
    """The terminationGracePeriodSeconds that a drain timeout needs, at least."""
    return ceil(drain_timeout_seconds) + RELEASE_SECONDS


class GracePeriod:
    """Checks the own Pod's grace period once, when the Pod is first seen."""

    def __init__(self, pod: Pod, drain_timeout_seconds: float) -> None:
        self._pod = pod
        self._needed = needed_seconds(drain_timeout_seconds)
        self._looked = False

    def look(self, pod: Any) -> None:
        """Warn where the Pod's grace period is too short. Total on any JSON."""
        if self._looked or not pod_termination.is_pod(pod, self._pod.uid):
            return
        spec = pod.get("spec")
        given = spec.get("terminationGracePeriodSeconds") if isinstance(spec, dict) else None
        if isinstance(given, bool) or not isinstance(given, int):
            return
        self._looked = True
        if given < self._needed:
            why = "the kubelet kills the sidecar while it waits for the application, so the Lease is not released and has to run out"
            said = "the Pod's terminationGracePeriodSeconds is too short for LEADER_DRAIN_TIMEOUT"
            log_move(_log, logging.WARNING, said, is_seconds=given, needs_seconds=self._needed, why=why)

    async def look_once(self, runner: Runner, pods: Pods) -> None:
        """Read the own Pod once and look at it; where it cannot be read, log the grace period that is needed."""
        await runner.rate_limiter.acquire()
        outcome = await pods.read(self._pod.name, runner.candidate.request_limit_seconds)
        if isinstance(outcome, Found):
            self.look(outcome.pod)
        if not self._looked:
            said = f"cannot read this Pod: make sure that its terminationGracePeriodSeconds is at least {self._needed}"
            why = outcome.message if isinstance(outcome, (Denied, Busy, Unknown)) else "the answer shows no Pod with POD_UID"
            log_move(_log, logging.INFO, said, needs_seconds=self._needed, why=why)
