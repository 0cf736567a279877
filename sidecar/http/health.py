"""`/healthz`, `/livez` and `/readyz`, as Kubernetes' own components have them.

`/livez` fails only where a restart would help. `/readyz` succeeds once the Lease was seen: an API server's outage makes no Pod unready.
"""

from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from aiohttp import web

from sidecar.clock import Clock, ns
from sidecar.escaping import plain
from sidecar.http.responses import HEADERS
from sidecar.runtime.health_lines import HealthLine
from sidecar.runtime.runner import Runner
from sidecar.runtime.status import stuck_seconds

OVERDUE_SECONDS = 2.0
_OVERDUE: Final = "the deadline passed while the election loop did not run (process stopped, or no CPU)"
_UNSEEN: Final = "no answer has shown the Lease since the start; the failed lines below tell why"


@dataclass(frozen=True)
class Check:
    """One line of `?verbose`."""

    name: HealthLine
    ok: bool
    detail: str = ""
    counts: bool = True
    """Whether the answer's status depends on this check; the other checks are there for people."""

    def line(self) -> str:
        """The check as Kubernetes prints one. The detail stays on this line, whatever is in it."""
        return f"[{'+' if self.ok else '-'}]{self.name} {'ok' if self.ok else 'failed'}{': ' + plain(self.detail) if self.detail else ''}"


def live(runner: Runner, clock: Clock) -> list[Check]:
    """The checks of `/livez`: each fails only where a restart would help."""
    status = runner.status
    limit_seconds = stuck_seconds(runner.candidate)
    turns = clock.boottime_ns() - status.turns_by_ns < ns(limit_seconds)
    overdue = runner.leadership.overdue_ns() > ns(OVERDUE_SECONDS)
    return [
        Check(HealthLine.LOOP, turns, "" if turns else f"the election's loop is more than {limit_seconds:g} s late"),
        Check(HealthLine.LEASE_IN_TIME, not overdue, _OVERDUE if overdue else ""),
        Check(HealthLine.IDENTITY, not status.conflict, status.conflict),
    ]


def ready(runner: Runner, clock: Clock) -> list[Check]:
    """The checks of `/readyz`: whether the Lease has been seen; and, for people, the watch and what fails now."""
    status = runner.status
    seen = Check(HealthLine.LEASE, status.lease_seen, "" if status.lease_seen else _UNSEEN)
    watch = Check(HealthLine.WATCH, status.watch == "open", "" if status.watch == "open" else status.watch, counts=False)
    failing = sorted(status.problems.keys() - {HealthLine.WATCH})
    problems = [Check(line, ok=False, detail=status.problems[line], counts=False) for line in failing]
    return [seen, live(runner, clock)[0], watch, *problems]


def response(request: web.Request, checks: list[Check]) -> web.Response:
    """200 or 500 in plain text, with every check where `?verbose` asks for them or where one has failed."""
    ok = all(check.ok for check in checks if check.counts)
    verbose = "verbose" in request.query or not ok
    lines = [check.line() for check in checks] if verbose else []
    verdict = f"{request.path.strip('/')} check {'passed' if ok else 'failed'}" if verbose else "ok"
    status = HTTPStatus.OK if ok else HTTPStatus.INTERNAL_SERVER_ERROR
    return web.Response(status=status, text="\n".join([*lines, verdict]) + "\n", headers=HEADERS)


def routes(runner: Runner, clock: Clock) -> list[web.RouteDef]:
    """The three health routes."""

    async def healthz(request: web.Request) -> web.Response:
        return response(request, [Check(HealthLine.PING, ok=True)])

    async def livez(request: web.Request) -> web.Response:
        return response(request, live(runner, clock))

    async def readyz(request: web.Request) -> web.Response:
        return response(request, ready(runner, clock))

    return [web.get("/healthz", healthz), web.get("/livez", livez), web.get("/readyz", readyz)]
