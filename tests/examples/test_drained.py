"""The call by which an application in a regular container says that it has stopped, as the guide shows it."""

import os
import subprocess
import uuid
from pathlib import Path

import pytest

from tests.apiserver.sidecar_process import Sidecar, ending, until
from tests.support.texts import block


def say(sidecar: Sidecar, token: int) -> int:
    """Run the shown line with that token; its exit code."""
    command = ["sh", "-c", block("docs/guides/shutdown.md", "sh", "curl ").replace("localhost:4040", f"127.0.0.1:{sidecar.port}")]
    return subprocess.run(command, env=os.environ | {"token": str(token)}, capture_output=True, timeout=30, check=False).returncode


@pytest.fixture
def store(tmp_path: Path) -> dict[str, str]:
    """A local election, without LEADER_NATIVE_SIDECAR."""
    return {"LEADER_STORE": f"local:{tmp_path}/leases.db", "LEADER_LEASE_NAME": "web"}


def test_the_shown_call_hands_over_at_once_and_with_another_token_it_does_not(tmp_path: Path, store: dict[str, str]) -> None:
    """With the term's own token it counts while leading too."""
    first, second = (Sidecar(f"web-{number}", tmp_path, store, uid=uuid.uuid4().hex) for number in range(2))
    with ending([first, second]):
        first.start().serving()
        until(first.leads, within_seconds=10)
        second.start().serving().informed("web-0")
        token = first.leader()["fencing_token"]
        assert say(first, token - 1) != 0
        assert first.leads()
        assert say(first, token) == 0
        until(second.leads, within_seconds=5, message="the other one leads, long before the lease duration of 15 s")
        assert second.leader()["fencing_token"] > token
