"""`/openapi.json`: each listener describes what it serves, in OpenAPI 3.1.

The streams stand under `x-streams`: OpenAPI 3.1 cannot describe an answer without an end, and its tools would wait for that end.
"""

from functools import cache
from typing import Any, Final

from aiohttp import web

from sidecar import __version__
from sidecar.durations import SHAPE
from sidecar.election.record import MAX_TOKEN
from sidecar.election.view import State
from sidecar.escaping import to_json
from sidecar.http.commands import MAX_NAME_CHARS, NAME
from sidecar.http.responses import HEADERS

JSON = dict[str, Any]

APP: Final = "app"
PROBES: Final = "probes"
DURATION: Final = f"^(?:{SHAPE})$"
OUT: Final = (
    r"^([0-9]{1,4}(ms|s)?|([0-9]{1,3}|1[0-3][0-9]{2}|14[0-3][0-9]|1440)m|([0-9]|1[0-9]|2[0-4])h|"
    r"([0-9]|1[0-9]|2[0-3])h[0-5]?[0-9]m([0-5]?[0-9]s)?|[0-9]{1,3}m[0-5]?[0-9]s)$"
)
"""The durations that `/resign` takes, as far as a pattern can say: up to 24h in each unit, and as Go writes them."""


def route(listener: str) -> web.RouteDef:
    """`GET /openapi.json` of that listener."""

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(text=_text(listener), content_type="application/json", headers=HEADERS)

    return web.get("/openapi.json", openapi)


@cache
def _text(listener: str) -> str:
    return to_json(document(listener), indent=1) + "\n"


def document(listener: str) -> JSON:
    """The whole description."""
    found: JSON = {
        "openapi": "3.1.0",
        "info": {
            "title": f"leader-sidecar, {'the application' if listener == APP else 'the probe'} listener",
            "version": __version__,
            "description": "Which Pod leads, whether it is this one, until when the application may act on that, and each change.",
        },
        "paths": {**_health(), "/metrics": _get("Metrics in Prometheus' text format.", {"200": _text_answer("The metrics.")})},
        "components": {"schemas": {"Leadership": _leadership(), "Error": _object({"error": _STRING, "message": _STRING})}},
    }
    found["paths"]["/is-leader"] = _get(
        "200 if this Pod leads, else 503. Body: as GET /leader.",
        {"200": _answer("This Pod leads.", _LEADERSHIP), "503": _answer("This Pod does not lead.", _LEADERSHIP)},
    )
    found["paths"]["/openapi.json"] = _get(
        "The OpenAPI description of this listener.", {"200": _answer("The description.", {"type": "object"})}
    )
    if listener == APP:
        found["paths"] |= _reading() | _commands()
        found["components"]["schemas"]["Resignation"] = _leadership(_OUT)
        found["x-streams"] = _STREAMS
    return found


# ---- schemas -------------------------------------------------------------------------------------------------------------------------

_STRING: Final[JSON] = {"type": "string"}
_COUNT: Final[JSON] = {"type": "integer", "minimum": 0}
_TIME: Final[JSON] = {"type": ["string", "null"], "format": "date-time"}
_TOKEN: Final[JSON] = {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_TOKEN}
_STATE: Final[JSON] = {"type": "string", "enum": [state.value for state in State]}
_LEADERSHIP: Final[JSON] = {"$ref": "#/components/schemas/Leadership"}
_ERROR: Final[JSON] = {"$ref": "#/components/schemas/Error"}


def _object(fields: JSON) -> JSON:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


_OUT: Final[JSON] = {
    "out_for": {
        "type": ["number", "null"],
        "minimum": 0,
        "description": "Upper bound, in seconds, of the resignation; null: until the process ends.",
    },
    "out_until": _TIME | {"description": "The same moment as a time, for people."},
}


