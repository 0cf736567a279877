"""Starts the optional features that the settings ask for. What no setting asks for is neither imported nor connected."""

from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from sidecar.runtime.identity import Pod
from sidecar.runtime.runner import Runner
from sidecar.settings import in_force
from sidecar.settings.in_force import Settings

if TYPE_CHECKING:
    from sidecar.kubernetes.credentials import Access

Work = Coroutine[Any, Any, None]


async def works(
    settings: Settings, *, pod: Pod, runner: Runner, access: "Access | None", stack: AsyncExitStack
) -> tuple[list[Work], list[Callable[[], Awaitable[None]]]]:
    """Make the features that the settings ask for. Returns their loops, and the functions that finish them.

    A loop runs until it is cancelled. After the election all functions that finish are awaited at once, then the loops are cancelled.
    `stack` closes what the features use. `access` is None where the store is no API server; `pod` is the own Pod.
    """
    loops: list[Work] = []
    last: list[Callable[[], Awaitable[None]]] = []
    if settings.app_health_url:
        from sidecar.features import app_health

        probe = app_health.HTTPProbe(settings.app_health_url, settings.app_health_timeout, runner.clock)
        stack.push_async_callback(probe.close)
        verdict = app_health.Verdict(settings.app_health_failures, settings.app_health_successes)
        loops.append(app_health.follow(runner, probe, settings.app_health_period, verdict))
    drains_long = in_force.drains_long(settings) and bool(pod.namespace and pod.name and pod.uid)
    if access is None or not (in_force.asks_for_pods(settings) or drains_long):
        return loops, last
    from sidecar.kubernetes.client import Client

    client = await Client.connect(access, settings.renew_deadline)
    stack.push_async_callback(client.close)
    from sidecar.features.grace_period import GracePeriod

    grace = GracePeriod(pod, runner.candidate.drain_timeout_seconds)
    if drains_long and not (settings.pod_label or settings.pod_condition):  # which see the Pod anyway
        from sidecar.kubernetes.pods import KubernetesPods

        loops.append(grace.look_once(runner, KubernetesPods(client, pod.namespace)))
    if in_force.follows(settings):
        from sidecar.features.pod_status import PodStatus

        on = {"label": settings.pod_label, "condition": settings.pod_condition, "events": settings.events}
        pod_status = PodStatus(pod, client, runner, **on, seen=grace.look)
        loops.append(pod_status.run())
        last.append(pod_status.finish)
    if settings.early_takeover or settings.rollout_handover:
        from sidecar.features import own_deletion
        from sidecar.kubernetes.pods import KubernetesPods

        own_pods = KubernetesPods(client, pod.namespace)  # the rights of both allow this read
        loops.append(own_deletion.look_once(runner, own_pods, pod))
        if settings.early_takeover:
            from sidecar.features.early_takeover import EarlyTakeover

            pods = KubernetesPods(client, settings.lease_namespace)
            loops.append(EarlyTakeover(runner, pods, on_deletion=settings.early_takeover_on_deletion).run())
    if settings.rollout_handover:
        from sidecar.features.rollout_handover import RolloutHandover

        loops.append(RolloutHandover(runner, client, pod).run())
    return loops, last
