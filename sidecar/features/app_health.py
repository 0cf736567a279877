"""Probes the application's health over HTTP, as a kubelet does, and tells the election. Off by default.

Until the first verdict the election does not take the app for healthy: a native sidecar starts before its app.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Final

import aiohttp

from sidecar import __version__
from sidecar.clock import Clock, ns, seconds
from sidecar.kubernetes.credentials import one_line
from sidecar.logs import event as log_event
from sidecar.runtime.health_lines import HealthLine
from sidecar.runtime.runner import Runner

MAX_BODY_BYTES: Final = 10 * 1024
"""So much of an answer is read, as by a kubelet (kubernetes/pkg/probe/http)."""

_log: Final = logging.getLogger(__name__)

Probe = Callable[[], Awaitable[str]]
"""One probe: "" for a healthy app, else what is wrong."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """The verdict of several probes together: so many contrary probes in a row turn it, as with a Pod's probes."""

    failures: int
    successes: int
    healthy: bool | None = None
    """None: not known yet."""
    contrary: int = 0
    """The number of probes in a row, up to the last, that contradict `healthy`."""
    last: bool | None = field(default=None, compare=False)
    """The last probe's result."""

    def after(self, *, ok: bool) -> "Verdict":
        """The verdict after one more probe."""
        if ok is self.healthy:
            return replace(self, contrary=0, last=ok)
        contrary = self.contrary + 1 if ok is self.last else 1
        turned = contrary >= (self.successes if ok else self.failures)
        return replace(self, healthy=ok if turned else self.healthy, contrary=0 if turned else contrary, last=ok)


class HTTPProbe:
    """`GET url` on a connection of its own; any status from 200 to 399 is healthy, and no redirect is followed."""

    def __init__(self, url: str, timeout_seconds: float, clock: Clock) -> None:
        self._url, self._timeout_seconds, self._clock = url, timeout_seconds, clock
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=1, force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"User-Agent": f"leader-sidecar/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"},
            timeout=aiohttp.ClientTimeout(total=None),
            trust_env=False,
        )

    async def __call__(self) -> str:
        """See `Probe`; never an exception."""
        try:
            async with self._clock.timeout(self._timeout_seconds):
                return await self._ask()
        except TimeoutError:
            return f"no answer from {self._url} within {self._timeout_seconds:g} s"
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return one_line(f"no answer from {self._url}: {type(error).__name__}: {error}")

    async def _ask(self) -> str:
        async with self._session.get(self._url, allow_redirects=False) as response:
            read = 0
            async for chunk in response.content.iter_any():  # read the body: an app may log an answer that is cut off as a fault
                read += len(chunk)
                if read >= MAX_BODY_BYTES:
                    response.close()
                    break
            if HTTPStatus.OK <= response.status < HTTPStatus.BAD_REQUEST:
                return ""
            return f"{self._url} answers HTTP {response.status}; healthy is 200 to 399"

    async def close(self) -> None:
        """Close the connection."""
        await self._session.close()


async def follow(runner: Runner, probe: Probe, period_seconds: float, verdict: Verdict) -> None:
    """Probe for ever, and tell the election the verdict after each probe, so that a term that began meanwhile takes it into account too."""
    clock = runner.clock
    while True:
        next_ns = clock.boottime_ns() + ns(period_seconds)
        wrong = await probe()
        before, verdict = verdict, verdict.after(ok=not wrong)
        runner.status.say(HealthLine.APP_HEALTH, wrong)
        if verdict.healthy is not None:
            if verdict.healthy is not before.healthy:
                level = logging.INFO if verdict.healthy else logging.WARNING
                said = "the application is healthy" if verdict.healthy else "the application is not healthy"
                log_event(_log, level, said, why=wrong or "probed")
            runner.health(ok=verdict.healthy)
        await clock.sleep(max(0.0, seconds(next_ns - clock.boottime_ns())))