_VERSION: Final = (
    "Opaque. It changes with `name`, `is_leader`, `state`, `fencing_token` and `holder`, and at each restart of the sidecar; a renewal "
    "does not change it."
)
_FENCING: Final = (
    "An integer up to 2^53: larger for each new leader, the same while one candidate leads. null while no leader is known, or while the "
    "leader is no sidecar."
)


def _leadership(more: JSON | None = None) -> JSON:
    return _object(
        {
            "name": _STRING | {"description": 'Name of the Pod that leads; "" while no leader is known.'},
            "is_leader": {"type": "boolean", "description": "Whether this Pod leads, at the moment of the answer."},
            "state": _STATE | {"description": "State of this candidate."},
            "version": _STRING | {"description": _VERSION},
            "fencing_token": _TOKEN | {"description": _FENCING},
            "expires_in": {
                "type": "number",
                "minimum": 0,
                "description": "Seconds from the answer for which this Pod certainly holds the Lease without a further renewal; else 0.",
            },
            "valid_until_boottime_ns": _COUNT
            | {"description": "The same moment on CLOCK_BOOTTIME, in nanoseconds, which every container of the Pod shares; else 0."},
            "identity": _STRING | {"description": "This candidate's name in the Lease."},
            "holder": _STRING | {"description": 'Identity of the candidate that leads; "" while no leader is known.'},
            "lease": _STRING | {"description": "Name of the Lease."},
            "namespace": _STRING | {"description": "Namespace of the Lease."},
            "acquired_at": _TIME | {"description": "`acquireTime` of the Lease, for people: no decision compares it with a clock."},
            "renewed_at": _TIME | {"description": "`renewTime` of the Lease, for people."},
            "transitions": _COUNT | {"description": "`leaseTransitions` of the Lease, for people."},
            "observed_ago": {
                "type": ["number", "null"],
                "minimum": 0,
                "description": "Seconds since the API server last confirmed what this answer says; null before the first time.",
            },
        }
        | (more or {})
    )


# ---- operations ----------------------------------------------------------------------------------------------------------------------


def _answer(description: str, schema: JSON) -> JSON:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _text_answer(description: str, kind: str = "text/plain") -> JSON:
    return {"description": description, "content": {kind: {"schema": _STRING}}}


def _get(summary: str, responses: JSON, parameters: list[JSON] | None = None) -> JSON:
    return {"get": {"summary": summary, "parameters": parameters or [], "responses": responses | refused()}}


def refused() -> JSON:
    """The answers that any request may get, whatever its route."""
    said = {
        "413": "The body is larger than 64 KiB.",
        "415": "The body has a Content-Encoding; nothing was changed.",
        "417": "Expect is something other than 100-continue.",
        "421": "The Host, or the authority of the target, is not one of this listener.",
        "431": "The head of the request is too large.",
        "505": "The version of HTTP is neither 1.1 nor 1.0.",
        "4XX": "The request is not valid; the message says why.",
    }
    return {status: _answer(text, _ERROR) for status, text in said.items()}


def _health() -> JSON:
    def check(summary: str) -> JSON:
        verbose = {"name": "verbose", "in": "query", "schema": _STRING, "description": "Tell each check.", "allowEmptyValue": True}
        return _get(summary, {"200": _text_answer("Passed."), "500": _text_answer("Failed; the text says why.")}, [verbose])

    return {
        "/healthz": check("Whether the sidecar serves HTTP."),
        "/livez": check("Whether the sidecar works; fails when the loop hangs or another process uses this identity."),
        "/readyz": check("Whether the sidecar has seen the Lease and its election loop runs."),
    }


