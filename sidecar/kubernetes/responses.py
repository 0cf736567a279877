"""What the API server's answers mean: HTTP status and body -> typed outcomes. Total: any answer gives an outcome.

Statuses and the Status object: Kubernetes API conventions, "HTTP Status codes" and "Response Status Kind".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, Final

from sidecar.election.record import JSON, Record, parse
from sidecar.election.store import Busy, Denied, Unknown
from sidecar.kubernetes.credentials import one_line
from sidecar.kubernetes.resource import LEASES, Resource

OK: Final = 200
CREATED: Final = 201
UNAUTHORIZED: Final = 401
FORBIDDEN: Final = 403
NOT_FOUND: Final = 404
CONFLICT: Final = 409
TOO_MANY_REQUESTS: Final = 429
NOT_VALID: Final = frozenset({400, 405, 413, 415, 422})
"""Statuses of a request that is not valid, so nothing was written."""
NO_RIGHT: Final = " cannot create resource "
"""The API server's words where no authorizer allows a create; an admission policy that refuses a create has other words."""
CURE: Final = (
    "the Lease is missing: apply it, or add the right to create it, k8s/components/create (Argo CD, for one, leaves Leases out by default)"
)

LONGEST_RETRY_AFTER_SECONDS: Final = 3600.0
"""A longer Retry-After is cut to this: a follower that obeyed it would be gone for good."""


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


@dataclass(frozen=True, slots=True)
class Received:
    """What became of the request, by its answer."""

    object: JSON
    answer: Answer


@dataclass(frozen=True, slots=True)
class NotFound:
    """HTTP 404."""

    message: str
    named: bool
    """It names what it has looked for, as an API server's own 404 does; a proxy's, or one for a wrong path, does not."""


@dataclass(frozen=True, slots=True)
class Conflicted:
    """HTTP 409: the version written on is not the newest, or what was to be created is there."""

    message: str


Refusal = NotFound | Conflicted | Denied | Busy | Unknown
Reply = Received | Refusal


def meaning(resource: Resource, verb: str, answer: Answer) -> Reply:
    """What `answer` says became of the request. Denied: nothing was written; Unknown: no telling."""
    match answer.status:
        case 200 | 201:
            found = decode(answer.body)
            return Received(found, answer) if isinstance(found, dict) else Unknown(f"the answer is no API object: {answer.reason}")
        case 404 if verb != "create":
            status = decode(answer.body)
            named = isinstance(status, dict) and status.get("reason") == "NotFound" and resource.plural in str(status.get("message"))
            return NotFound(answer.reason, named)
        case 409:
            return Conflicted(answer.reason)
    return refusal(resource, verb, answer)


def refusal(resource: Resource, verb: str, answer: Answer) -> Denied | Busy | Unknown:
    """What an answer other than success, 409, and 404 but to a create means."""
    match answer.status:
        case 401:
            return Denied(f"the API server does not accept the credentials for {resource.asked(verb)}: {answer.reason}")
        case 403:
            cure = f"{CURE}: " if verb == "create" and resource.rbac == LEASES and NO_RIGHT in answer.reason else ""
            return Denied(f"not allowed: {resource.asked(verb)}: {cure}{answer.reason}")
        case 404:
            of_a_lease = f'cannot create the Lease: the namespace "{resource.namespace}" is not there'
            return Denied(f"{of_a_lease if resource.rbac == LEASES else f'not there: {resource.asked(verb)}'}: {answer.reason}")
        case 429:
            return Busy(retry_after_seconds(answer.headers))
        case status if status in NOT_VALID:
            return Denied(f"the API server refuses it as not valid: {verb}: {answer.reason}")
    return Unknown(answer.reason)


def lease_in(found: object, resource: Resource) -> Record | None:
    """The record in `found`, if `found` is the target Lease at some version; else None."""
    metadata = found.get("metadata") if isinstance(found, dict) and found.get("kind") == "Lease" else None
    if not isinstance(metadata, dict) or metadata.get("name") != resource.name:
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


def body_of_create(resource: Resource, content: JSON) -> JSON:
    """A whole Lease from `lease.merge_patch(record, None)`."""
    metadata = {**content.get("metadata", {}), "name": resource.name, "namespace": resource.namespace}
    return {**content, "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
