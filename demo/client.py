"""What an application does with its sidecar: ask over HTTP, act only until the deadline it was given.

`Client` is all that an application needs; `Seat.poll` and `Seat.listen` are its two ways to follow the answer.
"""

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

# macOS has no CLOCK_BOOTTIME; its CLOCK_MONOTONIC counts a sleeping machine already.
_BOOTTIME: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
NOBODY_ANSWERS = (OSError, http.client.HTTPException, ValueError)
"""The exceptions if a sidecar is down. No answer means: not the leader."""


def now_ns() -> int:
    """The clock that `valid_until_boottime_ns` is on: one call, no HTTP, before each side effect."""
    return time.clock_gettime_ns(_BOOTTIME)


@dataclass(frozen=True, slots=True)
class Answer:
    """A body of `GET /leader`, and between which two moments it was made."""

    body: dict[str, Any]
    asked_ns: int
    received_ns: int

    @property
    def until_ns(self) -> int:
        """Until when this Pod may act as the leader; 0 if it may not."""
        return int(self.body["valid_until_boottime_ns"]) if self.body["is_leader"] else 0

    @property
    def leads(self) -> bool:
        """Whether this Pod may act now. What an application asks right before it acts."""
        return now_ns() < self.until_ns


class Client:
    """One kept connection to one sidecar."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)

    def leader(self, since: str | None = None, wait_seconds: float = 0.0) -> Answer:
        """`GET /leader`; with `since` it returns when the version is another, or after `wait_seconds`.

        Raises one of NOBODY_ANSWERS.
        """
        path = "/leader" if since is None else f"/leader?since={quote(since, safe='')}&wait={round(wait_seconds * 1000)}ms"
        self._connection.timeout = wait_seconds + 1.0
        if self._connection.sock is not None:
            self._connection.sock.settimeout(self._connection.timeout)
        asked_ns = now_ns()
        try:
            self._connection.request("GET", path)
            response = self._connection.getresponse()
            body = json.loads(response.read())
        except NOBODY_ANSWERS:
            self._connection.close()
            raise
        if response.status != http.HTTPStatus.OK:
            raise ValueError(f"GET {path}: {response.status} {body}")
        return Answer(body, asked_ns, now_ns())

    def hang_up(self) -> None:
        """End the connection, from another thread as well: a request that waits on it raises."""
        if self._connection.sock is not None:
            with contextlib.suppress(OSError):
                self._connection.sock.shutdown(socket.SHUT_RDWR)


class Seat:
    """The application beside one sidecar: it polls for the deadline, and listens to be told of a change at once."""

    POLL_SECONDS = 0.025
    LISTEN_SECONDS = 10.0

    def __init__(self, port: int, heard: Callable[[Answer], None], told: Callable[[Answer], None]) -> None:
        self.port = port
        self.latest: Answer | None = None
        self._heard = heard
        self._told = told
        self._runs = threading.Event()
        self._at_rest: dict[Client, threading.Event] = {Client(port): threading.Event() for _ in range(2)}
        """One connection for each way, and whether it is closed for as long as the application does not run."""

    def follow(self) -> None:
        """Start both, for as long as this process lives."""
        self._runs.set()
        for way, client in zip((self.poll, self.listen), self._at_rest, strict=True):
            threading.Thread(target=way, args=(client,), daemon=True).start()

    def end(self) -> None:
        """End as a process ends: return when no request is under way and both connections are closed."""
        if not self._runs.is_set():
            return
        self._runs.clear()
        for client, at_rest in self._at_rest.items():
            while not at_rest.wait(0.002):
                client.hang_up()

    def begin(self) -> None:
        """Begin again, as a new process."""
        self._runs.set()

    def _rest(self, client: Client) -> None:
        if self._runs.is_set():
            return
        client.hang_up()
        self.latest = None
        self._at_rest[client].set()
        self._runs.wait()
        self._at_rest[client].clear()

    def poll(self, client: Client) -> None:
        """Ask again and again: each answer carries the newest deadline."""
        while True:
            self._rest(client)
            try:
                self.latest = client.leader()
                self._heard(self.latest)
            except NOBODY_ANSWERS:
                self.latest = None
            time.sleep(self.POLL_SECONDS)

    def listen(self, client: Client) -> None:
        """Long-poll: the request waits at the sidecar, and its answer is the news."""
        version: str | None = None
        while True:
            self._rest(client)
            try:
                answer = client.leader(since=version, wait_seconds=self.LISTEN_SECONDS)
            except NOBODY_ANSWERS:
                version = None
                time.sleep(self.POLL_SECONDS)
                continue
            self._heard(answer)
            if answer.body["version"] != version:
                self._told(answer)
            version = answer.body["version"]