def _reading() -> JSON:
    wait = {
        "name": "wait",
        "in": "query",
        "schema": {"type": "string", "pattern": DURATION},
        "description": "How long to wait, 10m at most.",
    }
    since = {
        "name": "since",
        "in": "query",
        "schema": _STRING,
        "description": "The version that you have; the request waits until it changes.",
    }
    tags = {
        "name": "If-None-Match",
        "in": "header",
        "schema": _STRING,
        "description": "As `since`, by ETag: the answer is 304 if nothing has changed.",
    }
    term = _object({"name": _STRING, "holder": _STRING, "fencing_token": _TOKEN, "from": _TIME, "to": _TIME, "ended": {
        "type": ["string", "null"], "enum": ["released", "emptied", "replaced", None]}})  # fmt: skip
    member = _object({"name": _STRING, "identity": _STRING, "state": _STATE, "self": {"type": "boolean"}})
    full = {"503": _answer("Too many polls wait; Retry-After says when to ask again.", _ERROR)}
    leader = {
        "200": _answer("The leadership; its ETag is the version.", _LEADERSHIP),
        "304": {"description": "The version is still the one in If-None-Match."},
    }
    root = _answer("The name of the leader, and when the Lease was renewed.", _object({"name": _STRING, "last_update": _TIME}))
    root["content"]["text/html"] = {"schema": _STRING}
    return {
        "/leader": _get(
            "Which Pod leads, whether it is this one, and until when; with `since`, or If-None-Match and `wait`, a long-poll.",
            leader | full,
            [since, wait, tags],
        ),
        "/history": _get(
            "The last 100 terms that this sidecar has seen, the newest first.",
            {"200": _answer("The terms.", _object({"terms": _list(term)}))},
        ),
        "/members": _get(
            "This candidate, the leader and the standbys; `complete` is false, because a Lease does not name the other candidates.",
            {"200": _answer("The members.", _object({"members": _list(member), "complete": {"type": "boolean"}}))},
        ),
        "/": _get("A status page for a browser; for other clients the answer of the older leader-elector sidecars.", {"200": root}),
        "/health": _get(
            "Whether any Pod leads, in the format of instana's leader-elector.",
            {"200": _text_answer("A Pod leads."), "500": _text_answer("No Pod leads.")},
        ),
    }


def _list(items: JSON) -> JSON:
    return {"type": "array", "items": items}


def _commands() -> JSON:
    def post(summary: str, fields: JSON, answer: JSON = _LEADERSHIP) -> JSON:
        body = {"type": "object", "properties": fields, "additionalProperties": False}
        return {
            "post": {
                "summary": summary,
                "requestBody": {"required": False, "content": {"application/json": {"schema": body}}},
                "responses": {
                    "200": _answer("Done; the body is the leadership afterwards.", answer),
                    "400": _answer("The body is not valid; nothing was changed.", _ERROR),
                    "403": _answer("The request came from a page of another origin, or over an address other than localhost.", _ERROR),
                    "409": _answer("The command is not allowed in the current state; the message says why.", _ERROR),
                }
                | refused(),
            }
        }

    token = {"type": "integer", "description": "The `fencing_token` of the term in which the application has stopped."}
    out = {"type": "string", "pattern": OUT, "description": "How long to stay out, 24h at most."}
    name = {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_NAME_CHARS,
        "pattern": f"^{NAME}$",
        "description": "The Pod that goes first, by its name or its identity.",
    }
    return {
        "/drained": post("The application has stopped acting: release the Lease now.", {"token": token}),
        "/resign": post(
            "Step down, and do not contend for a while.", {"for": out, "to": name}, {"$ref": "#/components/schemas/Resignation"}
        ),
        "/campaign": post("End a resignation early.", {}),
    }


_STREAMS: Final[JSON] = {
    "/leader/events": {
        "summary": "Server-sent events: the current leadership and each change; with `renewals=1` each new deadline too.",
        "query": {"renewals": "0 or 1"},
        "headers": {"Last-Event-ID": "the version that the client has; the stream does not repeat it"},
        "content-type": "text/event-stream",
        "data": "the leadership without expires_in",
    },
    "/sse": {
        "summary": "Server-sent events of the name and `last_update` at each change, as nais/elector has them.",
        "content-type": "text/event-stream",
    },
}
