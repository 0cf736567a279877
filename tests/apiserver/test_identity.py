"""One identity, one process (S9)."""

import os
import shutil
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.apiserver.conftest import SHORT, Field
from tests.apiserver.sidecar_process import Sidecar, until


def test_a_second_process_with_the_same_identity_exits_with_the_reason(ground: Field) -> None:
    """In one network namespace, whatever its ports: exit code 2 and one clear line; the first leads on."""
    first = ground.sidecar("web-0").start().serving()
    until(first.leads, within_seconds=5)
    second = ground.sidecar("web-0").start()
    assert second.wait(20) == 2
    assert "another process" in second.log
    assert "web-0_u1" in second.log
    assert "Traceback" not in second.log
    assert first.leads()


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, ...]]:
    """A launcher into a network namespace of its own, with abstract sockets of its own."""
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("nsenter") is None:
        message = "NOT TESTED: two places of one identity need root and iproute2, to make a network namespace"
        if os.environ.get("CI") == "true":
            pytest.fail(message)
        pytest.skip(message)
    name = f"ls-{uuid.uuid4().hex[:8]}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield ("nsenter", f"--net=/run/netns/{name}")
    finally:
        subprocess.run(["ip", "netns", "del", name], check=True)


class Duplicate:
    """A sidecar with the same identity in another network namespace. It is asked from inside: its listener is on its own loopback."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.sidecar = sidecar

    def state(self) -> str:
        """The state that it answers; "" while it does not answer."""
        url = f"http://127.0.0.1:{self.sidecar.port}/leader"
        ask = f"import json, urllib.request; print(json.load(urllib.request.urlopen({url!r}, timeout=2))['state'])"
        done = subprocess.run([*self.sidecar.launcher, sys.executable, "-c", ask], capture_output=True, text=True, check=False)
        return done.stdout.strip()


def test_in_two_places_at_most_one_of_an_identity_leads(ground: Field, elsewhere: tuple[str, ...], tmp_path: Path) -> None:
    """The second waits like any candidate while the first leads, and takes over when the first is stopped. The first, awake again, is in
    conflict and says why. It contends again when the second has ended (S9 c, d).
    """
    first = ground.sidecar("web-0", times=SHORT).start().serving()
    until(first.leads, within_seconds=5)
    relay = tmp_path / "relay"
    with ground.relay(relay, elsewhere) as port:
        second = ground.sidecar("web-0", port=port, launcher=elsewhere, times=SHORT)
        duplicate = Duplicate(second.start())
        until(lambda: duplicate.state() == "following", within_seconds=20, message=second.log)
        time.sleep(4)
        assert first.leads()
        assert duplicate.state() == "following", "it waits like any candidate"
        first.signal(signal.SIGSTOP)
        until(lambda: duplicate.state() == "leading", within_seconds=3 + 3)
        first.signal(signal.SIGCONT)
        until(lambda: first.leader().get("state") == "conflict", within_seconds=3)
        assert first.ask("/livez").status == 500
        assert "another process" in first.ask("/livez").body.decode()
        assert "conflict" in first.log
        assert duplicate.state() == "leading"
        second.kill()
        until(first.leads, within_seconds=3 + 3 + 2, message="it contends again when the duplicate has ended")
        assert first.ask("/livez").status == 200
