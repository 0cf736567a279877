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
            "description": "Who leads, am I it, until when may I act on that, and tell me when it changes.",
        },
        "paths": {**_health(), "/metrics": _get("Metrics in Prometheus' text format.", {"200": _text_answer("The metrics.")})},
        "components": {"schemas": {"Leadership": _leadership(), "Error": _object({"error": _STRING, "message": _STRING})}},
    }
    found["paths"]["/is-leader"] = _get(
        "Whether this Pod leads, as a status.",
        {"200": _answer("This Pod leads.", _LEADERSHIP), "503": _answer("It does not.", _LEADERSHIP)},
    )
    found["paths"]["/openapi.json"] = _get("This description.", {"200": _answer("The description.", {"type": "object"})})
    if listener == APP:
        found["paths"] |= _reading() | _commands()
        found["components"]["schemas"]["Resignation"] = _leadership(_OUT)
        found["x-streams"] = _STREAMS
    return found


# ---- schemas -------------------------------------------------------------------------------------------------------------------------

_STRING: Final[JSON] = {"type": "string"}
_TIME: Final[JSON] = {"type": ["string", "null"], "format": "date-time"}
_TOKEN: Final[JSON] = {"type": ["integer", "null"], "minimum": 0, "maximum": MAX_TOKEN}
_STATE: Final[JSON] = {"type": "string", "enum": [state.value for state in State]}
_LEADERSHIP: Final[JSON] = {"$ref": "#/components/schemas/Leadership"}
_ERROR: Final[JSON] = {"$ref": "#/components/schemas/Error"}


def _object(fields: JSON) -> JSON:
    return {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}


_OUT: Final[JSON] = {
    "out_for": {"type": ["number", "null"], "minimum": 0, "description": "Seconds that it stays out, at most; null: while it lives."},
    "out_until": {"type": ["string", "null"], "format": "date-time", "description": "The same as a time, for people."},
}


def _leadership(more: JSON | None = None) -> JSON:
    return _object(
        {
            "name": {"type": "string", "description": 'The Pod that leads, "" when nobody is known to.'},
            "is_leader": {"type": "boolean", "description": "Whether this Pod leads, at the moment of the answer."},
            "state": _STATE,
            "version": {"type": "string", "description": "Opaque; another one when name, is_leader, state or fencing_token is another."},
            "fencing_token": _TOKEN,
            "expires_in": {"type": "number", "minimum": 0, "description": "Seconds for which the Lease is certainly this Pod's."},
            "valid_until_boottime_ns": {"type": "integer", "minimum": 0, "description": "The same moment on CLOCK_BOOTTIME; 0 for none."},
            "identity": _STRING,
            "holder": _STRING,
            "lease": _STRING,
            "namespace": _STRING,
            "acquired_at": _TIME,
            "renewed_at": _TIME,
            "transitions": {"type": "integer", "minimum": 0},
            "observed_ago": {"type": ["number", "null"], "minimum": 0},
        }
        | (more or {})
    )


# ---- operations ----------------------------------------------------------------------------------------------------------------------


def _answer(description: str, schema: JSON) -> JSON:
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _text_answer(description: str, kind: str = "text/plain") -> JSON:
    return {"description": description, "content": {kind: {"schema": _STRING}}}


def _get(summary: str, responses: JSON, parameters: list[JSON] | None = None) -> JSON:
    return {"get": {"summary": summary, "parameters": parameters or [], "responses": responses | _refused()}}


def _refused() -> JSON:
    """The answers that any request may get, whatever its route."""
    said = {
        "413": "A body above 64 KiB.",
        "415": "A body with a Content-Encoding; nothing was changed.",
        "417": "An expectation other than 100-continue.",
        "421": "A Host, or a target's authority, that is not this listener's.",
        "431": "A head that is too large.",
        "505": "A version of HTTP other than 1.1 and 1.0.",
        "4XX": "A request that cannot be used, or that is not for this listener.",
    }
    return {status: _answer(text, _ERROR) for status, text in said.items()}


