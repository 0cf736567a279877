"""A reverse proxy that knows requests: TLS ends in it, with the API server's own certificate, so one kind can be harmed alone."""

import http.client
import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

from tests.apiserver.server import ApiServer

_WATCH_SECONDS = 330
"""Longer than the API server keeps a watch of the sidecar's open."""


@dataclass(frozen=True)
class Asked:
    """One request, as it came in."""

    method: str
    path: str
    body: Any
    """The JSON; None where there is none."""


@dataclass(frozen=True)
class Fate:
    """What becomes of a request: how much later it is passed on, and whether its answer is lost, the connection closed in its place."""

    late_seconds: float = 0.0
    answer_is_lost: bool = False
    status: int | None = None
    """Answered so here, and never passed on: as a proxy or a load balancer before the API server does."""
    retry_after: str = ""
    """That answer's Retry-After; "" for none."""
    body: Any = None
    """And its JSON; None for none."""
    events: int | None = None
    """Of a watch: it ends in good order after so many."""
    silent: bool = False
    """After these nothing more comes, and nobody closes it."""


class Gate:
    """Passes requests on as `fate` says; all of them stand in `asked`, in the order in which they came."""

    def __init__(self, server: ApiServer) -> None:
        self.server = server
        self.asked: list[Asked] = []
        self.answered: list[Asked] = []
        """Those whose answer has been passed back, a watch's when it has ended, in the order of that."""
        self.fate: Callable[[Asked], Fate] = lambda _: Fate()
        self._http = _Server(self)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.folder / "tls.crt", server.folder / "tls.key")
        # The handshake is the handler's, so that one slow client keeps no other waiting.
        self._http.socket = context.wrap_socket(self._http.socket, server_side=True, do_handshake_on_connect=False)
        self.port: int = self._http.server_address[1]

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, gate: Gate) -> None:
        self.gate = gate
        super().__init__(("127.0.0.1", 0), _Handler)

    def server_close(self) -> None:
        """Close the listener, and wait for nobody: a watch has no end."""
        self.socket.close()

    def handle_error(self, *_: object) -> None:
        """A client that goes away in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def _pass_on(self) -> None:
        gate = self.server.gate
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        asked = Asked(self.command, self.path, json.loads(body) if body else None)
        gate.asked.append(asked)
        fate = gate.fate(asked)
        time.sleep(fate.late_seconds)
        if fate.status is not None:
            self._refuse(fate.status, fate)
            gate.answered.append(asked)
            return
        upstream = http.client.HTTPSConnection("127.0.0.1", gate.server.port, timeout=_WATCH_SECONDS, context=gate.server.ssl)
        try:
            upstream.request(self.command, self.path, body or None, dict(self.headers))
            answer = upstream.getresponse()
            if fate.answer_is_lost:
                answer.read()
                self.close_connection = True
            else:
                self._answer(answer, fate)
                gate.answered.append(asked)
        except OSError:
            self.close_connection = True
        finally:
            upstream.close()

    do_GET = do_POST = do_PATCH = _pass_on  # noqa: N815 - http.server's names

    def _refuse(self, status: int, fate: Fate) -> None:
        body = json.dumps(fate.body).encode() if fate.body is not None else b""
        self.send_response(status)
        if fate.retry_after:
            self.send_header("Retry-After", fate.retry_after)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, answer: http.client.HTTPResponse, fate: Fate) -> None:
        """Whole, or as it comes where its length is not known: a watch."""
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "content-length", "transfer-encoding"):
                self.send_header(name, value)
        if answer.length is not None:
            whole = answer.read()
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole)
            return
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.flush()
        passed = 0
        while passed != fate.events and (part := answer.readline() if fate.events is not None else answer.read1(65536)):
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            passed += 1
        if fate.silent:
            self.rfile.read(1)  # until the client goes
            self.close_connection = True
            return
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Nothing: what came stands in `asked`."""
