"""Few descriptors: the bounds follow from the limit in force, so that none is ever missing for what the election needs."""

import contextlib
import resource
import socket
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar import open_files
from tests.apiserver.sidecar_process import Sidecar, ending, until

IDLE = 1100
ANSWER_SECONDS = 1.0


def limited(folder: Path, files: int) -> Sidecar:
    """A sidecar on a local store with this hard limit, not yet started."""
    settings = {"LEADER_STORE": f"local:{folder}/leases.db", "LEADER_LEASE_NAME": "web"}
    launcher = ("sh", "-c", f'ulimit -n {files} && exec "$@"', "sh")
    return Sidecar("web-0", folder, settings, uid=uuid.uuid4().hex, launcher=launcher)


@contextlib.contextmanager
def many() -> Iterator[list[socket.socket]]:
    """Clients' sockets, closed at the end; this process may have enough of them."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, hard), hard))
    found: list[socket.socket] = []
    try:
        yield found
    finally:
        for each in found:
            each.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def answers(sidecar: Sidecar) -> None:
    """Both listeners, each in time; what the machine is too busy for is asked again, and told."""
    for path, is_probe in (("/leader", False), ("/livez", True)):
        for again in range(3):
            began = time.monotonic()
            assert sidecar.ask(path, probe=is_probe, limit_seconds=5).status == 200
            took = time.monotonic() - began
            if took < ANSWER_SECONDS:
                break
            print(f"{path} took {took:.2f} s, try {again}")
        else:
            pytest.fail(f"{path} is not answered within {ANSWER_SECONDS} s")


@pytest.mark.parametrize("sent", [b"", b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"])
@pytest.mark.parametrize("files", [64, 1024])
def test_idle_connections_without_number_hold_up_nobody(tmp_path: Path, files: int, sent: bytes) -> None:
    """On both listeners at once: it leads on, answers each in time, and has nothing to say about it."""
    with ending([limited(tmp_path, files)]) as [it], many() as clients:
        until(it.start().serving().leads, within_seconds=20)
        log = it.log
        for number in range(2 * IDLE):
            client = socket.create_connection(("127.0.0.1", it.probe_port if number % 2 else it.port), 5)
            clients.append(client)
            with contextlib.suppress(ConnectionError):  # it has been let go
                client.sendall(sent)
            if number % 500 == 499:
                answers(it)
        for _ in range(5):
            answers(it)
            time.sleep(0.1)
        assert it.leads()
        assert len(list(Path(f"/proc/{it.pid}/fd").iterdir())) <= files - 10
        assert it.log == log


def test_fewer_polls_than_otherwise_wait_and_the_message_names_their_number(tmp_path: Path) -> None:
    """Whoever asks without waiting is answered all the same."""
    with ending([limited(tmp_path, 64)]) as [it], many() as clients:
        until(it.start().serving().leads, within_seconds=20)
        version = it.leader()["version"]
        for _ in range(40):
            client = socket.create_connection(("127.0.0.1", it.port), 5)
            clients.append(client)
            client.sendall(f"GET /leader?since={version}&wait=10m HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        waiting = until(lambda: it.metric("leader_sidecar_parked_polls"), within_seconds=10)
        reply = it.ask(f"/leader?since={version}&wait=10m")
        assert (reply.status, reply.headers["Retry-After"]) == (503, "1")
        assert reply.json["message"].startswith(f"{waiting:.0f} polls are waiting")
        answers(it)


@pytest.mark.parametrize("files", [8, 16, 32, open_files.LEAST - 1])
def test_a_limit_that_is_too_low_is_one_line_and_exit_code_2(tmp_path: Path, files: int) -> None:
    """At the start, before anything goes wrong for want of a descriptor; it names the limit, and what would do."""
    it = limited(tmp_path, files)
    with ending([it]):
        assert it.start().wait(20) == 2
    assert len(it.log.splitlines()) == 1
    assert f"open files is {files}, at least {open_files.LEAST}" in it.log
