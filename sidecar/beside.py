"""What runs beside the election where a setting asks for it: each imported, connected and started only then."""

import os
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from sidecar.clock import Clock
from sidecar.elector import Elector
from sidecar.settings import Settings

if TYPE_CHECKING:
    from sidecar.stores.credentials import Access

Work = Coroutine[Any, Any, None]


async def works(settings: Settings, elector: Elector, clock: Clock, access: "Access | None", stack: AsyncExitStack) -> list[Work]:
    """Loops that end by being cancelled alone; `stack` closes what they use. `access` is None without an API server."""
    loops: list[Work] = []
    if settings.app_health_url:
        from sidecar import app_health  # noqa: PLC0415 - only where it is used

        probe = app_health.HTTPProbe(settings.app_health_url, settings.app_health_timeout, clock)
        stack.push_async_callback(probe.close)
        verdict = app_health.Verdict(settings.app_health_failures, settings.app_health_successes)
        loops.append(app_health.follow(elector, clock, probe, settings.app_health_period, verdict))
    if settings.yield_ and access is not None:
        from sidecar.own_pod import own_pod  # noqa: PLC0415 - only where it is used
        from sidecar.stores.objects import Objects  # noqa: PLC0415
        from sidecar.yielding import Yielding  # noqa: PLC0415

        objects = await Objects.connect(access, settings.renew_deadline)
        stack.push_async_callback(objects.close)
        loops.append(Yielding(elector, objects, clock, own_pod(os.environ, settings.lease_namespace)).run())
    return loops
