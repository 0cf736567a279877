"""`leader-sidecar probe`, for a kubelet's exec probe: one GET of the sidecar on this host, whose status becomes the exit code.

HTTP/1.0 over a plain socket: a client library would cost more than all the rest, and so would typing and dataclasses.
"""

import os
import signal
import socket

from sidecar import addresses, standard_streams

OK = 0
FAILED = 1
UNUSABLE = 2
ROUTES = ("livez", "readyz", "healthz", "is-leader")
DEFAULT_TIMEOUT = "1s"
MAX_TIMEOUT_SECONDS = 3600
USAGE = f"""usage: leader-sidecar probe [{" | ".join(ROUTES)}] [--timeout DURATION] [--address ADDRESS]

Asks the sidecar on this host and prints its answer. Exit code 0: the status is 2xx. 1: another status, no answer within the timeout, or
no sidecar. 2: wrong arguments.

  --timeout DURATION  the longest that the whole request may take. Default: {DEFAULT_TIMEOUT}
  --address ADDRESS   where to ask, in the form of LEADER_PROBE_LISTEN. Default: LEADER_PROBE_LISTEN ({addresses.PROBE_LISTEN}); if that is
                      empty, LEADER_LISTEN ({addresses.LISTEN}). Of several addresses the first that accepts a connection is asked
"""
_HERE = {"*": ("127.0.0.1", "::1"), "localhost": ("127.0.0.1", "::1"), "0.0.0.0": ("127.0.0.1",), "::": ("::1", "127.0.0.1")}  # noqa: S104 - asked, not bound
_STATUS_LINE = b"HTTP/1."
_CHUNK_BYTES = 65536
_MAX_BYTES = 2**20
"""Longer than any of these answers: a longer one is no sidecar's."""


class UsageError(Exception):
    """The command line or the environment is not valid; one line for the user."""


class ProbeError(Exception):
    """There is no answer, or one that is no HTTP; one line for the user."""


def main(arguments: list[str]) -> int:
    """Ask the sidecar and print its answer; the exit code."""
    if "--help" in arguments or "-h" in arguments:
        standard_streams.tell(USAGE)
        return OK
    try:
        route, timeout_seconds, where = _wanted(arguments)
        status, body = ask(where, route, timeout_seconds)
    except UsageError as error:
        standard_streams.complain(f"leader-sidecar probe: {error}\n")
        return UNUSABLE
    except ProbeError as error:
        standard_streams.complain(f"leader-sidecar probe: {error}\n")
        return FAILED
    text = body.decode(errors="replace")
    standard_streams.tell(text if text.endswith("\n") else text + "\n")
    return OK if 200 <= status < 300 else FAILED  # noqa: PLR2004 - 2xx


def _wanted(arguments: list[str]) -> tuple[str, float, list[tuple[str, int, str]]]:
    """Route, timeout in seconds and addresses. Raises UsageError."""
    given = {"--timeout": DEFAULT_TIMEOUT, "--address": ""}
    routes: list[str] = []
    rest = iter(arguments)
    for word in rest:
        name, equals, value = word.partition("=")
        if name in given:
            given[name] = value if equals else next(rest, "")
            if not given[name]:
                raise UsageError(f"{name} needs a value; see --help")
        elif word.removeprefix("/") in ROUTES and not routes:
            routes.append(word.removeprefix("/"))
        else:
            raise UsageError(f"{word!r} is not understood: allowed: one of {', '.join(ROUTES)}, --timeout, --address")
    return routes[0] if routes else ROUTES[0], _seconds(given["--timeout"]), _addresses(given["--address"])


def _seconds(text: str) -> float:
    if text == DEFAULT_TIMEOUT:
        return 1.0
    from sidecar.durations import parse_seconds  # re, only for those who set it

    try:
        seconds = parse_seconds(text)
    except ValueError as error:
        raise UsageError(f"--timeout {error}") from None
    if not 0 < seconds <= MAX_TIMEOUT_SECONDS:
        raise UsageError(f"--timeout {text}: allowed is more than 0s and at most 1h")
    return seconds


def _addresses(text: str) -> list[tuple[str, int, str]]:
    """The addresses to try, in turn: those in `text`, else those of this container's settings."""
    sources = (
        ("--address", text),
        ("LEADER_PROBE_LISTEN", os.environ.get("LEADER_PROBE_LISTEN", addresses.PROBE_LISTEN)),
        ("LEADER_LISTEN", os.environ.get("LEADER_LISTEN", addresses.LISTEN)),
    )
    for name, written in sources:
        try:
            found = addresses.parse(written)
        except ValueError as error:
            raise UsageError(f"{name}: {error}") from None
        if any(not port and not path for _, port, path in found):
            raise UsageError(f"{name}={written}: port 0 means any free port, so the address is not known: set a port, or give --address")
        if found:
            return [(host, port, path) for written_host, port, path in found for host in _HERE.get(written_host, (written_host,))]
    raise UsageError("LEADER_PROBE_LISTEN and LEADER_LISTEN are both empty: give --address")


def ask(where: list[tuple[str, int, str]], route: str, timeout_seconds: float) -> tuple[int, bytes]:
    """Status and body of `GET /route`, from the first address that accepts a connection. Raises ProbeError."""

    def late(*_: object) -> None:
        raise ProbeError(f"no complete answer within {timeout_seconds:g} s")

    # One timer for the whole exchange: a timeout of the socket would begin anew with each byte that trickles in.
    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, timeout_seconds)
    try:
        with _connected(where) as connection:
            connection.sendall(f"GET /{route} HTTP/1.0\r\nHost: localhost\r\n\r\n".encode())
            return _answer(connection)
    except OSError as error:
        raise ProbeError(f"no answer: {error.strerror or error}") from None
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _connected(where: list[tuple[str, int, str]]) -> socket.socket:
    refusals = []
    for host, port, path in where:
        name = f"unix:{path}" if path else f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        try:
            family, target = _resolved(host, port) if port else (socket.AF_UNIX, path)
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                connection.connect(target)
            except BaseException:
                connection.close()
                raise
        except OSError as error:
            refusals.append(f"{name}: {error.strerror or error}")
        else:
            return connection
    raise ProbeError(f"no sidecar answers: {'; '.join(refusals)}")


def _resolved(host: str, port: int) -> tuple[int, tuple[object, ...]]:
    """Family and address: a literal address as it is, for a look-up would import codecs; a name by its first address."""
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, host)
        except OSError:
            continue
        return family, (host, port)
    family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    return family, target


def _answer(connection: socket.socket) -> tuple[int, bytes]:
    """Status and body of the answer, which ends when the server closes (HTTP/1.0)."""
    received = b""
    while chunk := connection.recv(_CHUNK_BYTES):
        received += chunk
        if len(received) > _MAX_BYTES:
            raise ProbeError(f"the answer is longer than {_MAX_BYTES} bytes: this is no sidecar")
    head, blank, body = received.partition(b"\r\n\r\n")
    status = head[len(_STATUS_LINE) + 2 : len(_STATUS_LINE) + 5]
    if not (blank and head.startswith(_STATUS_LINE) and status.isdigit()):
        raise ProbeError(f"the answer is no HTTP: it begins with {received[:40]!r}")
    return int(status), body
