"""The leadership as an HTTP response. Body, ETag and status come from one reading (S2)."""

from http import HTTPStatus

from aiohttp import web

from sidecar.escaping import to_json
from sidecar.runtime.leadership import Answer

HEADERS = {"Cache-Control": "no-store"}


def etag(answer: Answer) -> str:
    """Weak (RFC 9110 8.8.1): ages move, the version does not."""
    return f'W/"{answer.version}"'


def leader_response(answer: Answer, status: HTTPStatus = HTTPStatus.OK, more: dict[str, object] | None = None) -> web.Response:
    """The leadership as JSON, with its version as ETag; `more` fields at its end."""
    text = to_json(answer.to_json() | (more or {})) + "\n"
    return web.Response(status=status, text=text, content_type="application/json", headers=HEADERS | {"ETag": etag(answer)})


def json_response(body: object) -> web.Response:
    """Any other body as JSON, not to be stored by caches."""
    return web.Response(text=to_json(body) + "\n", content_type="application/json", headers=HEADERS)


def named(answer: Answer) -> dict[str, object]:
    """The answer of the older leader-elector sidecars: contrib's, instana's and krmcbride's give the name, nais' both."""
    return {"name": answer.name, "last_update": answer.renewed_at}


def not_modified(answer: Answer) -> web.Response:
    """304: the client already has this version."""
    return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=HEADERS | {"ETag": etag(answer)})


def is_leader_response(answer: Answer) -> web.Response:
    """200 if this Pod leads, else 503."""
    return leader_response(answer, HTTPStatus.OK if answer.is_leader else HTTPStatus.SERVICE_UNAVAILABLE)
