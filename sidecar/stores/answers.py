"""What the API server's answers mean: HTTP status and body -> the typed outcomes of `protocol`. Total: any answer gives an outcome.

Statuses and the Status object: Kubernetes API conventions, "HTTP Status codes" and "Response Status Kind".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

from sidecar.lease import JSON, Record, parse
from sidecar.stores.credentials import one_line
from sidecar.stores.protocol import Busy, Conflict, Denied, Done, Missing, Outcome, Unknown

OK: Final = 200
CREATED: Final = 201
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
CONFLICT: Final = 409
TOO_MANY_REQUESTS: Final = 429
NOT_VALID: Final = frozenset({400, 405, 413, 415, 422})
"""Statuses of a request that is not valid, so nothing was written."""
LEASES: Final = "leases.coordination.k8s.io"
NO_RIGHT: Final = " cannot create resource "
"""The API server's words where no authorizer allows a create; an admission policy that refuses a create has other words."""
CURE: Final = (
    "the Lease is missing: apply it, or add the right to create it, k8s/components/create (Argo CD, for one, leaves Leases out by default)"
)

LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0
"""A longer Retry-After is cut to this: a follower that obeyed it would be gone for good."""


@dataclass(frozen=True, slots=True)
class Target:
    """The object of a request: the one Lease of a store, or another one."""

    namespace: str
    name: str
    """"" where RBAC looks at no name (a create)."""
    resource: str = LEASES
    """Resource and group, as in a Role."""

    def asked(self, verb: str) -> str:
        """The request in RBAC's words: what a Role must allow."""
        name = f' "{self.name}"' if self.name else ""
        return f'verb {verb} on {self.resource}{name} in namespace "{self.namespace}"'


MAX_REASON_CHARS: Final = 400
"""Room for an admission policy's refusal, which names the policy, its binding and what is wrong."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def reason(self) -> str:
        """The server's words: a Status object's message, else the beginning of the body."""
        found = decode(self.body)
        message = found.get("message") if isinstance(found, dict) else None
        text = one_line(message if isinstance(message, str) else self.body[:2048].decode(errors="replace"), MAX_REASON_CHARS)
        return f"HTTP {self.status}: {text}" if text else f"HTTP {self.status}"


def outcome(target: Target, verb: str, answer: Answer) -> Outcome:
    """What became of the request, by its answer."""
    if answer.status in (OK, CREATED):
        record = lease(decode(answer.body), target)
        return Done(record) if record is not None else Unknown(one_line(f"{verb}: the answer is not this Lease: {answer.reason}"))
    if answer.status == NOT_FOUND and verb != "create":
        return Missing()
    if answer.status == CONFLICT:
        return Conflict()
    return refusal(target, verb, answer)


def refusal(target: Target, verb: str, answer: Answer) -> Denied | Busy | Unknown:
    """What an answer other than success, 404 and 409 means."""
    match answer.status:
        case 401:
            return Denied(f"the API server does not accept the credentials for {target.asked(verb)}: {answer.reason}")
        case 403:
            cure = f"{CURE}: " if verb == "create" and target.resource == LEASES and NO_RIGHT in answer.reason else ""
            return Denied(f"not allowed: {target.asked(verb)}: {cure}{answer.reason}")
        case 404:
            return Denied(f'cannot create the Lease: the namespace "{target.namespace}" is not there: {answer.reason}')
        case 429:
            return Busy(retry_after_seconds(answer.headers))
        case status if status in NOT_VALID:
            return Denied(f"the API server refuses it as not valid: {verb}: {answer.reason}")
    return Unknown(f"{verb}: {answer.reason}")


def lease(found: object, target: Target) -> Record | None:
    """The record in `found`, if `found` is the target Lease at some version; else None."""
    metadata = found.get("metadata") if isinstance(found, dict) and found.get("kind") == "Lease" else None
    if not isinstance(metadata, dict) or metadata.get("name") != target.name:
        return None
    version = metadata.get("resourceVersion")
    return parse(found) if isinstance(version, str) and version else None


def decode(body: bytes | bytearray) -> Any:
    """The JSON value in `body`; None where it is no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def retry_after_seconds(headers: Mapping[str, str]) -> float:
    """Retry-After (RFC 9110 section 10.2.3) in seconds; 0 where it is absent or junk.

    A date is compared with the server's own Date: no decision looks at the local wall clock.
    """
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:20]), LONGEST_RETRY_AFTER_SECONDS)
    try:
        wait = (parsedate_to_datetime(text) - parsedate_to_datetime(headers.get("Date", ""))).total_seconds()
    except (ValueError, TypeError, OverflowError):
        return 0.0
    return min(max(wait, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def body_of_create(target: Target, content: JSON) -> JSON:
    """A whole Lease from `lease.merge_patch(record, None)`."""
    metadata = {**content.get("metadata", {}), "name": target.name, "namespace": target.namespace}
    return {**content, "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
