"""The page that a browser gets at `/`: one file, no network but this sidecar's own answers."""

from functools import cache
from pathlib import Path
from typing import Final

from aiohttp import web

from sidecar import __version__
from sidecar.http.responses import HEADERS

_POLICY: Final = (
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


@cache
def _page() -> str:
    return Path(__file__).with_name("page.html").read_text(encoding="utf-8").replace("{{version}}", __version__)


def page_response() -> web.Response:
    """The page; its script asks `/leader`, `/history`, `/members` and `/leader/events`."""
    return web.Response(text=_page(), content_type="text/html", headers=HEADERS | {"Content-Security-Policy": _POLICY})
