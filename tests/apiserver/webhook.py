"""An admission webhook on loopback: it changes what is written to the Leases of one namespace, or is down; the API server is a real one."""

import base64
import contextlib
import copy
import json
import ssl
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final, Self

import trustme

from tests.apiserver.ports import free_port
from tests.apiserver.server import JSON, ApiServer
from tests.apiserver.sidecar_process import boottime_ns, until

Change = Callable[[JSON], None]
"""Changes a Lease in place, as it is about to be stored."""

_REGISTRATIONS: Final = "/apis/admissionregistration.k8s.io/v1"
_PROBE: Final = {"metadata": {"labels": {"webhook.test/probe": "sent"}}}


def nothing(lease: JSON) -> None:
    """Let it be stored as it was written."""


def duration(seconds: int) -> Change:
    """Store this leaseDurationSeconds, where one was written."""

    def change(lease: JSON) -> None:
        if lease["spec"].get("leaseDurationSeconds"):
            lease["spec"]["leaseDurationSeconds"] = seconds

    return change


def rounded(digits: int) -> Change:
    """Round both times down to so many digits of a second, and write six, as the API server wants them; never are they as they were."""
    unit_us = 10 ** (6 - digits)

    def change(lease: JSON) -> None:
        for name in ("acquireTime", "renewTime"):
            if written := lease["spec"].get(name):
                rest_us = int(written[-7:-1]) % unit_us
                lease["spec"][name] = f"{written[:-7]}{int(written[-7:-1]) - rest_us if rest_us else 1:06}Z"

    return change


def held_by(identity: str) -> Change:
    """Store another holder, where one was written."""

    def change(lease: JSON) -> None:
        if lease["spec"].get("holderIdentity"):
            lease["spec"]["holderIdentity"] = identity

    return change


def unmarked(lease: JSON) -> None:
    """Take every annotation of the sidecars' away."""
    annotations = lease["metadata"].get("annotations") or {}
    lease["metadata"]["annotations"] = {name: value for name, value in annotations.items() if not name.startswith("leader-sidecar/")}


def marked(lease: JSON) -> None:
    """Add an annotation, a label and a field of somebody else's, another value with each write."""
    value = f"at-{boottime_ns()}"
    lease["metadata"].setdefault("annotations", {})["webhook.test/mark"] = value
    lease["metadata"].setdefault("labels", {})["webhook.test/mark"] = value
    lease["metadata"]["finalizers"] = ["webhook.test/mark"]


class Webhook:
    """A webhook for the Leases of one namespace, registered with failurePolicy Fail; in force as soon as the context is entered.

    A mutating one changes them as `change` says, which may be set at any time; a validating one allows everything. Either may be `down`.
    """

    def __init__(self, server: ApiServer, namespace: str, change: Change = nothing, *, validating: bool = False) -> None:
        self.change = change
        self.written_ns: list[int] = []
        """When each write came by, dry runs aside (CLOCK_BOOTTIME)."""
        self.dry_runs = 0
        self._server, self._namespace, self._validating = server, namespace, validating
        self._port = free_port()
        authority = trustme.CA()
        self._authority_pem = authority.cert_pem.bytes()
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(self._context)
        self._http: _Server | None = None

    def __enter__(self) -> Self:
        self._listen()
        kind = "Validating" if self._validating else "Mutating"
        body = {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": f"{kind}WebhookConfiguration",
            "metadata": {"name": self._namespace},
            "webhooks": [self._registration()],
        }
        status, found = self._server.request("POST", self._registered, body)
        assert status == 201, found
        self._wait(self._is_asked, "it is asked")
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Take it away; the next write is stored as it is."""
        status, _ = self._server.request("DELETE", f"{self._registered}/{self._namespace}")
        if status == 200:
            self._wait(lambda: self._probe() == 200 and not self._is_asked(), "it is asked no more")
        self._close()

    def down(self) -> None:
        """Nothing listens: every write is refused."""
        self._close()
        self._wait(lambda: self._probe() == 500, "writes are refused")

    def up(self) -> None:
        """Listen again."""
        self._listen()
        self._wait(self._is_asked, "it is asked again")

    @property
    def _registered(self) -> str:
        return f"{_REGISTRATIONS}/{'validating' if self._validating else 'mutating'}webhookconfigurations"

    def _registration(self) -> JSON:
        authority = base64.b64encode(self._authority_pem).decode()
        leases = {"apiGroups": ["coordination.k8s.io"], "apiVersions": ["v1"], "resources": ["leases"], "operations": ["CREATE", "UPDATE"]}
        return {
            "name": "leases.webhook.test",
            "clientConfig": {"url": f"https://127.0.0.1:{self._port}/", "caBundle": authority},
            "rules": [leases],
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": self._namespace}},
            "failurePolicy": "Fail",
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }

    def _probe(self) -> int:
        """The status of a write that is a dry run."""
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self._namespace}/leases/web?dryRun=All"
        return self._server.request("PATCH", path, _PROBE, "application/merge-patch+json")[0]

    def _is_asked(self) -> bool:
        before = self.dry_runs
        return self._probe() == 200 and self.dry_runs > before

    def _wait(self, what: Callable[[], bool], message: str) -> None:
        until(what, within_seconds=20, every_seconds=0.05, message=f"the webhook of {self._namespace}: {message}")

    def _listen(self) -> None:
        self._http = http = _Server(self, self._port)
        # The handshake is the handler's, so that one slow client keeps no other waiting.
        http.socket = self._context.wrap_socket(http.socket, server_side=True, do_handshake_on_connect=False)
        threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def _close(self) -> None:
        if self._http is not None:
            self._http.shutdown()
            self._http.socket.close()
            self._http = None

    def review(self, request: JSON) -> JSON:
        """The response to an AdmissionReview's request (admission.k8s.io/v1)."""
        answer: JSON = {"uid": request["uid"], "allowed": True}
        if request.get("dryRun"):
            self.dry_runs += 1
        else:
            self.written_ns.append(boottime_ns())
        if not self._validating:
            lease = copy.deepcopy(request["object"])
            self.change(lease)
            patch = [{"op": "add", "path": f"/{part}", "value": lease[part]} for part in ("metadata", "spec")]
            answer |= {"patchType": "JSONPatch", "patch": base64.b64encode(json.dumps(patch).encode()).decode()}
        return answer


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, webhook: Webhook, port: int) -> None:
        self.webhook = webhook
        super().__init__(("127.0.0.1", port), _Handler)

    def handle_error(self, *_: Any) -> None:
        """A client that goes away in the middle is no news."""


class _Handler(BaseHTTPRequestHandler):
    """HTTP/1.0: each answer ends its connection, so that none is left open when it is down."""

    server: _Server

    def do_POST(self) -> None:
        """One AdmissionReview."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        review = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": self.server.webhook.review(asked["request"])}
        body = json.dumps(review).encode()
        with contextlib.suppress(OSError):
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing: what came is counted."""
