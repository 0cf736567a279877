"""To whom a request is made (RFC 9112 3.2): Host, the target's own authority, and the origin of a command."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.http.authority import Authority, parse, parse_origin
from tests.http.raw import status_of
from tests.http.test_serving import Served, served

__all__ = ["served"]

LOCAL = (
    "localhost",
    "localhost:4040",
    "LOCALHOST",
    "127.0.0.1",
    "127.1.2.3:1",
    "[::1]:4040",
    "[0:0:0:0:0:0:0:1]",
    "localhost:",
    "[::1%lo]",
)
OTHERS = (
    "evil.example",
    "localhost.evil.example",
    "localhost.",
    "127.1",
    "0x7f.1",
    "2130706433",
    "[::2]",
    "",
    ":4040",
    "%6cocalhost",
    "a_b",
)
NONE = (
    "evil@localhost", "localhost/evil", "localhost?x", "localhost#", "localhost:junk", "localhost:4040:1", "localhost:99999", "[", "[::1",
    "::1", "local host", "localhost\\evil", "http://localhost", "localhost,evil", "loc\u00e4lhost", "\uff4cocalhost", "[::1]evil",
    "[::1]:x", "%zz", "a" * 400,
)  # fmt: skip
WHOLE = ("localhost,evil",)
"""By RFC 3986's letters a name, and nobody's."""


@pytest.mark.parametrize(
    ("host", "status"),
    [(host, 200) for host in LOCAL] + [(host, 421) for host in (*OTHERS, *WHOLE)] + [(host, 400) for host in NONE if host not in WHOLE],
)
async def test_a_host_is_localhosts_or_refused(served: Served, host: str, status: int) -> None:
    """421 for another's, 400 for what is no host (3.2); the target's own authority is held to the same, whatever Host says (3.2.2)."""
    assert await status_of(served, f"GET /leader HTTP/1.1\r\nHost: {host}\r\n\r\n") == status
    if not {*host} & {*" /?#\\"} and host.isascii() and "://" not in host:
        target = f"http://{host}/leader"
        wanted = status if host else 400  # of a target that has none the parser makes nothing
        assert await status_of(served, f"GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n") in {wanted, 400}
        if status == 200:
            assert await status_of(served, f"GET {target} HTTP/1.1\r\nHost: evil.example\r\n\r\n") == 200


@pytest.mark.parametrize(
    ("head", "status"),
    [
        ("GET /leader HTTP/1.1", 400),
        ("GET /leader HTTP/1.1\r\nHost: localhost\r\nHost: localhost", 400),
        ("GET /leader HTTP/1.1\r\nHost: localhost\r\nHost: evil.example", 400),
        ("GET /leader HTTP/1.0", 200),
        ("GET http://evil.example/leader HTTP/1.1\r\nHost: localhost", 421),
        ("GET http://evil.example/leader HTTP/1.0", 421),
        ("GET http://evil@localhost/leader HTTP/1.1\r\nHost: localhost", 400),
        ("GET http://localhost/leader HTTP/1.1\r\nHost: evil@localhost", 400),
        ("GET HTTP://localhost:4040/leader HTTP/1.1\r\nHost: localhost", 200),
        ("GET https://localhost/leader HTTP/1.1\r\nHost: localhost", 421),
        ("GET ftp://localhost/leader HTTP/1.1\r\nHost: localhost", 421),
        ("GET //evil.example/leader HTTP/1.1\r\nHost: localhost", 404),
        ("CONNECT evil.example:80 HTTP/1.1\r\nHost: localhost", 421),
        ("CONNECT localhost:4040 HTTP/1.1\r\nHost: localhost", 404),
        ("OPTIONS * HTTP/1.1\r\nHost: evil.example", 421),
    ],
)
async def test_whose_authority_counts(served: Served, head: str, status: int) -> None:
    assert await status_of(served, f"{head}\r\n\r\n") == status


@pytest.mark.parametrize(
    ("host", "origins", "status"),
    [
        ("localhost:4040", ["http://localhost:4040"], 200),
        ("LOCALHOST:4040", ["http://localhost:4040"], 200),
        ("localhost", ["http://localhost"], 200),
        ("localhost", ["http://localhost:80"], 200),
        ("[::1]:4040", ["http://[::1]:4040"], 200),
        ("localhost:4040", [], 200),
        ("localhost:4040", ["http://localhost:3000"], 403),
        ("localhost:4040", ["http://localhost"], 403),
        ("localhost", ["http://localhost:4040"], 403),
        ("localhost:4040", ["http://127.0.0.1:4040"], 403),
        ("127.0.0.1:4040", ["http://127.0.0.2:4040"], 403),
        ("localhost:4040", ["https://localhost:4040"], 403),
        ("localhost:4040", ["HTTP://localhost:4040"], 403),
        ("localhost:4040", ["null"], 403),
        ("localhost:4040", [""], 403),
        ("localhost:4040", ["localhost:4040"], 403),
        ("localhost:4040", ["http://localhost:4040/"], 403),
        ("localhost:4040", ["http://evil@localhost:4040"], 403),
        ("localhost:4040", ["http://localhost:4040 http://localhost:4040"], 403),
        ("localhost:4040", ["http://localhost:4040, http://localhost:4040"], 403),
        ("localhost:4040", ["http://localhost:4040"] * 2, 403),
        ("localhost:4040", ["http://localhost:4040", "null"], 403),
        ("localhost:4040", ["http://"], 403),
    ],
)
async def test_another_port_is_another_origin(served: Served, host: str, origins: list[str], status: int) -> None:
    """A command comes from no page, or from one of the very scheme, host and port that it was sent to (RFC 6454)."""
    lines = "".join(f"Origin: {origin}\r\n" for origin in origins)
    for target in ("/resign", f"http://{host}/resign"):
        asked = f"POST {target} HTTP/1.1\r\nHost: {host if target == '/resign' else 'localhost:1'}\r\n{lines}Content-Length: 0\r\n\r\n"
        assert await status_of(served, asked) == status
    assert len(served.runner.resigned_with) == 2 * (status == 200)
    assert await status_of(served, f"GET /leader HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n") == 200, "whoever reads is told by the browser"


async def test_without_a_host_no_origin_is_the_same(served: Served) -> None:
    assert await status_of(served, "POST /resign HTTP/1.0\r\nOrigin: http://localhost:4040\r\nContent-Length: 0\r\n\r\n") == 403
    assert served.runner.resigned_with == []


HOSTLIKE = st.text(st.sampled_from("localhst127.0[]:@/?#%\\ ,;_-~!$&'()*+=\x00\t\u00e9\uff4cABF"), max_size=24) | st.text(max_size=12)


@given(HOSTLIKE)
def test_what_parses_is_what_every_reader_takes_it_for(text: str) -> None:
    """No user information, path, query or fragment hides in it: the library's own parser finds the same host and port, and nothing else."""
    found = parse(text)
    if found is None:
        return
    whole = urlsplit(f"http://{text}/leader")
    assert (whole.path, whole.query, whole.fragment, whole.username, whole.password) == ("/leader", "", "", None, None)
    assert (found.host.strip("[]"), found.port) == ((whole.hostname or "").lower(), whole.port if whole.port is not None else 80)


@given(HOSTLIKE)
def test_an_origin_is_its_serialisation_alone(text: str) -> None:
    """RFC 6454 6.2: scheme, host, port; with anything more it is none."""
    assert parse_origin(text) is None or text.startswith("http://")
    assert parse_origin(f"http://{text}") == (parse(text) if (parse(text) or Authority("", 0)).host else None)
    assert parse_origin(f"http://{text}/") is None
