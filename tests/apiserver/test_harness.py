"""The ground that the other tests stand on does what it says: the API server, its faults, the proxy, the Go candidate."""

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from tests.apiserver.conftest import Field, shipped
from tests.apiserver.go_candidate import ROLE, GoCandidate
from tests.apiserver.proxy import FaultProxy, Mode
from tests.apiserver.server import ApiServer
from tests.apiserver.sidecar_process import ROOT, boottime_ns, until

LEASES = "/apis/coordination.k8s.io/v1/namespaces/{}/leases"


# The API server


def as_user(server: ApiServer, token: str, method: str, path: str) -> int:
    """The status that this user gets."""
    request = urllib.request.Request(
        f"https://127.0.0.1:{server.port}{path}",
        method=method,
        data=b"{}" if method in {"PATCH", "POST"} else None,
        headers={
            "Authorization": f"Bearer {token}",
            "Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json",
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=10, context=server.ssl) as answer:  # noqa: S310
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return int(error.code)


def test_a_write_on_a_stale_version_is_refused_and_changes_nothing(ground: Field) -> None:
    """The compare-and-swap that every rule of the election stands on: 409."""
    server, namespace = ground.server, ground.namespace
    stale = ground.lease()["metadata"]["resourceVersion"]
    server.patch_lease(namespace, {"spec": {"holderIdentity": "first"}, "metadata": {"resourceVersion": stale}})
    second = {"spec": {"holderIdentity": "second"}, "metadata": {"resourceVersion": stale}}
    status, _ = server.request("PATCH", f"{LEASES.format(namespace)}/web", second, "application/merge-patch+json")
    assert status == 409
    assert ground.lease()["spec"]["holderIdentity"] == "first"


def test_a_stopped_api_server_answers_nothing_and_then_goes_on(ground: Field) -> None:
    """The connection is accepted, no answer comes; after SIGCONT all is as it was."""
    before = ground.lease()
    ground.server.pause()
    try:
        with pytest.raises(OSError, match="timed out"):
            ground.server.request("GET", "/readyz", limit_seconds=1)
    finally:
        ground.server.resume()
    assert ground.lease() == before


def test_a_killed_api_server_refuses_and_comes_back_with_its_data(ground: Field) -> None:
    """On the same port, with the same objects, versions and tokens."""
    before = ground.lease()
    ground.server.kill_apiserver()
    try:
        with pytest.raises(urllib.error.URLError, match="refused"):
            ground.server.request("GET", "/readyz", limit_seconds=1)
    finally:
        ground.server.start_apiserver()
    assert ground.lease() == before


def test_its_certificate_is_verified(apiserver: ApiServer) -> None:
    """Who trusts another CA gets no connection."""
    stranger = ssl.create_default_context(cadata=trustme.CA().cert_pem.bytes().decode())
    with socket.create_connection(("127.0.0.1", apiserver.port), timeout=5) as plain, pytest.raises(ssl.SSLCertVerificationError):
        stranger.wrap_socket(plain, server_hostname="127.0.0.1")


def test_a_user_may_do_what_the_shipped_role_says_and_nothing_else(ground: Field) -> None:
    """RBAC is real: 403 before the binding, then get and patch of the one Lease; no list, create, update, delete, no other Lease."""
    user, token = ground.server.user()
    path = LEASES.format(ground.namespace)
    assert as_user(ground.server, token, "GET", f"{path}/web") == 403
    ground.server.bind(ground.namespace, user, shipped("base/role.yaml"))
    until(lambda: as_user(ground.server, token, "GET", f"{path}/web") == 200, within_seconds=5)
    assert as_user(ground.server, token, "PATCH", f"{path}/web") == 200
    refused = [("GET", path), ("POST", path), ("PUT", f"{path}/web"), ("DELETE", f"{path}/web"), ("GET", f"{path}/other")]
    assert {(method, where): as_user(ground.server, token, method, where) for method, where in refused} == dict.fromkeys(refused, 403)
    assert as_user(ground.server, "no token of this server's", "GET", f"{path}/web") == 401


# The proxy


@contextlib.contextmanager
def echo() -> Iterator[tuple[int, bytearray]]:
    """A server that says back what it hears, and what it has heard."""
    heard = bytearray()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            while data := connection.recv(65536):
                heard.extend(data)
                connection.sendall(data)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield listener.getsockname()[1], heard
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(5)


class Line:
    """A proxy before an echo, and a client connected through it."""

    def __init__(self, proxy: FaultProxy, heard: bytearray) -> None:
        self.proxy = proxy
        self.heard = heard
        self.client = self.connect()

    def connect(self) -> socket.socket:
        """One more connection."""
        return socket.create_connection(("127.0.0.1", self.proxy.port), timeout=5)

    def say(self, data: bytes) -> None:
        """Send."""
        self.client.sendall(data)

    def hears(self, within_seconds: float = 5) -> bytes:
        """What comes next; TimeoutError where nothing does."""
        self.client.settimeout(within_seconds)
        return self.client.recv(65536)


@pytest.fixture
def line() -> Iterator[Line]:
    """Through a proxy that lets everything pass, as yet."""
    with echo() as (port, heard):
        proxy = FaultProxy(port).start()
        made = Line(proxy, heard)
        try:
            made.say(b"hello")
            assert made.hears() == b"hello"
            yield made
        finally:
            made.client.close()
            proxy.stop()


def test_slow_replies_come_late_whole_and_in_order(line: Line) -> None:
    """Neither earlier than the delay nor mixed up; and the request was not slow."""
    line.proxy.slow(0.5)
    began_ns = boottime_ns()
    for number in range(10):
        line.say(b"%d" % number)
    until(lambda: line.heard.endswith(b"0123456789"), within_seconds=0.4, message="the server hears at once")
    got = line.hears()
    assert boottime_ns() - began_ns >= 0.5e9
    while len(got) < 10:
        got += line.hears()
    assert got == b"0123456789"


def test_lost_replies_mean_that_the_request_arrived(line: Line) -> None:
    """The outcome is unknown to the client alone; the connection stays open."""
    line.proxy.mode = Mode.LOSE_REPLIES
    line.say(b"renew")
    until(lambda: line.heard.endswith(b"renew"), within_seconds=5)
    with pytest.raises(TimeoutError):
        line.hears(0.3)


def test_a_black_hole_takes_everything_and_closes_nothing(line: Line) -> None:
    """Nothing arrives, nothing is answered, nothing ends."""
    line.proxy.mode = Mode.BLACK_HOLE
    line.say(b"renew")
    with pytest.raises(TimeoutError):
        line.hears(0.3)
    assert line.heard == b"hello"


def test_held_requests_arrive_later_though_their_sender_has_gone(line: Line) -> None:
    """A late write: what was sent before the client closed is delivered when the hold ends."""
    line.proxy.mode = Mode.HOLD_REQUESTS
    line.say(b"late write")
    line.client.close()
    with line.connect() as other:
        other.settimeout(0.3)
        with pytest.raises(TimeoutError):
            other.recv(1)
    assert line.heard == b"hello"
    line.proxy.heal()
    until(lambda: line.heard.endswith(b"late write"), within_seconds=5)


def test_a_proxy_that_refuses_resets_and_takes_up_its_port_again(line: Line) -> None:
    """The open connection breaks, a new one is refused, and `accept_again` is all that it takes."""
    line.proxy.refuse()
    with contextlib.suppress(ConnectionError):
        assert line.hears() == b""
    with pytest.raises(ConnectionRefusedError):
        line.connect()
    line.proxy.accept_again()
    with line.connect() as again:
        again.sendall(b"again")
        assert again.recv(100) == b"again"


@pytest.mark.parametrize("parts", [1, 2], ids=["at once", "head and body apart"])
def test_a_late_write_lands_though_its_sender_has_said_goodbye(ground: Field, parts: int) -> None:
    """Through TLS, on the real API server, every time: it drops a request whose client is seen to have gone before it is done."""
    server, path = ground.server, f"{LEASES.format(ground.namespace)}/web"
    user, token = server.user()
    server.bind(ground.namespace, user, shipped("base/role.yaml"))
    until(lambda: as_user(server, token, "GET", path) == 200, within_seconds=5)
    for number in range(5):
        body = json.dumps({"spec": {"holderIdentity": f"late-{number}"}}).encode()
        head = f"PATCH {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        head += f"Content-Type: application/merge-patch+json\r\nContent-Length: {len(body)}\r\n\r\n"
        proxy = FaultProxy(server.port).start()
        try:
            plain = socket.create_connection(("127.0.0.1", proxy.port), timeout=5)
            with server.ssl.wrap_socket(plain, server_hostname="127.0.0.1") as client:
                proxy.mode = Mode.HOLD_REQUESTS
                for part in [head.encode() + body] if parts == 1 else [head.encode(), body]:
                    client.sendall(part)
                client.settimeout(0.1)
                with contextlib.suppress(OSError):
                    client.recv(1)  # its patience
                with contextlib.suppress(OSError):
                    client.unwrap()  # close_notify, as aiohttp sends it
            assert ground.lease()["spec"].get("holderIdentity") != f"late-{number}"
            proxy.heal()
            until(lambda number=number: ground.lease()["spec"].get("holderIdentity") == f"late-{number}", within_seconds=5)  # type: ignore[misc]
        finally:
            proxy.stop()


# Without it


@pytest.mark.parametrize("environment", ["laptop", "CI"])
def test_no_api_server_is_a_loud_skip_and_under_ci_a_failure(environment: str, tmp_path: Path) -> None:
    """Nothing is tested then, and nobody may take that for green."""
    variables = os.environ | {"KUBEBUILDER_ASSETS": str(tmp_path), "CI": "true" if environment == "CI" else ""}
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", "certificate", str(Path(__file__).relative_to(ROOT))]
    run = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)
    assert "NO REAL API SERVER" in run.stdout, run.stdout
    assert "holds no kube-apiserver" in run.stdout
    assert run.returncode == (1 if environment == "CI" else 0), run.stdout
    assert ("1 error" if environment == "CI" else "1 skipped") in run.stdout


