"""Where forgeries are tried: a Lease under the guard in some state, two Pods' tokens, and what an honest sidecar would write there.

Requests are server dry runs: they pass authentication, RBAC, admission and validation, and nothing is stored.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from sidecar.election import requests
from sidecar.election.record import JSON, TERM_ANNOTATION, HolderPod, Record, merge_patch, parse
from sidecar.election.requests import Candidate, Held
from tests.apiserver.guarded import Guarded, made
from tests.apiserver.kustomized import MERGE, BoundPod
from tests.apiserver.server import ApiServer
from tests.support.merge_patch import merge

WIDER: JSON = {
    "apiVersion": "rbac.authorization.k8s.io/v1",
    "kind": "Role",
    "metadata": {"name": "wider"},
    "rules": [
        {"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["get", "patch", "update", "create"]},
        {
            "apiGroups": [""],
            "resources": ["pods", "pods/status", "pods/ephemeralcontainers", "pods/resize"],
            "verbs": ["get", "patch", "update"],
        },
    ],
}
"""More than any Role that is shipped, so that it is the guard that refuses."""
PLACE = "2f1d9c1c-6a3e-4d0a-9d56-0f5b2c0a7c11/4026532281"
WALL_US = 1_795_420_800_000_000
"""2026-11-23."""


def token_of(record: Record) -> int | None:
    """The token that stands there, whosever it is."""
    return record.term.token if record.term is not None else None


@dataclass
class Stage:
    """One Lease, held by web-0 unless it says otherwise; web-1 is the other Pod."""

    guarded: Guarded
    first: BoundPod
    second: BoundPod

    @property
    def server(self) -> ApiServer:
        """The API server."""
        return self.guarded.server

    @property
    def lease(self) -> JSON:
        """As it stands."""
        return self.server.lease(self.guarded.namespace) or {}

    @property
    def record(self) -> Record:
        """As a sidecar reads it."""
        return parse(self.lease)

    def candidate(self, pod: BoundPod) -> Candidate:
        """The sidecar of that Pod."""
        return Candidate(
            identity=pod.identity,
            process=pod.uid.replace("-", "")[:16],
            place=PLACE,
            lease_duration_seconds=15,
            renew_deadline_seconds=10.0,
            retry_period_seconds=2.0,
            drain_timeout_seconds=10.0,
            pod=HolderPod(pod.name, pod.uid),
        )

    def acquired(self, pod: BoundPod) -> JSON:
        """A new term of that Pod's, as its sidecar patches it."""
        return self._patch(requests.acquire(self.candidate(pod), self.record, token_of(self.record), 15, self._later_us()))

    def renewed(self, pod: BoundPod, token: int | None = None) -> JSON:
        """A renewal by that Pod; of the term with `token`, else of the one that stands there."""
        record = self.record
        held = Held(token if token is not None else record.token or 0, record.acquire_time_us or WALL_US, record.transitions, 0)
        return self._patch(requests.renew(self.candidate(pod), record, held, 15, self._later_us()))

    def released(self, pod: BoundPod, successor: str = "") -> JSON:
        """A release by that Pod."""
        return self._patch(requests.release(self.candidate(pod), self.record, None, self._later_us(), successor))

    def placeholder(self, token: int | None = None) -> JSON:
        """The body of the create where the Lease is missing."""
        body = merge_patch(requests.placeholder(self.candidate(self.second), 0, token, None, WALL_US), None)
        body["metadata"]["name"] = "web"
        return body

    def _patch(self, record: Record) -> JSON:
        return merge_patch(record, record.version)

    def _later_us(self) -> int:
        return requests.next_time_us(WALL_US, self.record, 0)

    def administer(self, patch: JSON) -> None:
        """The administrator's merge patch, which is stored."""
        self.server.patch_lease(self.guarded.namespace, patch)

    def ask(self, pod: BoundPod, body: object, kind: str = MERGE, *, method: str = "PATCH", path: str = "") -> tuple[int, JSON]:
        """A dry run with that Pod's token; of the Lease, or of `path`."""
        path = path or (pod.leases() if method == "POST" else pod.leases("web"))
        query = "&fieldManager=forger&force=true" if kind == APPLY else ""
        return self.server.request(method, f"{path}?dryRun=All{query}", body, kind, token=pod.token)

    def unbound(self) -> BoundPod:
        """The account with a token that is bound to no Pod, in the second Pod's name."""
        path = f"/api/v1/namespaces/{self.guarded.namespace}/serviceaccounts/web-leader-sidecar/token"
        status, found = self.server.request("POST", path, {"spec": {"expirationSeconds": 3600}})
        assert status == 201, found
        return replace(self.second, token=found["status"]["token"])

    def pods(self, pod: BoundPod, subresource: str = "") -> str:
        """That Pod's path."""
        return f"/api/v1/namespaces/{self.guarded.namespace}/pods/{pod.name}{subresource}"


