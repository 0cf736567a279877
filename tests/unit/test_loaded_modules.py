"""What the process that stays has not loaded: each of these is paid for in every Pod."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from sidecar.preload import load_aiohttp
from tests.support.accounts import in_pod, make_service_account

__all__ = ["make_service_account"]

ROOT = Path(__file__).resolve().parents[2]
IN_A_POD = f"""
import asyncio, json, sys
from pathlib import Path

from sidecar import process
from sidecar.preload import load_aiohttp

load_aiohttp()

import aiohttp.connector
from sidecar.http import server
from sidecar.kubernetes import credentials
from sidecar.kubernetes.store import KubernetesStore
from sidecar.kubernetes.client import Client

async def ask():
    access = await credentials.load({in_pod(1)}, Path(sys.argv[1]))
    store = await KubernetesStore.connect(access, "shop", "web")
    outcome = await store.read()
    await store.close()
    return repr(outcome)

server.serving, process.main, Client.connect
said = asyncio.run(ask())
print(json.dumps({{"said": said, "loaded": sorted(sys.modules), "trusted": len(aiohttp.connector._SSL_CONTEXT_VERIFIED.get_ca_certs())}}))
"""


@pytest.fixture(name="in_a_pod")
def run_in_a_pod(service_account: Path) -> dict[str, Any]:
    """A process that has loaded what a Pod's has, and asked for its Lease."""
    command = [sys.executable, "-c", IN_A_POD, str(service_account)]
    environment = os.environ | {"SSL_CERT_FILE": str(service_account / "ca.crt")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, cwd=ROOT, check=True)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


@pytest.mark.parametrize(
    "library", ["pydantic", "pydantic_core", "pydantic_settings", "kubernetes_asyncio", "yaml", "dateutil", "prometheus_client", "sqlite3"]
)
def test_in_a_pod_it_has_not_loaded(in_a_pod: dict[str, Any], library: str) -> None:
    """The validator has done its work in another process; kubeconfigs, scrapes and local stores are others'."""
    assert "Cannot connect" in in_a_pod["said"]
    assert not [name for name in in_a_pod["loaded"] if name.partition(".")[0] == library]


def test_no_tls_context_holds_the_systems_certificates(in_a_pod: dict[str, Any]) -> None:
    """Aiohttp makes one at its import."""
    assert in_a_pod["trusted"] == 0


def test_loading_aiohttp_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kubeconfig without a CA trusts the system's, and a credential plugin inherits all of it."""
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ssl/some.pem")
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    load_aiohttp()
    assert os.environ["SSL_CERT_FILE"] == "/etc/ssl/some.pem"
    assert "SSL_CERT_DIR" not in os.environ