# The Go candidate


def go_candidate(ground: Field, identity: str, tmp_path: Path) -> GoCandidate:
    """One with short times and the rights that client-go needs."""
    user, token = ground.server.user()
    ground.server.bind(ground.namespace, user, ROLE)
    kubeconfig = ground.server.kubeconfig(token, tmp_path / f"{identity}.kubeconfig")
    return GoCandidate(
        identity, kubeconfig, ground.namespace, tmp_path, lease_duration_seconds=3, renew_deadline_seconds=2, retry_period_seconds=0.5
    )


def test_a_go_candidate_leads_renews_and_releases(ground: Field, tmp_path: Path) -> None:
    """client-go takes the empty shipped Lease; at SIGTERM it gives it back and the next one takes it. What it says is on CLOCK_BOOTTIME."""
    began_ns = boottime_ns()
    with go_candidate(ground, "go-0", tmp_path) as first:
        until(first.leads, within_seconds=10, message=first.log)
        assert ground.lease()["spec"]["holderIdentity"] == "go-0"
        renewed = ground.lease()["spec"]["renewTime"]
        until(lambda: ground.lease()["spec"]["renewTime"] != renewed, within_seconds=5)
        with go_candidate(ground, "go-1", tmp_path) as second:
            until(lambda: any(event["identity"] == "go-0" for event in second.events()), within_seconds=10, message=second.log)
            assert not second.leads()
            assert first.terminate() == 0
            assert not first.leads()
            until(second.leads, within_seconds=10, message=second.log)
            stopped, started = first.events()[-1], next(event for event in second.events() if event["event"] == "started-leading")
            assert began_ns < stopped["boottime_ns"] < started["boottime_ns"] < boottime_ns()
            assert ground.lease()["spec"]["holderIdentity"] == "go-1"