JSON_PATCH = "application/json-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
PUT = "application/json"


def stage(server: ApiServer, folder: Path, prepare: Callable[[Stage], None] | None = None) -> Stage:
    """A new one, held by web-0; `prepare` makes another state of it."""
    guarded = made(server, folder)
    subject = {"kind": "ServiceAccount", "name": "web-leader-sidecar"}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "wider"}
    binding = WIDER | {"kind": "RoleBinding", "roleRef": reference, "subjects": [subject]}
    del binding["rules"]
    server.apply(WIDER, binding, namespace=guarded.namespace)
    found = Stage(guarded, guarded.pod("web-0"), guarded.pod("web-1"))
    status, said = found.first.patch(found.first.leases("web"), found.acquired(found.first))
    assert status == 200, said
    if prepare is not None:
        prepare(found)
    return found


# ---- what a forger makes of an honest write -----------------------------------------------------------------------------------------


def term_of(body: JSON) -> str:
    """The text of its term."""
    return str(body["metadata"]["annotations"][TERM_ANNOTATION])


def with_term(body: JSON, text: str | None) -> JSON:
    """With another text for its term."""
    return with_annotations(body, **{TERM_ANNOTATION: text})


def with_annotations(body: JSON, **annotations: str | None) -> JSON:
    """With those annotations as well."""
    metadata = body["metadata"]
    return body | {"metadata": metadata | {"annotations": metadata.get("annotations", {}) | annotations}}


def with_spec(body: JSON, **spec: Any) -> JSON:
    """With those fields of the spec."""
    return body | {"spec": body.get("spec", {}) | spec}


def with_metadata(body: JSON, **metadata: Any) -> JSON:
    """With those fields of the metadata."""
    return body | {"metadata": body["metadata"] | metadata}


def with_token(body: JSON, text: str) -> JSON:
    """With that text where the fencing token stands."""
    head, found, rest = term_of(body).partition('"token":')
    return with_term(body, head + found + text + rest[rest.index(",") :])


def unconditional(body: JSON) -> JSON:
    """Without a resourceVersion."""
    return body | {"metadata": {key: value for key, value in body["metadata"].items() if key != "resourceVersion"}}


def as_object(body: JSON, lease: JSON) -> JSON:
    """The whole Lease that a merge patch makes of `lease`, for a PUT."""
    merged = merge(lease, body)
    assert isinstance(merged, dict)
    return merged


def left_by_client_go(there: Stage) -> None:
    """A client-go program took the Lease over: it leaves the annotation as it is."""
    spec = {"holderIdentity": "client-go_1", "leaseDurationSeconds": 15, "leaseTransitions": 1, "renewTime": "2026-11-23T09:00:00.000000Z"}
    there.administer({"spec": spec})


def emptied(there: Stage) -> None:
    """An administrator has taken holder and annotations away, of a Lease that had been held."""
    spec = dict.fromkeys(("holderIdentity", "leaseDurationSeconds", "acquireTime", "renewTime", "leaseTransitions"))
    there.administer({"metadata": {"annotations": None}, "spec": spec})


def behind_a_placeholder(there: Stage) -> None:
    """It was deleted, and web-1 has made it anew."""
    token = token_of(there.record)
    there.server.delete_lease(there.guarded.namespace)
    body = merge_patch(requests.placeholder(there.candidate(there.second), 0, token, None, WALL_US), None)
    status, found = there.server.request("POST", there.second.leases(), with_metadata(body, name="web"), token=there.second.token)
    assert status == 201, found


def missing(there: Stage) -> None:
    """Deleted."""
    there.server.delete_lease(there.guarded.namespace)


def released(there: Stage) -> None:
    """By its holder."""
    assert there.first.patch(there.first.leases("web"), there.released(there.first)) == (200, "")


def unknown_token(there: Stage) -> None:
    """Somebody has made junk of the token."""
    assert there.record.term is not None
    there.administer(with_term({"metadata": {}}, replace(there.record.term, token=None).to_json()))
