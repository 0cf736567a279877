"""After a SIGTERM while the application may act: reads whether the own Pod is being deleted. If so, the application has ended (S11).

That holds for a native sidecar, which a kubelet stops after all regular containers of the Pod. A Pod without deletionTimestamp proves
nothing: the end of a Job, an eviction and a node's shutdown set none. Nor does a deletion where the Pod has another native sidecar: that
sidecar may be the application, and may end later.
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
    """Wait for such a SIGTERM, read the own Pod once, and release if the Pod is being deleted."""
    await runner.waits_for_app.wait()
    await runner.rate_limiter.acquire()
    outcome = await pods.read(pod.name, runner.candidate.request_limit_seconds)
    if isinstance(outcome, Found) and is_deleted(outcome.pod, pod.uid):
        log_move(_log, logging.INFO, "this Pod is being deleted, so its application has ended")
        runner.app_ended("its Pod is being deleted")


def is_deleted(pod: Any, uid: str) -> bool:
    """Whether `pod`, any JSON, is the Pod with that uid, is being deleted, and has this native sidecar only."""
    if not pod_termination.is_pod(pod, uid) or not pod["metadata"].get("deletionTimestamp"):
        return False
    spec = pod.get("spec")
    containers = spec.get("initContainers") if isinstance(spec, dict) else None
    if not isinstance(containers, list):
        return False
    return sum(1 for one in containers if isinstance(one, dict) and one.get("restartPolicy") == "Always") == 1
