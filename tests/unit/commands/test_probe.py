"""`leader-sidecar probe`: the status of one GET of the sidecar on this host as an exit code, at next to no cost."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
OK = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\nok\n"


class Listener:
    """Takes one connection after another, keeps what was asked, and says `answer`; it closes then, unless it is to hang."""

    def __init__(self, answer: bytes, where: str | tuple[str, int], *, hangs: bool = False) -> None:
        self.asked: list[bytes] = []
        self.answer, self.hangs = answer, hangs
        family = socket.AF_UNIX if isinstance(where, str) else socket.AF_INET6 if ":" in where[0] else socket.AF_INET
        self.socket = socket.socket(family)
        self.socket.bind(where)
        self.socket.listen()
        self.held: list[socket.socket] = []
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def port(self) -> int:
        """Where it listens."""
        port = self.socket.getsockname()[1]
        assert isinstance(port, int)
        return port

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            self.asked.append(connection.recv(65536))
            connection.sendall(self.answer)
            if self.hangs:
                self.held.append(connection)
            else:
                connection.close()


@contextmanager
def listening(answer: bytes = OK, where: str | tuple[str, int] = ("127.0.0.1", 0), *, hangs: bool = False) -> Iterator[Listener]:
    """A listener, closed afterwards."""
    listener = Listener(answer, where, hangs=hangs)
    try:
        yield listener
    finally:
        listener.socket.shutdown(socket.SHUT_RDWR)
        listener.socket.close()
        for connection in listener.held:
            connection.close()


def probe(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    """The command, as the kubelet runs it."""
    command = [sys.executable, "-m", "sidecar", "probe", *arguments]
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | environment
    return subprocess.run(command, env=environ, capture_output=True, text=True, timeout=60, check=False)


def first_line(listener: Listener) -> bytes:
    """The request line that it was sent last."""
    return listener.asked[-1].split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("arguments", "path"),
    [((), "/livez"), (("livez",), "/livez"), (("readyz",), "/readyz"), (("/healthz",), "/healthz"), (("is-leader",), "/is-leader")],
)
def test_it_asks_for_livez_or_what_is_named(arguments: tuple[str, ...], path: str) -> None:
    """Where LEADER_PROBE_LISTEN says; the answer's body is what it prints."""
    with listening() as listener:
        done = probe(*arguments, LEADER_PROBE_LISTEN=f"*:{listener.port}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "ok\n", "")
    assert first_line(listener) == f"GET {path} HTTP/1.0".encode()
    assert b"\r\nHost: localhost\r\n" in listener.asked[0]


@pytest.mark.parametrize(("status", "code"), [(200, 0), (204, 0), (300, 1), (404, 1), (500, 1), (503, 1)])
def test_a_status_of_2xx_is_0_and_any_other_1(status: int, code: int) -> None:
    """With the body in either case: the kubelet shows it in an Event."""
    with listening(f"HTTP/1.1 {status} Whatever\r\n\r\n[-]loop failed".encode()) as listener:
        done = probe("--address", f"127.0.0.1:{listener.port}")
    assert (done.returncode, done.stdout) == (code, "[-]loop failed\n")


def test_without_a_probe_listener_it_asks_the_apps() -> None:
    """An empty LEADER_PROBE_LISTEN switches that one off."""
    with listening() as listener:
        done = probe(LEADER_PROBE_LISTEN="", LEADER_LISTEN=f"localhost:{listener.port}")
    assert done.returncode == 0
    assert listener.asked


def test_a_unix_socket_is_asked_as_well(tmp_path: Path) -> None:
    """The app's listener may have no port at all."""
    with listening(where=f"{tmp_path}/s") as listener:
        done = probe("is-leader", LEADER_PROBE_LISTEN="", LEADER_LISTEN=f"unix:{tmp_path}/s")
    assert done.returncode == 0
    assert first_line(listener) == b"GET /is-leader HTTP/1.0"


@pytest.mark.parametrize("written", ["[::1]", "*", "localhost", "[::]"])
def test_a_listener_on_ipv6_alone_is_found(written: str) -> None:
    """`*` and `localhost` are every address that is up, so both loopbacks are tried."""
    try:
        listener = Listener(OK, ("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    done = probe("--address", f"{written}:{listener.port}")
    listener.socket.close()
    assert done.returncode == 0


def test_of_several_addresses_the_first_that_takes_a_connection_answers(tmp_path: Path) -> None:
    """One that is closed is passed over."""
    with listening() as listener:
        done = probe("--address", f"unix:{tmp_path}/none,127.0.0.1:{listener.port}")
    assert done.returncode == 0


def test_nobody_there_is_1_with_each_address_that_was_tried(tmp_path: Path) -> None:
    """One line, no traceback."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        port = taken.getsockname()[1]
        done = probe("--address", f"127.0.0.1:{port},unix:{tmp_path}/none")
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert f"127.0.0.1:{port}: Connection refused" in done.stderr
    assert f"unix:{tmp_path}/none: No such file" in done.stderr


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.0 200 OK\r\n\r\nbegun"])
def test_an_answer_that_does_not_end_is_1_after_the_timeout(answer: bytes) -> None:
    """As much as has come: the connection must close, or the whole is missing."""
    with listening(answer, hangs=True) as listener:
        began = time.monotonic()
        done = probe("--timeout", "300ms", "--address", f"127.0.0.1:{listener.port}")
        took_seconds = time.monotonic() - began
    assert done.returncode == 1
    assert done.stdout == ""
    assert "no complete answer within 0.3 s" in done.stderr
    assert took_seconds >= 0.3


@pytest.mark.parametrize("answer", [b"", b"\0\1\2", b"HTTP/1.0 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\n", b"x" * (2**20 + 1)])
def test_what_is_no_http_is_1(answer: bytes) -> None:
    """Something else listens there; one line says so."""
    with listening(answer) as listener:
        done = probe("--address", f"127.0.0.1:{listener.port}", "--timeout=20s")
    assert done.returncode == 1
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "no answer" in done.stderr or "the answer is" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (("lives",), {}, "'lives' is not understood: allowed: one of livez, readyz, healthz, is-leader"),
        (("livez", "readyz"), {}, "'readyz' is not understood"),
        (("--timeout", "soon"), {}, "'soon' is not a duration"),
        (("--timeout", "0s"), {}, "more than 0s and at most 1h"),
        (("--timeout",), {}, "--timeout needs a value"),
        (("--address", "4041"), {}, "--address: '4041' is not an address"),
        ((), {"LEADER_PROBE_LISTEN": "nowhere"}, "LEADER_PROBE_LISTEN: 'nowhere' is not an address"),
        ((), {"LEADER_PROBE_LISTEN": "*:0"}, "port 0"),
        ((), {"LEADER_PROBE_LISTEN": "", "LEADER_LISTEN": ""}, "give --address"),
    ],
)
def test_asked_wrongly_is_2_and_one_line(arguments: tuple[str, ...], environment: dict[str, str], says: str) -> None:
    """What was wrong, what is allowed."""
    done = probe(*arguments, **environment)
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert says in done.stderr


def test_help_tells_routes_flags_and_exit_codes() -> None:
    """On standard output, with 0."""
    done = probe("--help")
    assert done.returncode == 0
    for word in ("livez", "readyz", "healthz", "is-leader", "--timeout", "--address", "LEADER_PROBE_LISTEN", "Exit code"):
        assert word in done.stdout


def test_it_loads_nothing_that_is_installed_and_little_else() -> None:
    """Counted in modules, which no busy machine changes: those of a bare interpreter, and a few more."""
    show = "import sys; {}; print(*sorted(sys.modules))"
    run = "sys.argv = ['leader-sidecar', 'probe', '--address', '127.0.0.1:1']; from sidecar.__main__ import main; main()"

    def modules(code: str) -> set[str]:
        command = [sys.executable, "-S", "-c", show.format(code)]
        done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=True)
        return set(done.stdout.split())

    more = modules(run) - modules("pass")
    assert {name for name in more if name.startswith("sidecar")} == {
        "sidecar", "sidecar.__main__", "sidecar.addresses", "sidecar.commands", "sidecar.commands.probe", "sidecar.standard_streams",
    }  # fmt: skip
    assert not more & {"asyncio", "argparse", "pydantic", "aiohttp", "typing", "re", "http", "dataclasses", "logging", "encodings.idna"}
    assert len(more) < 40


def test_it_takes_little_memory() -> None:
    """At most 15 MB, with room for what a bare interpreter of another version takes beyond that."""
    # This process' own peak since its program began; ru_maxrss would tell that of the process that started it.
    peak = "print(next(line.split()[1] for line in open('/proc/self/status') if line.startswith('VmHWM')))"
    run = "import sys; sys.argv = ['x', 'probe', '--address', '127.0.0.1:1']; from sidecar.__main__ import main; main()"

    def peak_kib(code: str) -> int:
        command = [sys.executable, "-c", f"{code}; {peak}"]
        done = subprocess.run(command, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=60, check=True)
        return int(done.stdout)

    bare_kib = peak_kib("pass")
    assert peak_kib(run) < max(15 * 1024, bare_kib + 4 * 1024)
