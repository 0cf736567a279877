"""The process: what it says at the start, how it ends, and that it never ends in a traceback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.apiserver.sidecar_process import ROOT, Sidecar, ending, until


@pytest.fixture
def local(tmp_path: Path) -> Sidecar:
    """A sidecar on a local store, not yet started."""
    settings = {"LEADER_STORE": f"local:{tmp_path}/leases.db", "LEADER_LEASE_NAME": "web", "LEADER_NATIVE_SIDECAR": "true"}
    return Sidecar("web-0", tmp_path, settings, uid=uuid.uuid4().hex)  # one identity, one process: on the whole machine


def run(tmp_path: Path, **environment: str) -> "subprocess.CompletedProcess[str]":
    """A start that is expected to end by itself."""
    settings = {
        "LEADER_STORE": f"local:{tmp_path}/leases.db", "LEADER_LEASE_NAME": "web",
        "LEADER_LISTEN": "127.0.0.1:0", "LEADER_PROBE_LISTEN": "",
        "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], "POD_NAME": "web-0", "POD_UID": uuid.uuid4().hex,
    }  # fmt: skip
    command = [sys.executable, "-m", "sidecar"]
    return subprocess.run(command, env=settings | environment, capture_output=True, text=True, timeout=30, cwd=tmp_path, check=False)


def test_it_starts_leads_and_ends_with_zero(local: Sidecar) -> None:
    """One startup line with the effective settings; SIGTERM ends it with 0, and every waiter has the final state."""
    with ending([local]):
        local.start().serving()
        until(local.leads, within_seconds=10)
        local.signal(signal.SIGTERM)
        assert local.wait(5) == 0
    starting = [line for line in local.log.splitlines() if "starting version=" in line]
    assert len(starting) == 1
    assert "lease_name=web" in starting[0]
    assert f"identity={local.identity}" in starting[0]
    assert f"127.0.0.1:{local.port}" in starting[0]
    assert "Traceback" not in local.log


def test_an_interrupt_is_a_stop_as_well(local: Sidecar) -> None:
    """Ctrl-C."""
    with ending([local]):
        local.start().serving()
        until(local.leads, within_seconds=10)
        local.signal(signal.SIGINT)
        assert local.wait(5) == 0
    assert "Traceback" not in local.log


def test_ctrl_c_says_what_is_waited_for_and_that_a_second_one_leaves_at_once(local: Sidecar) -> None:
    """An application may act on a deadline that it was given: the Lease is kept until then, and a person is told so."""
    with ending([local]):
        local.start(LEADER_NATIVE_SIDECAR="false").serving()
        until(local.leads, within_seconds=10)
        local.signal(signal.SIGINT)
        (said,) = until(lambda: [line for line in local.log.splitlines() if "told to stop signal=" in line], within_seconds=5)
        assert "signal=SIGINT" in said
        assert re.search(r"the application may still act: waits at most (9\.\d|10\.0) s, or until POST /drained", said)
        assert "a second signal ends the process at once and releases nothing" in said
        local.signal(signal.SIGINT)
        assert local.wait(5) == 0
    last = [line for line in local.log.splitlines() if "told to stop signal=" in line][-1]
    assert "ends at once and releases nothing" in last


@pytest.mark.parametrize(("body", "out_seconds"), [({"for": "10m"}, 600), ({"for": "1m30s"}, 90), ({}, 30)])
def test_a_resignation_is_answered_with_until_when_it_stays_out(local: Sidecar, body: dict[str, str], out_seconds: int) -> None:
    """At most: in seconds, and as a time for people. By default that is twice the lease duration."""
    with ending([local]):
        local.start().serving()
        until(local.leads, within_seconds=10)
        before = datetime.now(UTC)
        answer = local.ask("/resign", method="POST", body=body).json
        assert out_seconds - 10 < answer["out_for"] <= out_seconds
        assert answer["is_leader"] is False
        ends = datetime.fromisoformat(answer["out_until"])
        assert (
            before
            <= ends - timedelta(seconds=answer["out_for"]) + timedelta(milliseconds=2)
            <= datetime.now(UTC) + timedelta(milliseconds=2)
        )
        assert "out_until" not in local.leader()


def test_a_follower_that_is_told_to_stop_waits_for_nothing_and_says_nothing_of_it(local: Sidecar) -> None:
    other = Sidecar("web-1", local.folder, local.environment, uid=uuid.uuid4().hex)
    with ending([local, other]):
        local.start().serving()
        until(local.leads, within_seconds=10)
        other.start().informed()
        other.signal(signal.SIGINT)
        assert other.wait(5) == 0
    (said,) = [line for line in other.log.splitlines() if "told to stop signal=" in line]
    assert "wait" not in said
    assert "second" not in said
    (named,) = [line for line in other.log.splitlines() if "new leader" in line]
    assert "leader=web-0" in named


def test_a_second_sigterm_leaves_at_once_without_releasing(local: Sidecar) -> None:
    """The first waits for the app to drain; the second does not, and the Lease runs out by itself."""
    with ending([local]):
        local.start(LEADER_NATIVE_SIDECAR="false").serving()
        until(local.leads, within_seconds=10)
        local.signal(signal.SIGTERM)
        until(lambda: local.leader().get("state") == "stepping-down", within_seconds=2)
        local.signal(signal.SIGTERM)
        assert local.wait(2) == 0
    assert "released" not in local.log


def test_logs_are_json_where_nobody_reads_them(local: Sidecar) -> None:
    """One object a line, the fields beside the message."""
    with ending([local]):
        local.start(LEADER_LOG_FORMAT="json").serving()
        until(local.leads, within_seconds=10)
    lines = [json.loads(line) for line in local.log.splitlines()]
    leading = next(line for line in lines if line["message"] == "leading")
    assert leading["level"] == "info"
    assert leading["holder"] == local.identity
    assert int(leading["token"]) > 0


def test_a_busy_port_is_one_line_and_exit_code_2(tmp_path: Path) -> None:
    """It names the address and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        done = run(tmp_path, LEADER_LISTEN=f"127.0.0.1:{port}")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port}" in done.stderr
    assert "LEADER_LISTEN" in done.stderr


