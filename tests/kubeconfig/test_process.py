"""The process and its kubeconfig: what cannot be used ends it at once with 2 and one line; what it runs ends with it."""

import json
import os
import signal
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from subprocess import run
from typing import Any

import pytest

from tests.apiserver.sidecar_process import ROOT, Sidecar, ending, until
from tests.kubeconfig.echo import Echo, echoing
from tests.kubeconfig.table import V1, config


@pytest.fixture(name="echo")
def serve() -> Iterator[Echo]:
    with echoing() as echo:
        yield echo


def write(folder: Path, echo: Echo, user: Any = None, **cluster: Any) -> dict[str, str]:
    (folder / "ca.pem").write_bytes(echo.authority.cert_pem.bytes())
    trusted = {"server": echo.https, "certificate-authority-data": None, "certificate-authority": "ca.pem"} | cluster
    (folder / "config").write_text(json.dumps(config(trusted, user)))
    return {"LEADER_LEASE_NAME": "web", "LEADER_LEASE_NAMESPACE": "shop", "KUBECONFIG": str(folder / "config")}


def plugin(folder: Path, script: str) -> dict[str, Any]:
    (folder / "tok.sh").write_text(f"#!/bin/sh\ncd {folder}\n{script}\n")
    (folder / "tok.sh").chmod(0o755)
    return {"exec": {"apiVersion": V1, "interactiveMode": "Never", "command": "./tok.sh"}}


def child(folder: Path) -> int:
    """The process that the plugin has started."""
    until(
        lambda: (folder / "child").exists() and (folder / "child").read_text().endswith("\n"), within_seconds=60, message="the plugin runs"
    )
    return int((folder / "child").read_text())


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.parametrize(
    ("user", "cluster", "field"),
    [
        ({"token": "t", "as-groups": ["a"]}, {}, "users[u].user.as"),
        ({"token": "t"}, {"proxy-url": "socks5://127.0.0.1:1"}, "clusters[c].cluster.proxy-url"),
        ({"exec": {"apiVersion": V1, "interactiveMode": "Never", "command": "./gone.sh"}}, {}, "users[u].user.exec.command"),
    ],
)
def test_what_cannot_be_used_ends_it_with_2_and_one_line(echo: Echo, tmp_path: Path, user: Any, cluster: Any, field: str) -> None:
    settings = write(tmp_path, echo, user, **cluster)
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LEADER_", "POD_", "KUBE"))}
    more = {"LEADER_LISTEN": "127.0.0.1:0", "LEADER_PROBE_LISTEN": "", "LEADER_LOG_FORMAT": "text", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "sidecar"]
    done = run(command, env=inherited | more | settings, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1
    assert f"{tmp_path / 'config'}: {field}" in lines[0]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_plugin_that_hangs_at_the_start_ends_with_the_sidecar(echo: Echo, tmp_path: Path, number: signal.Signals) -> None:
    settings = write(tmp_path, echo, plugin(tmp_path, "sleep 600 & echo $! > child; wait"))
    with ending([Sidecar("web-0", tmp_path, settings, uid=uuid.uuid4().hex)]) as (sidecar,):
        sidecar.start()
        running = child(tmp_path)
        os.kill(sidecar.pid, number)
        until(sidecar.exited, within_seconds=30, message="it leaves at once")
        until(lambda: gone(running), within_seconds=30, message="so does the plugin")


def test_a_plugin_that_hangs_later_is_named_in_readyz_and_ends_with_the_sidecar(echo: Echo, tmp_path: Path) -> None:
    answer = json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": {"token": "t1"}})
    script = f"if [ -e hang ]; then sleep 600 & echo $! > child; wait; fi\ncat <<'END'\n{answer}\nEND"
    settings = write(tmp_path, echo, plugin(tmp_path, script))
    with ending([Sidecar("web-0", tmp_path, settings, uid=uuid.uuid4().hex)]) as (sidecar,):
        sidecar.start().serving()
        (tmp_path / "hang").touch()
        echo.accepts = "t2"
        running = child(tmp_path)
        named = "waiting for the credential plugin"
        until(lambda: named in sidecar.ask("/readyz?verbose").body.decode(), within_seconds=60, message="readyz names it")
        assert "tok.sh" in sidecar.ask("/readyz?verbose").body.decode()
        os.kill(sidecar.pid, signal.SIGTERM)
        until(sidecar.exited, within_seconds=60, message="it ends")
        until(lambda: gone(running), within_seconds=30, message="so does the plugin")
