"""The part `serving`: answers a second on one core, and how soon a thousand waiting polls are answered."""

import contextlib
import json
from typing import Any, Final

from tests.apiserver.ports import free_port
from tests.apiserver.sidecar_process import boottime_ns, until
from tests.bench.ground import Ground
from tests.bench.processes import cores, pin
from tests.bench.programs import answered, asking, bare, load
from tests.bench.teams import Ours
from tests.bench.weight import waiting

CONNECTIONS: Final = 8
WAITERS: Final = 1000


def rates(ground: Ground, rounds: int, seconds: float) -> dict[str, list[dict[str, Any]]]:
    """`GET /leader` of a leader and of a bare aiohttp handler, in turn. The server has one core, and the client has another."""
    server, client = cores()
    ours, port = Ours(ground, ground.field()), free_port()
    found: dict[str, list[dict[str, Any]]] = {ours.name: [], "bare aiohttp": []}
    sidecar = ours.sidecars[0]
    try:
        until(sidecar.start().serving().leads, within_seconds=20)
        with bare(ground.interpreter, port) as pid:
            pin(sidecar.pid, server)
            pin(pid, server)
            for _ in range(rounds):
                for name, at in ((ours.name, sidecar.port), ("bare aiohttp", port)):
                    url = f"http://127.0.0.1:{at}/leader"
                    found[name].append(load(url, on=client, connections=CONNECTIONS, **{"for": f"{seconds:g}s"}))
        return found
    finally:
        ours.stop()


def wakes(ground: Ground, rounds: int, waiters: int = WAITERS) -> list[dict[str, float]]:
    """The leader resigns: from just before that is asked until the first, half and the last of its waiters have their answer, seconds."""
    ours = Ours(ground, ground.field())
    sidecar, found = ours.sidecars[0], []
    try:
        sidecar.start(LEADER_DRAIN_TIMEOUT="0s").serving()
        for _ in range(rounds):
            until(sidecar.leads, within_seconds=60)
            version = sidecar.leader()["version"]
            polls = asking("wake", url=f"http://127.0.0.1:{sidecar.port}/leader?since={version}&wait=5m", polls=waiters)
            until(lambda: waiting(sidecar) >= waiters, within_seconds=60, every_seconds=0.2, message=f"{waiters} polls are parked")
            began_ns = boottime_ns()
            assert sidecar.ask("/resign", method="POST", body={"for": "1h"}).status == 200
            said = answered(polls, within_seconds=60)
            assert not said["errors"], json.dumps(said)[:300]
            took = sorted((moment - began_ns) / 1e9 for moment in said["answered_boottime_ns"])
            found.append({"first_seconds": took[0], "p50_seconds": took[len(took) // 2], "last_seconds": took[-1]})
            with contextlib.suppress(AssertionError):
                until(lambda: sidecar.leader().get("state") == "resigned", within_seconds=20)
            sidecar.ask("/campaign", method="POST")
        return found
    finally:
        ours.stop()
