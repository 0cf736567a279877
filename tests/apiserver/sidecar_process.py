"""Sidecars as real processes, and a witness that polls them as applications would.

The witness keeps what each answer promised: an application may act from the moment it has an answer until the deadline in it. Two
candidates whose acting times overlap are two leaders.
"""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from traceback import format_exception
from typing import Any, Self, TypeVar

from tests.apiserver.ports import free_port

ROOT = Path(__file__).resolve().parents[2]
T = TypeVar("T")


def boottime_ns() -> int:
    """The clock that deadlines are on."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def until(what: Callable[[], T], *, within_seconds: float, every_seconds: float = 0.01, message: str = "") -> T:
    """Poll until `what` gives something true; what it last gave stands in the failure."""
    end = time.monotonic() + within_seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, f"not within {within_seconds} s: {message or what}, last {found!r}"
        time.sleep(every_seconds)


def at_once(*parts: Callable[[], object]) -> None:
    """Run these side by side, each in a thread, and wait for all; what failed is shown, all of it."""
    with ThreadPoolExecutor(len(parts)) as pool:
        running = [pool.submit(part) for part in parts]
        failed = ["".join(format_exception(error)) for run in running if (error := run.exception()) is not None]
    assert not failed, f"{len(failed)} of {len(parts)} parts failed\n" + "\n".join(failed)


@dataclass
class Sidecar:
    """One sidecar's process. Its name becomes POD_NAME, and with a uid its identity."""

    name: str
    folder: Path
    environment: Mapping[str, str]
    uid: str = "u1"
    launcher: tuple[str, ...] = ()
    """Put before the command: `nsenter …` for another network namespace."""
    program: tuple[str, ...] = (sys.executable, "-m", "sidecar")
    """The command itself."""
    port: int = field(default_factory=free_port)
    probe_port: int = field(default_factory=free_port)
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def identity(self) -> str:
        """What stands in holderIdentity while it leads."""
        return f"{self.name}_{self.uid}"

    @property
    def log_path(self) -> Path:
        """Its standard error, over all its lives."""
        return self.folder / f"{self.name}.log"

    @property
    def log(self) -> str:
        """What it has logged so far."""
        return self.log_path.read_text(encoding="utf-8") if self.log_path.exists() else ""

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def start(self, **more: str) -> "Sidecar":
        """Start the process; does not wait for it to serve."""
        inherited = {key: value for key, value in os.environ.items() if not key.startswith(("LEADER_", "POD_", "KUBE"))}
        environment = inherited | {
            "LEADER_LISTEN": f"127.0.0.1:{self.port}",
            "LEADER_PROBE_LISTEN": f"127.0.0.1:{self.probe_port}",
            "LEADER_LOG_FORMAT": "text",
            "POD_NAME": self.name,
            "POD_UID": self.uid,
            "PYTHONPATH": str(ROOT),
            **self.environment,
            **more,
        }
        with self.log_path.open("ab") as log:
            self.process = subprocess.Popen([*self.launcher, *self.program], env=environment, stdout=log, stderr=log, cwd=self.folder)
        return self

    def metric(self, name: str) -> float:
        """The sum of that metric's samples."""
        lines = self.ask("/metrics").body.decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(f"{name}{{"))

    def ask(  # noqa: PLR0913 - what a request may carry
        self, path: str = "/leader", *, method: str = "GET", body: object = None, limit_seconds: float = 5, probe: bool = False,
            headers: Mapping[str, str] | None = None) -> "Reply":  # fmt: skip
        """One request; raises OSError or HTTPException where there is no answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.probe_port if probe else self.port, timeout=limit_seconds)
        try:
            connection.request(method, path, body=None if body is None else json.dumps(body), headers=dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, dict(response.headers), response.read())
        finally:
            connection.close()

    def leader(self) -> dict[str, Any]:
        """`GET /leader`; {} while it does not answer."""
        try:
            return self.ask(limit_seconds=2).json
        except (OSError, http.client.HTTPException):
            return {}

    def leads(self) -> bool:
        """Whether it says so now."""
        return bool(self.leader().get("is_leader"))

    def serving(self, within_seconds: float = 20) -> "Sidecar":
        """Wait for its listener; where many start side by side that takes longer."""
        until(lambda: self.leader() or self.exited(), within_seconds=within_seconds, message=f"{self.name} serves\n{self.log}")
        assert not self.exited(), f"{self.name} ended with {self.process and self.process.returncode}:\n{self.log}"
        return self

    def informed(self, of: str = "", within_seconds: float = 20) -> dict[str, Any]:
        """Its answer, as soon as it names a leader (that one, if one is given)."""

        def answer() -> dict[str, Any]:
            found = self.leader()
            return found if found.get("name") and of in ("", found["name"]) else {}

        return until(answer, within_seconds=within_seconds, message=f"{self.name} knows who leads")

    def exited(self) -> bool:
        """Whether the process has ended."""
        return self.process is not None and self.process.poll() is not None

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to this process alone."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL, and wait for it to be gone."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def wait(self, within_seconds: float) -> int:
        """Its exit code."""
        assert self.process is not None
        return self.process.wait(within_seconds)


@dataclass(frozen=True)
class Reply:
    """An HTTP answer, read whole."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON."""
        return dict(json.loads(self.body))


