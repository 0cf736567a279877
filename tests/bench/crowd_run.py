"""The part `crowd`: runs `crowd.py` and measures what a thousand watches cost the API server."""

import json
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.apiserver.conftest import shipped
from tests.bench.ground import Ground, Requests
from tests.bench.processes import memory


@dataclass(frozen=True)
class Play:
    """The course of the part: `changes` releases and as many expiries, after the crowd has stood idle and handed over once."""

    candidates: int
    changes: int
    idle_seconds: float
    quiet_seconds: float = 10.0
    """How long after each change writes are still counted as its own."""
    lease_duration: float = 15.0

    def flags(self) -> list[str]:
        """As `crowd.py` takes them."""
        return [f"--{name.replace('_', '-')}={value}" for name, value in vars(self).items()]


def crowd(ground: Ground, play: Play, say: Callable[[str], None]) -> dict[str, Any]:
    """Run this number of candidates of one election in one process."""
    where = ground.field()
    user, token = ground.user(where, shipped("base/role.yaml"))
    kubeconfig = ground.server.kubeconfig(token, where.folder / "kubeconfig", namespace=where.namespace)
    command = [*ground.interpreter.script(Path(__file__).with_name("crowd.py")), "--namespace", where.namespace, *play.flags()]
    before, requests = memory(ground.server.apiserver_pid), Requests(ground.server)
    found: dict[str, Any] = {
        "candidates": play.candidates,
        "quiet_seconds": play.quiet_seconds,
        "release": [],
        "expiry": [],
        "apiserver_rss_mb": [before.rss_mb],
    }
    environment = ground.interpreter.environ() | {"KUBECONFIG": str(kubeconfig)}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        for line in process.stdout:
            said = json.loads(line)
            what = said.pop("what")
            say(f"crowd: {what} {said or ''}")
            if what == "settled":
                found["apiserver_rss_mb"].append(memory(ground.server.apiserver_pid).rss_mb)
            elif what == "idle":
                found["idle"] = said
            elif what != "done":
                found[what].append(said)
        assert process.wait(60) == 0, f"crowd.py ended with {process.returncode}"
    finally:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()
    found["by_audit"] = dict(requests.by_verb([user]))
    return found
