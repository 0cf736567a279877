"""Standard output and error, closed, full or unread: the exit code is as ever, and no listener or pipe is mistaken for one of them."""

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.apiserver.ports import free_port
from tests.apiserver.sidecar_process import ROOT, Sidecar, ending, until

STREAMS = {
    "closed": ">&- 2>&-",
    "both full": ">/dev/full 2>/dev/full",
    "error closed": "2>&-",
    "error full": "2>/dev/full",
    "all closed": "<&- >&- 2>&-",
    "output closed": ">&-",
    "output full": ">/dev/full",
    "unread": "2>&1 | true; exit ${PIPESTATUS[0]}",
}


def code(tmp_path: Path, streams: str, arguments: Sequence[str], **settings: str) -> int:
    """What it exits with, with such streams."""
    environment = {
        "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "POD_NAME": "web-0", "POD_UID": uuid.uuid4().hex,
        "LEADER_STORE": f"local:{tmp_path}/leases.db", "LEADER_LEASE_NAME": "web",
        "LEADER_LISTEN": "127.0.0.1:0", "LEADER_PROBE_LISTEN": "",
    }  # fmt: skip
    command = ["bash", "-c", f'"{sys.executable}" -m sidecar "$@" {streams}', "bash", *arguments]
    done = subprocess.run(command, env=environment | settings, capture_output=True, timeout=60, cwd=tmp_path, check=False)
    return done.returncode


@pytest.mark.parametrize("streams", STREAMS.values(), ids=STREAMS)
def test_the_exit_code_is_as_ever(tmp_path: Path, streams: str) -> None:
    """Help and version 0, faults in the settings and at the start 2, a probe that finds nobody 1 and one asked wrongly 2."""
    assert code(tmp_path, streams, ["--help"]) == 0
    assert code(tmp_path, streams, ["--version"]) == 0
    assert code(tmp_path, streams, ["--lease-nam=x"]) == 2
    assert code(tmp_path, streams, [], LEADER_STORE=f"local:{tmp_path}/none/leases.db") == 2
    assert code(tmp_path, streams, ["probe", "--help"]) == 0
    assert code(tmp_path, streams, ["probe", "--address", f"127.0.0.1:{free_port()}"]) == 1
    assert code(tmp_path, streams, ["probe", "wrongly"]) == 2


@pytest.mark.parametrize("streams", [text for text in STREAMS.values() if "|" not in text])
@pytest.mark.parametrize("log_format", ["text", "json"])
def test_a_sidecar_serves_and_ends_with_zero_whatever_its_streams_are(tmp_path: Path, streams: str, log_format: str) -> None:
    settings = {"LEADER_STORE": f"local:{tmp_path}/leases.db", "LEADER_LEASE_NAME": "web", "LEADER_NATIVE_SIDECAR": "true"}
    program = ("bash", "-c", f'exec "{sys.executable}" -m sidecar {streams}')
    one = Sidecar("web-0", tmp_path, settings | {"LEADER_LOG_FORMAT": log_format}, uid=uuid.uuid4().hex, program=program)
    with ending([one]):
        one.start().serving()
        until(one.leads, within_seconds=20)
        assert one.ask("/readyz?verbose").status == 200
        one.signal(signal.SIGTERM)
        assert one.wait(10) == 0
