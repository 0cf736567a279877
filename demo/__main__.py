"""`make demo`, or `python -m demo`: exit code 0 if each handover is as promised, else 1 and a message."""

import argparse
import contextlib
import signal
import socket
import sys
import tempfile
from pathlib import Path
from types import FrameType

from demo.story import DemoError, Story

_PORTS = 3
_PORTS_APART = 10


def main() -> int:
    """Run the demo."""
    parser = argparse.ArgumentParser(prog="python -m demo", description="Three sidecars on this machine, and two handovers.")
    parser.add_argument("--port", type=int, default=4040, help="the first port to try (default: %(default)s)")
    parser.add_argument("--pace", type=float, metavar="SECONDS", help="how long to pause between the scenes")
    given = parser.parse_args()
    for name in ("SIGTERM", "SIGHUP"):
        signal.signal(getattr(signal, name), _leave)
    with tempfile.TemporaryDirectory(prefix="leader-sidecar-demo-") as folder:
        story = Story(_free_ports(given.port), Path(folder), given.pace)
        try:
            return _tell(story)
        except KeyboardInterrupt:
            story.screen.say("\nInterrupted." if not story.screen.live else "")
            return 128 + signal.SIGINT
        finally:
            story.end()


def _tell(story: Story) -> int:
    try:
        story.run()
        story.verdict()
    except DemoError as failed:
        story.screen.stop()
        story.screen.say(f"\nNot as promised:\n{failed}")
        return 1
    if story.screen.live:
        with contextlib.suppress(KeyboardInterrupt):
            story.play()
    return 0


def _leave(number: int, _frame: FrameType | None) -> None:
    """Clean up, and exit with the code that a shell gives to a process that a signal ended."""
    sys.exit(128 + number)


def _free_ports(first: int) -> list[int]:
    """Three free ports, below those that the system gives to outgoing connections."""
    free: list[int] = []
    for port in range(first, min(first + 1000, 65536), _PORTS_APART):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        free.append(port)
        if len(free) == _PORTS:
            return free
    sys.exit(f"No three free ports from {first} on. Name another first port: python -m demo --port 20000")


if __name__ == "__main__":
    sys.exit(main())
