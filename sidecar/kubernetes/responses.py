"""What an answer of the API server means: HTTP status and body become a typed outcome. Every answer, even junk, gives an outcome.

Statuses and the Status object: Kubernetes API conventions, "HTTP Status codes" and "Response Status Kind".
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, Final

from sidecar.election.record import JSON, MAX_DURATION_SECONDS, Record, parse
from sidecar.election.store import Busy, Denied, Unknown
from sidecar.kubernetes.credentials import one_line
from sidecar.kubernetes.resource import LEASES, Resource

NOT_VALID: Final = frozenset({
    HTTPStatus.BAD_REQUEST, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    HTTPStatus.UNPROCESSABLE_ENTITY,
})  # fmt: skip
"""Statuses of a request that is not valid: nothing was written."""
NO_RIGHT: Final = " cannot create resource "
"""The API server's words where no authorizer allows a create. An admission policy that denies a create has other words."""
CURE: Final = (
    "the Lease is missing: apply it, or grant the right to create it with k8s/components/create (Argo CD applies no Leases by default)"
)

LONGEST_RETRY_AFTER_SECONDS: Final = float(MAX_DURATION_SECONDS)
"""A longer Retry-After is cut to this: a follower that obeyed it would never contend again."""

MAX_REASON_CHARS: Final = 400
"""The most characters of the server's reason: an admission policy's denial names the policy, its binding and the fault."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer with its whole body."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def reason(self) -> str:
        """The server's reason: the message of a Status object, else the beginning of the body."""
        found = decode(self.body)
        message = found.get("message") if isinstance(found, dict) else None
        text = one_line(message if isinstance(message, str) else self.body[:2048].decode(errors="replace"), MAX_REASON_CHARS)
        return f"HTTP {self.status}: {text}" if text else f"HTTP {self.status}"


@dataclass(frozen=True, slots=True)
class Received:
    """HTTP 200 or 201 with an object."""

    object: JSON
    answer: Answer


@dataclass(frozen=True, slots=True)
class NotFound:
    """HTTP 404."""

    message: str
    named: bool
    """Whether the answer names the kind that was asked for, as the API server's own 404 does; a proxy's 404 does not."""


@dataclass(frozen=True, slots=True)
class Conflicted:
    """HTTP 409: the resourceVersion in the request is not the newest, or the object to be created exists already."""

    message: str


Refusal = NotFound | Conflicted | Denied | Busy | Unknown
Reply = Received | Refusal


def meaning(resource: Resource, verb: str, answer: Answer) -> Reply:
    """The outcome of a request, by its answer. Denied: nothing was written. Unknown: the request may have been carried out."""
    match answer.status:
        case HTTPStatus.OK | HTTPStatus.CREATED:
            found = decode(answer.body)
            return Received(found, answer) if isinstance(found, dict) else Unknown(f"the answer is no API object: {answer.reason}")
        case HTTPStatus.NOT_FOUND if verb != "create":
            status = decode(answer.body)
            named = isinstance(status, dict) and status.get("reason") == "NotFound" and resource.plural in str(status.get("message"))
            return NotFound(answer.reason, named)
        case HTTPStatus.CONFLICT:
            return Conflicted(answer.reason)
    return refusal(resource, verb, answer)


def refusal(resource: Resource, verb: str, answer: Answer) -> Denied | Busy | Unknown:
    """The outcome of a request that failed, except for HTTP 409, and for 404 to anything but a create."""
    match answer.status:
        case HTTPStatus.UNAUTHORIZED:
            return Denied(f"the API server does not accept the credentials for {resource.asked(verb)}: {answer.reason}")
        case HTTPStatus.FORBIDDEN:
            cure = f"{CURE}: " if verb == "create" and resource.rbac == LEASES and NO_RIGHT in answer.reason else ""
            return Denied(f"not allowed: {resource.asked(verb)}: {cure}{answer.reason}")
        case HTTPStatus.NOT_FOUND:
            of_a_lease = f'cannot create the Lease: the namespace "{resource.namespace}" does not exist'
            return Denied(f"{of_a_lease if resource.rbac == LEASES else f'not found: {resource.asked(verb)}'}: {answer.reason}")
        case HTTPStatus.TOO_MANY_REQUESTS:
            return Busy(retry_after_seconds(answer.headers))
        case status if status in NOT_VALID:
            return Denied(f"the API server refuses the request as invalid: {verb}: {answer.reason}")
    return Unknown(answer.reason)


def lease_in(found: object, resource: Resource) -> Record | None:
    """The record of the Lease in `found`, any JSON; None unless `found` is the Lease `resource` with a resourceVersion."""
    metadata = found.get("metadata") if isinstance(found, dict) and found.get("kind") == "Lease" else None
    if not isinstance(metadata, dict) or metadata.get("name") != resource.name:
        return None
    version = metadata.get("resourceVersion")
    return parse(found) if isinstance(version, str) and version else None


def decode(body: bytes | bytearray) -> Any:
    """The JSON value in `body`; None where `body` is no JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def retry_after_seconds(headers: Mapping[str, str]) -> float:
    """Retry-After (RFC 9110 section 10.2.3) in seconds; 0 where it is absent or junk.

    A Retry-After that is a date is compared with the Date of the same answer, not with the local wall clock.
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
    """The body of a create: a whole Lease, from `record.merge_patch(record, None)`."""
    metadata = {**content.get("metadata", {}), "name": resource.name, "namespace": resource.namespace}
    return {**content, "apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata}