def the_leader(sidecars: list[Sidecar], *, within_seconds: float, other_than: Sidecar | None = None) -> Sidecar:
    """The one that says it leads, as soon as one does."""
    candidates = [sidecar for sidecar in sidecars if sidecar is not other_than and not sidecar.exited()]
    return (
        until(
            lambda: next((sidecar for sidecar in candidates if sidecar.leads()), None),
            within_seconds=within_seconds,
            message="somebody leads\n" + "\n".join(f"--- {sidecar.name}\n{sidecar.log[-2000:]}" for sidecar in sidecars),
        )
        or candidates[0]
    )  # never: `until` fails first


@dataclass(frozen=True)
class Acting:
    """An application may act from `from_ns` until `until_ns` (CLOCK_BOOTTIME) in the term with this token."""

    identity: str
    token: int
    from_ns: int
    until_ns: int


class Witness:
    """Polls every sidecar from a thread of its own, as an application would, and keeps what each was allowed to do."""

    def __init__(self, sidecars: list[Sidecar], every_seconds: float = 0.01) -> None:
        self._sidecars = sidecars
        self._every_seconds = every_seconds
        self._done = threading.Event()
        self._threads: list[threading.Thread] = []
        self.acting: list[Acting] = []
        self.answers = 0
        self._connections = {
            sidecar.name: (http.client.HTTPConnection("127.0.0.1", sidecar.port, timeout=30), threading.Lock()) for sidecar in sidecars
        }
        """One each, kept, and who has it uses it alone."""
        self._ended: dict[str, int] = {}
        """By sidecar: the process beside which the app has ended; beside the next one it is a new app."""
        self.drained: dict[tuple[str, int], int] = {}
        """(identity, token) -> since when the app had stopped, by its own word or its end."""

    def _poll(self, sidecar: Sidecar) -> None:
        connection, asking = self._connections[sidecar.name]
        while not self._done.is_set():
            try:
                with asking:
                    if self._ended.get(sidecar.name, 0) == sidecar.pid:
                        raise ConnectionAbortedError
                    connection.request("GET", "/leader")
                    answer = json.loads(connection.getresponse().read())
                now_ns = boottime_ns()
            except (OSError, http.client.HTTPException, ValueError):
                connection.close()
                self._done.wait(self._every_seconds)
                continue
            self.answers += 1
            if answer.get("is_leader"):
                self.acting.append(Acting(answer["identity"], answer["fencing_token"], now_ns, answer["valid_until_boottime_ns"]))
            self._done.wait(self._every_seconds)
        connection.close()

    def stopped_acting(self, sidecar: Sidecar, token: int) -> None:
        """The app of this sidecar has stopped now, whatever deadline it was given."""
        self.drained.setdefault((sidecar.identity, token), boottime_ns())

    def ended(self, sidecar: Sidecar, token: int) -> None:
        """The app of this sidecar's process has ended now: it asks no more, and its connection is closed."""
        connection, asking = self._connections[sidecar.name]
        with asking:
            self._ended[sidecar.name] = sidecar.pid
            connection.close()
        self.stopped_acting(sidecar, token)

    def __enter__(self) -> Self:
        for sidecar in self._sidecars:
            thread = threading.Thread(target=self._poll, args=(sidecar,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        for thread in self._threads:
            thread.join(40)

    def terms(self) -> list[Acting]:
        """One row a term: from the first moment somebody could act in it to the last, in the order of their beginning."""
        rows: dict[tuple[str, int], Acting] = {}
        for row in list(self.acting):
            key = (row.identity, row.token)
            until_ns = min(row.until_ns, self.drained.get(key, row.until_ns))
            known = rows.get(key, row)
            last_ns = max(known.until_ns, until_ns) if key in rows else until_ns
            rows[key] = Acting(row.identity, row.token, min(known.from_ns, row.from_ns), last_ns)
        return sorted(rows.values(), key=lambda row: row.from_ns)

    def check(self) -> list[Acting]:
        """No given deadline reaches into another's term, and tokens only grow. The terms seen."""
        terms = self.terms()
        for before, after in pairwise(terms):
            assert after.token > before.token, f"a token that did not grow: {before} then {after}"
            if before.identity != after.identity:
                overlap = (before.until_ns - after.from_ns) / 1e9
                assert overlap <= 0, f"two leaders for {overlap:.3f} s: {before} and {after}"
        return terms


@contextmanager
def ending(sidecars: list[Sidecar]) -> Iterator[list[Sidecar]]:
    """Every process that is still there at the end is ended, stopped ones too."""
    try:
        yield sidecars
    finally:
        for sidecar in sidecars:
            sidecar.kill()