def test_a_second_process_of_one_identity_is_one_line_and_exit_code_2(local: Sidecar, tmp_path: Path) -> None:
    """Whatever its ports; the first leads on."""
    with ending([local]):
        local.start().serving()
        until(local.leads, within_seconds=10)
        done = run(tmp_path, POD_UID=local.uid)
        assert local.leads()
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert local.identity in done.stderr
    assert "LEADER_IDENTITY" in done.stderr


def test_a_unix_socket_that_another_sidecar_serves_is_left_to_it(local: Sidecar, tmp_path: Path) -> None:
    """Another identity, another Lease, the same path: one line and exit code 2."""
    path = tmp_path / "leader.sock"
    with ending([local]):
        local.start(LEADER_LISTEN=f"unix:{path},127.0.0.1:{local.port}").serving()
        done = run(tmp_path, LEADER_LEASE_NAME="other", LEADER_LISTEN=f"unix:{path}")
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            client.sendall(b"GET /leader HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n")
            assert b'"lease": "web"' in client.makefile("rb").read()
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert str(path) in done.stderr


def test_everything_that_is_taken_is_told_at_once_with_what_else_is_wrong(tmp_path: Path) -> None:
    """Three ports, the store, and in the settings a fault beside two ports: a user mends all of it in one go."""
    held = [socket.socket() for _ in range(3)]
    for each in held:
        each.bind(("127.0.0.1", 0))
        each.listen()
    one, two, three = (each.getsockname()[1] for each in held)
    taken = {"LEADER_LISTEN": f"127.0.0.1:{one},127.0.0.1:{two}", "LEADER_PROBE_LISTEN": f"127.0.0.1:{three}"}
    done = run(tmp_path, **taken)
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert [re.findall(r"127\.0\.0\.1:(\d+): .*\((LEADER_.*)\)$", line) for line in lines] == [
        [(str(one), "LEADER_LISTEN")], [(str(two), "LEADER_LISTEN")], [(str(three), "LEADER_PROBE_LISTEN")],
    ]  # fmt: skip
    done = run(tmp_path, **taken, LEADER_STORE=f"local:{tmp_path}/none/leases.db")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 4)
    assert "leases.db" in done.stderr
    done = run(tmp_path, **taken, LEADER_FOO="x")
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 4)
    assert "LEADER_FOO" in done.stderr
    for each in held:
        each.close()


