"""Both listeners as production runs them, in a process of their own, over an election that takes every command.

`python -m tests.http.stand_in` leads, prints both ports, and does what its standard input says, a word a line, until that ends. Each is
answered with the CLOCK_BOOTTIME just before.
"""

import asyncio
import gc
import os
import subprocess
import sys
from pathlib import Path

from sidecar import open_files
from sidecar.clock import NS_PER_SECOND
from sidecar.http.listen import bind
from sidecar.http.server import serving
from sidecar.settings.listen import Address
from tests.http.conftest import CLOCK, FakeRunner, as_runner

ROOT = Path(__file__).parents[2]


class StandIn:
    """The process, from outside."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.http.stand_in"]
        self.process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.ports = self._answer()

    def _answer(self) -> list[int]:
        assert self.process.stdout is not None
        return [int(word) for word in self.process.stdout.readline().split()]

    def do(self, word: str) -> int:
        """`lead`, `follow` or `tasks`; CLOCK_BOOTTIME in nanoseconds of just before, or the number."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n")
        self.process.stdin.flush()
        return self._answer()[0]

    def resident_bytes(self) -> int:
        """Of its memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def open_files(self) -> int:
        """Its descriptors."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def end(self) -> str:
        """Ended in order; what it had to say on standard error."""
        _, said = self.process.communicate("", timeout=20)
        return said


def _obey(runner: FakeRunner, word: str) -> int:
    at_ns = CLOCK.boottime_ns()
    if word == "lead":
        runner.lead(for_seconds=3600)
    elif word == "follow":
        runner.follow(for_seconds=3600)
    elif word == "tasks":
        return len(asyncio.all_tasks())
    return at_ns


async def main() -> None:
    """Serve."""
    open_files.raise_limit()
    runner = FakeRunner()
    runner.lead(for_seconds=3600)
    runner.status.turns_by_ns += 3600 * NS_PER_SECOND
    sockets, probe_sockets = bind([Address("127.0.0.1", 0)]), bind([Address("127.0.0.1", 0)])
    commands = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    async with serving(as_runner(runner), CLOCK, sockets, probe_sockets):
        gc.freeze()  # as the sidecar does
        print(sockets[0].getsockname()[1], probe_sockets[0].getsockname()[1], flush=True)
        while line := await commands.readline():
            print(_obey(runner, line.decode().strip()), flush=True)


if __name__ == "__main__":
    asyncio.run(main())
