"""The place of the measurements: one API server for all teams, with an audit log of each request, and namespaces on it."""

import contextlib
import json
import tempfile
import threading
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse, HTTPSConnection
from pathlib import Path
from typing import Any

from tests.apiserver.conftest import Field, shipped
from tests.apiserver.server import ApiServer
from tests.apiserver.sidecar_process import boottime_ns
from tests.bench.interpreters import Interpreter


@dataclass
class Ground:
    """The API server, and the Python that all that is Python runs in."""

    server: ApiServer
    interpreter: Interpreter
    folder: Path

    def field(self) -> Field:
        """A new namespace with the shipped Lease, empty."""
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        made = Field(self.server, self.server.namespace(), folder)
        made.apply_lease()
        return made

    def user(self, where: Field, role: dict[str, Any] | None = None) -> tuple[str, str]:
        """A user with the shipped Role there, or with `role`: its name and its token."""
        user, token = self.server.user()
        self.server.bind(where.namespace, user, role or shipped("base/role.yaml"))
        return user, token


@contextmanager
def ground(interpreter: Interpreter) -> Iterator[Ground]:
    """A kube-apiserver and an etcd for as long as this lasts. Raises BinariesUnavailableError."""
    server = ApiServer(audit=True)
    with tempfile.TemporaryDirectory(prefix="leader-sidecar-bench-") as folder:
        try:
            yield Ground(server.start(), interpreter, Path(folder))
        finally:
            server.stop()


class Requests:
    """What reached the API server about Leases since this was made, by user and verb, from its audit log."""

    def __init__(self, server: ApiServer) -> None:
        self._log = server.audit_log
        self._from = self._log.stat().st_size if self._log.exists() else 0

    def lines(self) -> Iterator[dict[str, Any]]:
        """Each request once: a watch when it begins, any other when it is answered."""
        with self._log.open("rb") as log:
            log.seek(self._from)
            for line in log:
                if line.endswith(b"\n"):
                    entry = json.loads(line)
                    if (entry["stage"] == "ResponseStarted") == (entry["verb"] == "watch"):
                        yield entry

    def by_verb(self, users: Iterable[str]) -> Counter[str]:
        """Of these users together."""
        wanted = set(users)
        return Counter(entry["verb"] for entry in self.lines() if entry["user"]["username"] in wanted)


@dataclass
class Sighting:
    """The newest renewal of a holder, and when a watch showed it (CLOCK_BOOTTIME)."""

    seen_ns: int
    renewed: str


@dataclass
class LeaseWatch:
    """Watches one namespace's Lease as a follower does: when it saw each holder's last renewal."""

    server: ApiServer
    namespace: str
    last: dict[str, Sighting] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._opened = threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()
        assert self._opened.wait(20), "the bench's own watch does not open"

    def _watch(self) -> None:
        connection = HTTPSConnection("127.0.0.1", self.server.port, context=self.server.ssl)
        path = f"/apis/coordination.k8s.io/v1/namespaces/{self.namespace}/leases?watch=1&timeoutSeconds=86400"
        connection.request("GET", path, headers={"Authorization": f"Bearer {self.server._admin_token}"})
        response = connection.getresponse()
        self._opened.set()
        with contextlib.suppress(OSError, HTTPException):  # the API server ends before this does
            self._read(response)
        connection.close()

    def _read(self, response: HTTPResponse) -> None:
        while line := response.readline():
            spec = json.loads(line)["object"].get("spec", {})
            holder, renewed = spec.get("holderIdentity"), str(spec.get("renewTime"))
            if holder and (holder not in self.last or self.last[holder].renewed != renewed):
                self.last[holder] = Sighting(boottime_ns(), renewed)