@dataclass
class Stuck:
    """A resolver that hangs for a minute over any name with "stuck" in it."""

    path: str
    asked: Path


@pytest.fixture
def stuck(tmp_path: Path) -> Stuck:
    """Put into the processes that have its PYTHONPATH."""
    asked = tmp_path / "asked"
    (tmp_path / "sitecustomize.py").write_text(f"""
import pathlib, socket, time
real = socket.getaddrinfo
def getaddrinfo(host, *more, **named):
    if "stuck" in str(host):
        pathlib.Path({str(asked)!r}).touch()
        time.sleep(60)
    return real(host, *more, **named)
socket.getaddrinfo = getaddrinfo
""")
    return Stuck(f"{tmp_path}{os.pathsep}{ROOT}", asked)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_before_it_contends_ends_it_at_once(local: Sidecar, stuck: Stuck, number: signal.Signals) -> None:
    """As PID 1 it would not hear a SIGTERM that it has no handler for; nothing was written, so there is nothing to release."""
    with ending([local]):
        local.start(LEADER_LISTEN="stuck.invalid:0", PYTHONPATH=stuck.path)
        until(stuck.asked.exists, within_seconds=20, message="it starts")
        local.signal(number)
        assert local.wait(5) == 0
    assert local.log == "leader-sidecar: stopped by a signal before the election began\n"


def test_a_name_look_up_that_hangs_does_not_hold_up_the_end(local: Sidecar, stuck: Stuck, tmp_path: Path) -> None:
    """It cannot be cancelled, and the interpreter would wait for its thread."""
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "x",
        "clusters": [{"name": "c", "cluster": {"server": "http://stuck.invalid:6443"}}],
        "users": [{"name": "u", "user": {"token": "t"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }))  # fmt: skip
    with ending([local]):
        settings = {"LEADER_STORE": "kubernetes", "LEADER_LEASE_NAMESPACE": "shop", "KUBECONFIG": str(kubeconfig)}
        local.start(**settings, PYTHONPATH=stuck.path)
        until(stuck.asked.exists, within_seconds=20, message="it asks for the API server")
        local.signal(signal.SIGTERM)
        assert local.wait(5) == 0
    assert "stopped" in local.log


@pytest.mark.parametrize("path", ["/proc/none/leases.db", "{tmp}", "{tmp}/no/folder.db", "{tmp}/junk"])
def test_an_unusable_store_is_one_line_and_exit_code_2(tmp_path: Path, path: str) -> None:
    """Unwritable, a folder, no folder, no database."""
    (tmp_path / "junk").write_text("this is no database at all, and it is long enough to be looked at as one" * 20)
    done = run(tmp_path, LEADER_STORE=f"local:{path.format(tmp=tmp_path)}")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "local:" in done.stderr


def test_a_unix_socket_is_served_and_needs_no_host(local: Sidecar, tmp_path: Path) -> None:
    """With a file that only its owner and group may use; a former process's file is replaced."""
    path = tmp_path / "leader.sock"
    with ending([local]):
        for _ in range(2):
            local.start(LEADER_LISTEN=f"unix:{path},127.0.0.1:{local.port}").serving()
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(b"GET /leader HTTP/1.1\r\nHost: anything\r\nConnection: close\r\n\r\n")
                assert b" 200 " in client.recv(100)
            assert path.stat().st_mode & 0o777 == 0o660
            local.kill()


def test_a_poll_across_a_restart_of_the_sidecar_does_not_hang(local: Sidecar) -> None:
    """It ends with the old one's final state; with that version the new one answers at once."""
    with ending([local]):
        local.start().serving()
        until(local.leads, within_seconds=10)
        version = local.leader()["version"]
        with ThreadPoolExecutor(1) as pool:
            poll = pool.submit(local.ask, f"/leader?since={version}&wait=10m", limit_seconds=30)
            until(lambda: local.metric("leader_sidecar_parked_polls") == 1, within_seconds=10)
            local.signal(signal.SIGTERM)
            last = poll.result(timeout=5).json
            assert local.wait(5) == 0
        assert last["is_leader"] is False
        local.start().serving()
        began = time.monotonic()
        for former in (version, last["version"]):
            assert local.ask(f"/leader?since={former}&wait=10m").json["version"] != former
        assert time.monotonic() - began < 5
