"""An id-token that has ended is asked for anew, as kubectl asks: of an issuer whose certificate is verified."""

import base64
import json
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import trustme

from sidecar.kubernetes import credentials
from sidecar.kubernetes.credentials import ConfigurationError
from tests.kubeconfig.table import config, jwt

NEW = jwt({"exp": 9999999999, "sub": "web"})


@dataclass
class Issuer:
    """An OpenID provider. `in_body`: it knows clients by the form alone (RFC 6749 section 2.3.1)."""

    url: str = ""
    authority: trustme.CA = field(default_factory=trustme.CA)
    in_body: bool = False
    answer: dict[str, Any] = field(default_factory=lambda: {"id_token": NEW, "access_token": "a", "token_type": "Bearer"})
    asked: list[dict[str, str]] = field(default_factory=list)


@pytest.fixture(name="issuer")
def serve() -> Iterator[Issuer]:
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def answer(self, status: int, content: dict[str, Any]) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self) -> None:
            known = self.path == "/.well-known/openid-configuration"
            self.answer(200 if known else 404, {"token_endpoint": f"{issuer.url}/token"})

        def do_POST(self) -> None:
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            issuer.asked.append({name: values[0] for name, values in form.items()} | {"Authorization": self.headers["Authorization"] or ""})
            good = "client_id" in form if issuer.in_body else "Authorization" in self.headers
            self.answer(200 if good else 401, issuer.answer if good else {"error": "invalid_client"})

        def log_message(self, *_: Any) -> None:
            pass

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    issuer.authority.issue_cert("127.0.0.1").configure_cert(context)
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # a handshake that the client breaks off
    issuer.url = f"https://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield issuer
    server.shutdown()
    server.server_close()


def environment(folder: Path, issuer: Issuer, **fields: str | None) -> dict[str, str]:
    """A user whose id-token has ended; each test has a refresh-token of its own."""
    trusted = base64.b64encode(issuer.authority.cert_pem.bytes()).decode()
    given: dict[str, str | None] = {"client-id": "k", "idp-issuer-url": issuer.url, "idp-certificate-authority-data": trusted}
    given |= {"id-token": jwt({"exp": 1}), "refresh-token": str(folder)} | fields
    provider = {"name": "oidc", "config": {name: value for name, value in given.items() if value is not None}}
    cluster = {"server": "https://127.0.0.1:1", "certificate-authority-data": None}
    (folder / "config").write_text(json.dumps(config(cluster, {"auth-provider": provider})))
    return {"KUBECONFIG": str(folder / "config")}


async def bearer(environ: dict[str, str]) -> str:
    return (await credentials.load(environ)).configuration.api_key["BearerToken"]


@pytest.mark.parametrize("in_body", [False, True])
@pytest.mark.parametrize("secret", [None, "s"])
async def test_a_client_with_and_without_a_secret_is_known_in_the_header_or_in_the_form(
    issuer: Issuer, tmp_path: Path, secret: str | None, *, in_body: bool
) -> None:
    issuer.in_body = in_body
    assert await bearer(environment(tmp_path, issuer, **{"client-secret": secret})) == f"Bearer {NEW}"
    last = issuer.asked[-1]
    assert (last["grant_type"], last["refresh_token"]) == ("refresh_token", str(tmp_path))
    if in_body:
        assert (last["client_id"], last.get("client_secret"), last["Authorization"]) == ("k", secret, "")
    else:
        named = base64.b64encode(f"k:{secret or ''}".encode()).decode()
        assert last["Authorization"] == f"Basic {named}"


async def test_what_the_issuer_gave_is_kept_and_its_next_refresh_token_is_the_one_that_is_shown(issuer: Issuer, tmp_path: Path) -> None:
    environ = environment(tmp_path, issuer)
    issuer.answer = {"id_token": jwt({"exp": 1}), "refresh_token": "second"}
    await bearer(environ)
    issuer.answer = {"id_token": NEW, "refresh_token": "third"}
    assert await bearer(environ) == f"Bearer {NEW}"
    assert await bearer(environ) == f"Bearer {NEW}"
    assert [asked["refresh_token"] for asked in issuer.asked] == [str(tmp_path), "second"]


async def test_an_issuer_is_believed_by_its_certificate_alone(issuer: Issuer, tmp_path: Path) -> None:
    """The refresh-token is shown to nobody else."""
    for others in (None, base64.b64encode(trustme.CA().cert_pem.bytes()).decode()):
        with pytest.raises(ConfigurationError, match=r"auth-provider\.config\.idp-issuer-url gives no id-token"):
            await bearer(environment(tmp_path, issuer, **{"idp-certificate-authority-data": others}))
    assert issuer.asked == []
    (tmp_path / "idp.pem").write_bytes(issuer.authority.cert_pem.bytes())
    fields = {"idp-certificate-authority-data": None, "idp-certificate-authority": "idp.pem"}
    assert await bearer(environment(tmp_path, issuer, **fields)) == f"Bearer {NEW}"


@pytest.mark.parametrize("answer", [{}, {"id_token": 7}, {"id_token": "junk"}, {"id_token": "a.b\n.c"}])
async def test_an_issuers_junk_is_refused_in_words(issuer: Issuer, tmp_path: Path, answer: dict[str, Any]) -> None:
    issuer.answer = answer
    with pytest.raises(ConfigurationError, match=r"users\[u\]\.user\.auth-provider\.config\.idp-issuer-url"):
        await bearer(environment(tmp_path, issuer))
