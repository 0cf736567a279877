"""The process and a cluster whose CA is not as RFC 5280 asks: what its user reads, and the setting."""

import json
import socket
import ssl
import threading
import uuid
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.apiserver.sidecar_process import Sidecar, ending, until
from tests.support.authority import Authority


class Impostor:
    """What answers each request with a 503 over TLS: nothing but the handshake counts here. `shaken` counts those that succeed."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.tried = self.shaken = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plain = self._listener.accept()[0]
            except OSError:
                return
            self.tried += 1
            plain.settimeout(5)
            with suppress(OSError), plain, self._context.wrap_socket(plain, server_side=True) as client:
                client.recv(65536)  # TLS 1.3: the client's refusal comes only now
                self.shaken += 1
                client.sendall(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        """Answer nobody any more."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture
def impostor(tmp_path: Path) -> Iterator[Impostor]:
    """With a certificate of a CA without key identifiers, which `kubeconfig` in the folder trusts."""
    authority = Authority(key_identifiers=False)
    (tmp_path / "ca.crt").write_text(authority.pem, encoding="utf-8")
    authority.issue("127.0.0.1", certificate=tmp_path / "server.crt", key=tmp_path / "server.key")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    mine = Impostor(context)
    cluster = {"server": f"https://127.0.0.1:{mine.port}", "certificate-authority": str(tmp_path / "ca.crt")}
    (tmp_path / "kubeconfig").write_text(json.dumps({
        "apiVersion": "v1", "kind": "Config", "current-context": "x", "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": "t"}}], "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
    }), encoding="utf-8")  # fmt: skip
    yield mine
    mine.close()


@pytest.fixture
def sidecar(tmp_path: Path, impostor: Impostor) -> Iterator[Sidecar]:
    """One that is to ask there, not yet started."""
    del impostor
    settings = {"LEADER_LEASE_NAME": "web", "LEADER_LEASE_NAMESPACE": "shop", "KUBECONFIG": str(tmp_path / "kubeconfig")}
    with ending([Sidecar("web-0", tmp_path, settings, uid=uuid.uuid4().hex)]) as (mine,):
        yield mine


def test_a_ca_without_key_identifiers_is_told_of_in_the_log_and_at_readyz_and_tried_again(sidecar: Sidecar, impostor: Impostor) -> None:
    """It neither ends nor is it to be restarted: a rotation of the CA heals it."""
    sidecar.start().serving()
    until(lambda: impostor.tried >= 3, within_seconds=30, message="it tries again")
    shown = sidecar.ask("/readyz?verbose").body.decode()
    for said in (shown, sidecar.log):
        assert "Key Identifier" in said
        assert "set LEADER_TLS_STRICT=false: the sidecar then accepts it too, and still verifies chain and host name" in said
    assert impostor.shaken == 0
    assert not sidecar.exited()
    assert sidecar.ask("/livez").status == 200
    assert "Traceback" not in sidecar.log


def test_with_the_setting_it_asks_the_same_api_server(sidecar: Sidecar, impostor: Impostor) -> None:
    """By the variable; the flag is made from the same field."""
    sidecar.start(LEADER_TLS_STRICT="false").serving()
    until(lambda: impostor.shaken, within_seconds=30, message="a request arrives")
    assert "set LEADER_TLS_STRICT=false" not in sidecar.log
