"""The theoretical minimum as a team: two clients without an election, so that nothing stands between the release and the acquisition."""

import json
import queue
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from typing import Any

from tests.apiserver.conftest import Field, shipped
from tests.bench.ground import Ground
from tests.bench.teams import LIMIT_SECONDS, Turn


class Minimum:
    """Two racers: one empties the Lease, the watch shows that to the other racer, and that racer takes the Lease. Nothing else."""

    def __init__(self, name: str, ground: Ground, where: Field, program: Sequence[str], environment: Mapping[str, str]) -> None:
        self.name = name
        self._environment = environment
        self._said: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
        self._processes: list[subprocess.Popen[str]] = []
        self._listening: list[threading.Thread] = []
        self._commands = []
        for number in range(2):
            _, token = ground.user(where, shipped("base/role.yaml"))
            flags = {
                "server": f"https://127.0.0.1:{ground.server.port}",
                "ca": f"{ground.server.folder}/ca.crt",
                "token": token,
                "namespace": where.namespace,
                "lease": "web",
                "identity": f"racer-{number}",
            }
            self._commands.append([*program, *(f"--{flag}={value}" for flag, value in flags.items())])
        self._leader = 0

    def start(self) -> None:
        """See Team."""
        for command in self._commands:
            process = subprocess.Popen(command, env=dict(self._environment), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            listening = threading.Thread(target=self._listen, args=(len(self._processes), process), daemon=True)
            listening.start()
            self._listening.append(listening)
            self._processes.append(process)
        self._leader, _ = self._wait("acquired")

    def _listen(self, number: int, process: "subprocess.Popen[str]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            self._said.put((number, json.loads(line)))

    def _wait(self, *events: str) -> tuple[int, dict[str, int]]:
        """Until each of these has been said: by whom the first, and when each."""
        moments: dict[str, int] = {}
        who = 0
        while set(events) - set(moments):
            number, said = self._said.get(timeout=LIMIT_SECONDS)
            assert said.get("landed", True), f"{self.name}: a release did not land"
            moments[said["event"]] = said["boottime_ns"]
            who = number if said["event"] == events[0] else who
        return who, moments

    def settle(self, seconds: float) -> None:
        """Nothing to wait for: both watch from the start."""

    def turn(self, how: signal.Signals) -> Turn:
        """See Team; there is only the graceful way."""
        assert how is signal.SIGTERM
        former = self._leader
        stdin = self._processes[former].stdin
        assert stdin is not None
        stdin.write("release\n")
        stdin.flush()
        self._leader, moments = self._wait("acquired", "released")
        return Turn(moments["released"], moments["acquired"], f"racer-{former}")

    def stop(self) -> None:
        """See Team."""
        for process in self._processes:
            process.kill()
        for process, listening in zip(self._processes, self._listening, strict=True):
            listening.join(10)  # it has read to the end
            process.wait(10)
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()