def _health() -> JSON:
    def check(summary: str) -> JSON:
        verbose = {"name": "verbose", "in": "query", "schema": _STRING, "description": "Say each check.", "allowEmptyValue": True}
        return _get(summary, {"200": _text_answer("Well."), "500": _text_answer("Not well; the text says why.")}, [verbose])

    return {
        "/healthz": check("Whether it serves."),
        "/livez": check("Fails only where a restart would help."),
        "/readyz": check("Whether the Lease has been seen and the loop turns."),
    }


def _reading() -> JSON:
    wait = {"name": "wait", "in": "query", "schema": {"type": "string", "pattern": DURATION}, "description": "At most 10m."}
    since = {"name": "since", "in": "query", "schema": _STRING, "description": "A version: the answer waits while it is still that one."}
    tags = {"name": "If-None-Match", "in": "header", "schema": _STRING, "description": "The same, and ends in 304."}
    term = _object({"name": _STRING, "holder": _STRING, "fencing_token": _TOKEN, "from": _TIME, "to": _TIME, "ended": {
        "type": ["string", "null"], "enum": ["released", "emptied", "replaced", None]}})  # fmt: skip
    member = _object({"name": _STRING, "identity": _STRING, "state": _STATE, "self": {"type": "boolean"}})
    full = {"503": _answer("Too many polls wait; Retry-After says when to come back.", _ERROR)}
    leader = {"200": _answer("The leadership; its ETag is the version.", _LEADERSHIP), "304": {"description": "That version still."}}
    root = _answer("What the older sidecars answer.", _object({"name": _STRING, "last_update": _TIME}))
    root["content"]["text/html"] = {"schema": _STRING}
    return {
        "/leader": _get(
            "Who leads, am I it, until when; waits with since, or with If-None-Match and wait.", leader | full, [since, wait, tags]
        ),
        "/history": _get("The terms seen, the newest first.", {"200": _answer("Terms.", _object({"terms": _list(term)}))}),
        "/members": _get(
            "Who is known to contend.",
            {"200": _answer("Members.", _object({"members": _list(member), "complete": {"type": "boolean"}}))},
        ),
        "/": _get("A page for a browser; for anyone else what the older sidecars answer.", {"200": root}),
        "/health": _get(
            "As instana's leader-elector: whether anybody leads.", {"200": _text_answer("Somebody."), "500": _text_answer("Nobody.")}
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
                    "200": _answer("Done: the leadership as it is then.", answer),
                    "400": _answer("A body that cannot be used; nothing was changed.", _ERROR),
                    "403": _answer("From a page of another origin, or from beyond this machine.", _ERROR),
                    "409": _answer("The command does not fit the candidate's state; the text says which would.", _ERROR),
                }
                | _refused(),
            }
        }

    token = {"type": "integer"}
    out = {"type": "string", "pattern": OUT, "description": "24h at most."}
    name = {
        "type": "string",
        "minLength": 1,
        "maxLength": MAX_NAME_CHARS,
        "pattern": f"^{NAME}$",
        "description": "A Pod's name, or an identity.",
    }
    return {
        "/drained": post("The application has stopped acting: release now.", {"token": token}),
        "/resign": post("Step down and stay out for a while.", {"for": out, "to": name}, {"$ref": "#/components/schemas/Resignation"}),
        "/campaign": post("End a resignation.", {}),
    }


_STREAMS: Final[JSON] = {
    "/leader/events": {
        "summary": "Server-sent events: the present state, each change, and with renewals=1 each new deadline (event: renewed).",
        "query": {"renewals": "0 or 1"},
        "headers": {"Last-Event-ID": "the version that the client has: it is not told again"},
        "content-type": "text/event-stream",
        "data": "the leadership without expires_in",
    },
    "/sse": {"summary": "As nais/elector: the name and last_update at each change.", "content-type": "text/event-stream"},
}
