"""A kubelet's SIGTERM to the native sidecar alone: a liveness probe of one's own, an image update or a resize in place (S11).

Two sidecars as processes on a local store, and the application's connection as a socket of the test's.
"""

import json
import signal
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.runtime.app_end import QUIET_SECONDS
from tests.apiserver.sidecar_process import Sidecar, boottime_ns, ending, until

TIMES = {"LEADER_LEASE_DURATION": "5s", "LEADER_RENEW_DEADLINE": "4s", "LEADER_RETRY_PERIOD": "1s"}
Two = tuple[Sidecar, Sidecar]


@pytest.fixture
def two(tmp_path: Path) -> Iterator[Two]:
    """The first leads, the second follows; a native sidecar's settings."""
    shared = {"LEADER_STORE": f"local:{tmp_path}/leases.db", "LEADER_LEASE_NAME": "web", "LEADER_NATIVE_SIDECAR": "true"}
    one, other = (Sidecar(f"web-{number}", tmp_path, shared | TIMES, uid=uuid.uuid4().hex) for number in range(2))
    with ending([one, other]):
        one.start().serving()
        until(one.leads, within_seconds=10)
        other.start().serving()
        other.informed()
        yield one, other


class Connection:
    """Of the application, kept."""

    def __init__(self, sidecar: Sidecar, path: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", sidecar.port), timeout=20)
        self._file = self.socket.makefile("rb")
        self.ask(path)

    def ask(self, path: str) -> None:
        """Send a request."""
        self.socket.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def told(self) -> dict[str, Any]:
        """The next leadership on it: an answer's body, or an event's."""
        while True:
            line = self._file.readline().removeprefix(b"data: ")
            if line.startswith(b"{"):
                return dict(json.loads(line))

    def close(self) -> None:
        """The application has ended."""
        self._file.close()
        self.socket.close()


@pytest.mark.parametrize("path", ["/leader", "/leader/events", "/leader?since={version}&wait=10m"])
def test_a_deadline_is_kept_where_a_connection_shows_that_the_application_lives(two: Two, path: str) -> None:
    """One that was given a true answer, a stream, a parked poll."""
    one, other = two
    kept = Connection(one, path.format(version=one.leader()["version"]))
    if "since" not in path:
        assert kept.told()["is_leader"]
    given_ns = one.leader()["valid_until_boottime_ns"]
    one.signal(signal.SIGTERM)
    if path != "/leader":
        assert kept.told()["is_leader"] is False
    until(other.leads, within_seconds=20, every_seconds=0.002)
    assert boottime_ns() >= given_ns
    assert one.wait(5) == 0
    assert "a connection of the application is open" in one.log
    kept.close()


def test_the_lease_is_released_half_a_second_after_the_connection_has_closed(two: Two) -> None:
    """And not by the deadlines, which are further off."""
    one, other = two
    kept = Connection(one, "/leader/events?renewals=1")
    kept.told()
    kept.told()  # a renewal: the next one is a second off, the deadline nearly four
    one.signal(signal.SIGTERM)
    while kept.told()["state"] != "stepping-down":
        pass
    began = time.monotonic()
    kept.close()
    given_ns = one.leader()["valid_until_boottime_ns"]  # while stepping down: until when the Lease is certainly its own; asks anew
    until(other.leads, within_seconds=20, every_seconds=0.002)
    assert time.monotonic() - began >= QUIET_SECONDS
    assert boottime_ns() < given_ns


def test_where_every_connection_is_closed_it_has_ended(two: Two) -> None:
    """A kubelet sends it SIGTERM when the application's containers have ended, and so have all their sockets."""
    one, other = two
    kept = Connection(one, "/leader/events")
    kept.told()
    given_ns = one.leader()["valid_until_boottime_ns"]
    kept.close()
    one.signal(signal.SIGTERM)
    until(other.leads, within_seconds=20, every_seconds=0.002)
    assert boottime_ns() < given_ns
    assert one.wait(5) == 0
