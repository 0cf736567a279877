"""The API server as the yielding sidecar sees it, in memory on virtual time: objects by path, the electors' Lease, refusals by verb."""

import asyncio
import json
from collections import Counter
from datetime import datetime, timedelta
from email.utils import format_datetime
from typing import Any
from urllib.parse import parse_qs, urlsplit

from sidecar.election.store import Unknown
from sidecar.kubernetes.client import Client
from sidecar.kubernetes.responses import Answer
from sidecar.local.validation import merged
from tests.simulation.memory_store import WAY_SECONDS, MemoryLease
from tests.support.workloads import JSON, NOW

PLURALS = {
    "Pod": "/api/v1/namespaces/shop/pods",
    **{
        kind: f"/apis/apps/v1/namespaces/shop/{kind.lower()}s"
        for kind in ("ReplicaSet", "Deployment", "StatefulSet", "DaemonSet", "ControllerRevision")
    },
}
LEASE = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/web"


class Cluster(Client):
    """Who asks here gets what a test has put."""

    def __init__(self, lease: MemoryLease) -> None:
        self.lease = lease
        self.objects: dict[str, JSON] = {}
        self.asked: list[tuple[float, str, str]] = []
        """When, the verb, and the resource."""
        self.refused: dict[tuple[str, str], int] = {}
        """(verb, resource) -> status."""
        self.date: str | None = ""
        """The header, where it is not the present moment."""

    def put(self, *objects: JSON) -> None:
        """Create or replace."""
        for one in objects:
            self.objects[f"{PLURALS[one['kind']]}/{one['metadata']['name']}"] = one

    def verbs(self) -> Counter[tuple[str, str]]:
        """What was asked for, and how often."""
        return Counter((verb, resource) for _, verb, resource in self.asked)

    @staticmethod
    def now() -> datetime:
        """Its clock."""
        return NOW + timedelta(seconds=asyncio.get_running_loop().time())

    @property
    def trouble(self) -> str:
        """Nothing is wrong with the credentials."""
        return ""

    async def exchange(
        self,
        method: str,
        path: str,
        body: JSON | None,
        *,
        content_type: str,  # noqa: ARG002 - it always answers
        limit_seconds: float | None,  # noqa: ARG002
    ) -> Answer | Unknown:
        """As `Client.exchange`."""
        url = urlsplit(path)
        listing = url.path in PLURALS.values()
        verb = "list" if listing else {"GET": "get", "PATCH": "patch"}[method]
        resource = url.path.split("/")[-1 if listing else -2]
        self.asked.append((asyncio.get_running_loop().time(), verb, resource))
        await asyncio.sleep(WAY_SECONDS)
        status, found = self.refused.get((verb, resource), 200), None
        if status == 200 and url.path == LEASE:
            status, found = self._lease(body)
        elif status == 200 and listing:
            found = self._list(url.path, parse_qs(url.query)["labelSelector"][0])
        elif status == 200:
            found = self.objects.get(url.path)
            status = 200 if found is not None else 404
        answer = found if found is not None else {"kind": "Status", "message": "no", "code": status}
        date = self.date if self.date != "" else format_datetime(self.now(), usegmt=True)
        again = {"Retry-After": "3600"} if status == 429 else {}
        return Answer(status, again | ({"Date": date} if date is not None else {}), json.dumps(answer).encode())

    def _lease(self, body: JSON | None) -> tuple[int, JSON | None]:
        lease = self.lease.lease
        if lease is None:
            return 404, None
        if body is not None:
            if body["metadata"]["resourceVersion"] != str(self.lease.version):
                return 409, None
            self.lease.put(merged(lease, body))
            lease = self.lease.lease or {}
        return 200, {"kind": "Lease", **lease, "metadata": {**lease.get("metadata", {}), "resourceVersion": str(self.lease.version)}}

    def _list(self, path: str, selector: str) -> JSON:
        wanted = [term.partition("!=" if "!=" in term else "=") for term in selector.split(",")]

        def fits(one: Any) -> bool:
            labels = one["metadata"]["labels"]
            return all((labels.get(key) == value) is (sign == "=") for key, sign, value in wanted)

        return {"items": [one for where, one in self.objects.items() if where.rpartition("/")[0] == path and fits(one)]}
