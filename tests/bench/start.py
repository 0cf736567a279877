"""The part `start`: from the start of a process to its first answer, and until it leads on an empty Lease."""

import itertools
from http.client import HTTPException
from typing import Any

from tests.apiserver.sidecar_process import Sidecar, boottime_ns, until
from tests.bench.ground import Ground
from tests.bench.teams import ClientGo, Ours

LOOK_EVERY_SECONDS = 0.002


def _answers(sidecar: Sidecar, path: str) -> bool:
    try:
        return sidecar.ask(path, probe=True, limit_seconds=1).status == 200
    except (OSError, HTTPException):
        return False


def _ours(team: Ours, number: int) -> tuple[float, float]:
    sidecar = team.sidecars[0]
    sidecar.uid = f"start-{number}"
    began_ns = boottime_ns()
    sidecar.start()
    moments = []
    for path in ("/livez", "/is-leader"):
        until(lambda path=path: _answers(sidecar, path), within_seconds=20, every_seconds=LOOK_EVERY_SECONDS, message=sidecar.log)  # type: ignore[misc]
        moments.append((boottime_ns() - began_ns) / 1e9)
    sidecar.kill()
    return moments[0], moments[1]


def _go(team: ClientGo) -> float:
    candidate = team.candidates[0]
    began_ns = boottime_ns()
    candidate.start()
    told = until(
        lambda: [
            event["boottime_ns"] for event in candidate.events() if event["event"] == "started-leading" and event["boottime_ns"] > began_ns
        ],
        within_seconds=20,
        message="client-go leads",
    )
    candidate.kill()
    return float(told[0] - began_ns) / 1e9


def starts(ground: Ground, n: int) -> dict[str, dict[str, Any]]:
    """Seconds, `n` of each in turn, each on a Lease as it is shipped; one start before them is not counted (cold caches)."""
    ours, go = Ours(ground, ground.field()), ClientGo(ground, ground.field())
    serving, leading, go_leading = [], [], []
    try:
        for number in itertools.count():
            for where in (ours.where, go.where):
                where.delete_lease()
                where.apply_lease()
            took, went = _ours(ours, number), _go(go)
            if number == 0:
                continue
            serving.append(took[0])
            leading.append(took[1])
            go_leading.append(went)
            if number == n:
                return {ours.name: {"serving_seconds": serving, "leading_seconds": leading}, go.name: {"leading_seconds": go_leading}}
    finally:
        ours.stop()
        go.stop()
    raise AssertionError  # never: the loop ends by returning
