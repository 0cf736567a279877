"""An API server that knows nothing and keeps who asked: what kubectl shows, and what the sidecar does, are held side by side."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme


@dataclass(frozen=True)
class Seen:
    """Who asked, as it reached the server."""

    authorization: str = ""
    acts_as: tuple[tuple[str, str], ...] = ()
    """The headers Impersonate-…, names in lower case, sorted."""
    certificate: str = ""
    """The common name of the client's certificate."""
    path: str = ""
    """What stands before /api or /apis."""
    by_proxy: bool = False


@dataclass
class Echo:
    """HTTPS and HTTP on loopback, and an HTTP proxy before them. `accepts`: what the bearer token must be; empty for anything."""

    authority: trustme.CA = field(default_factory=trustme.CA)
    clients: trustme.CA = field(default_factory=trustme.CA)
    seen: list[Seen] = field(default_factory=list)
    accepts: str = ""
    https: str = ""
    http: str = ""
    proxy: str = ""
    tunnels: set[int] = field(default_factory=set)
    """The ports from which the proxy came."""
    context: ssl.SSLContext = field(default_factory=lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))

    def issue(self, name: str, certificate: Path, key: Path) -> None:
        """Write a client's certificate and its key."""
        made = self.clients.issue_cert("web@example.org", common_name=name)
        made.cert_chain_pems[0].write_to_path(certificate)
        made.private_key_pem.write_to_path(key)

    def take(self) -> list[Seen]:
        """What came since the last time, each once."""
        found, self.seen = list(dict.fromkeys(self.seen)), []
        return found


@contextmanager
def echoing(*names: str) -> Iterator[Echo]:
    """Serve under these names, 127.0.0.1 among them."""
    echo = Echo()
    echo.authority.issue_cert("127.0.0.1", *names).configure_cert(echo.context)
    echo.clients.configure_trust(echo.context)
    echo.context.verify_mode = ssl.CERT_OPTIONAL
    secure, plain = (_Server(("127.0.0.1", 0), _handler(echo)) for _ in range(2))
    secure.tls = echo.context
    echo.https, echo.http = (f"{scheme}://127.0.0.1:{server.server_port}" for scheme, server in (("https", secure), ("http", plain)))
    listener = socket.create_server(("127.0.0.1", 0))
    echo.proxy = f"http://127.0.0.1:{listener.getsockname()[1]}"
    threads = [threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True) for server in (secure, plain)]
    threads.append(threading.Thread(target=_forward, args=(listener, echo), daemon=True))
    for thread in threads:
        thread.start()
    try:
        yield echo
    finally:
        for server in (secure, plain):
            server.shutdown()
            server.server_close()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def finish_request(self, request: Any, client_address: Any) -> None:
        """The handshake is the thread's matter: one that hangs keeps nobody waiting."""
        request.settimeout(20)
        with suppress(OSError):
            if self.tls is None:
                super().finish_request(request, client_address)
                return
            with self.tls.wrap_socket(request, server_side=True) as secure:
                super().finish_request(secure, client_address)


def _handler(echo: Echo) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            shown = self.connection.getpeercert() if isinstance(self.connection, ssl.SSLSocket) else None
            subject: Any = (shown or {}).get("subject", ())
            names = {key: value for part in subject for key, value in part}
            acts = sorted((name.lower(), value) for name, value in self.headers.items() if name.lower().startswith("impersonate-"))
            echo.seen.append(
                Seen(
                    authorization := self.headers.get("Authorization", ""),
                    tuple(acts),
                    names.get("commonName", ""),
                    self.path.split("/api", maxsplit=1)[0],
                    self.client_address[1] in echo.tunnels,
                )
            )
            status = 404 if not echo.accepts or authorization == f"Bearer {echo.accepts}" else 401
            body = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": status, "message": "nothing"}).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def _forward(listener: socket.socket, echo: Echo) -> None:
    while True:
        try:
            client = listener.accept()[0]
        except OSError:
            return
        threading.Thread(target=_tunnel, args=(client, echo), daemon=True).start()


def _tunnel(client: socket.socket, echo: Echo) -> None:
    """CONNECT (RFC 9110 section 9.3.6)."""
    client.settimeout(20)
    with client, suppress(OSError, ValueError, IndexError):
        host, port = client.recv(65536).split()[1].decode().rsplit(":", 1)
        with socket.create_connection((host, int(port)), timeout=20) as server:
            echo.tunnels.add(server.getsockname()[1])
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
