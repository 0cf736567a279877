"""After a SIGTERM while the application may act: whether the own Pod is being deleted, which says that the application has ended (S11).

A kubelet stops the native sidecars of a Pod after all its containers. That a Pod is not being deleted says nothing: the end of a Job, an
eviction and a node's shutdown set no deletionTimestamp. Where another native sidecar is in the Pod, it may be the one that acts, and a
deletion says nothing either: this one cannot tell which of them is stopped first.
"""

import logging
from typing import Any, Final

from sidecar.features import pod_termination
from sidecar.kubernetes.pods import Found, Pods
from sidecar.logs import move as log_move
from sidecar.runtime.identity import Pod
from sidecar.runtime.runner import Runner

_log: Final = logging.getLogger(__name__)


async def look_once(runner: Runner, pods: Pods, pod: Pod) -> None:
    """Wait for such a SIGTERM, read the own Pod, and release where it is being deleted."""
    await runner.waits_for_app.wait()
    await runner.rate_limiter.acquire()
    outcome = await pods.read(pod.name, runner.candidate.request_limit_seconds)
    if isinstance(outcome, Found) and is_deleted(outcome.pod, pod.uid):
        log_move(_log, logging.INFO, "the own Pod is being deleted: its application has ended")
        runner.app_ended("its Pod is being deleted")


def is_deleted(pod: Any, uid: str) -> bool:
    """Whether this is the Pod with that uid, it is being deleted, and no native sidecar but this one is in it. Total on any JSON."""
    if not pod_termination.is_pod(pod, uid) or not pod["metadata"].get("deletionTimestamp"):
        return False
    spec = pod.get("spec")
    containers = spec.get("initContainers") if isinstance(spec, dict) else None
    if not isinstance(containers, list):
        return False
    return sum(1 for one in containers if isinstance(one, dict) and one.get("restartPolicy") == "Always") == 1
