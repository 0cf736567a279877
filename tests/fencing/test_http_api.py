"""The HTTP recipe of docs/guides/fencing.md: the page's server as a process, asked by the page's client."""

import http.client
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.ports import free_port
from tests.fencing.page import block, loaded, weakened
from tests.fencing.scenarios import SCENARIOS, TIMEOUT_SECONDS, Scenario, caught
from tests.fencing.servers import running


def listens(port: int) -> bool:
    """Whether somebody does."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


class Api:
    """One path of the API."""

    def __init__(self, port: int, shown: Any) -> None:
        self.port, self._shown = port, shown

    def write(self, token: int, value: str) -> bool:
        """By the function that the page shows."""
        try:
            self._shown.fenced_put(f"http://127.0.0.1:{self.port}/jobs/7", token, value.encode())
        except self._shown.StaleTokenError:
            return False
        return True

    def read(self) -> str:
        """The value."""
        return self.ask("GET")[1]

    def ask(self, method: str, token: str | None = None) -> tuple[int, str]:
        """Status and body."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        headers = {} if token is None else {"X-Fencing-Token": token}
        connection.request(method, "/jobs/7", b"asked" if method == "PUT" else None, headers)
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, body


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Callable[..., Api]]:
    """Start the page's server, or a weaker one, on a database of its own; or once more on the same."""
    shown = loaded(tmp_path, "fenced_put.py")
    with ExitStack() as running_servers:

        def start(text: str = "", database: str = "") -> Api:
            port = free_port()
            program = tmp_path / "fenced_api.py"
            program.write_text(text or block("fenced_api.py"), encoding="utf-8")
            command = [sys.executable, str(program), str(port), database or f"data-{port}.db"]
            running_servers.enter_context(running(command, tmp_path, lambda: listens(port)))
            return Api(port, shown)

        yield start


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_the_api_refuses_the_old_leader_and_nobody_else(started: Callable[..., Api], scenario: Scenario) -> None:
    scenario(started())


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" WHERE token <= excluded.token", ""),
        ("<= excluded.token", "< excluded.token"),
        ("database.execute(USE_TOKEN, (int(token),)).rowcount", "database.execute(USE_TOKEN, (int(token),))"),
        ("token INTEGER NOT NULL", "token TEXT NOT NULL"),
    ],
)
def test_a_weaker_api_is_noticed(started: Callable[..., Api], old: str, new: str) -> None:
    assert caught(lambda: started(weakened(block("fenced_api.py"), old, new)))


COMPARED = "            refused = self.refusal(database)\n"
PAUSE = """
            if self.headers.get("X-Fencing-Token") == "7":
                open("paused", "w").close()
                __import__("time").sleep(0.5)
"""
TWO_STEPS = f"""
            database.execute("COMMIT")
            {PAUSE}
            database.execute("BEGIN IMMEDIATE")
"""


def overtaken(api: Api, folder: Path) -> str:
    """The old leader's request is paused after the comparison, and the new leader writes meanwhile. What stands in the end."""
    paused = folder / "paused"
    paused.unlink(missing_ok=True)
    old = threading.Thread(target=api.write, args=(7, "old"))
    old.start()
    while not paused.exists():
        assert old.is_alive()
        time.sleep(0.01)
    assert api.write(8, "new")
    old.join(TIMEOUT_SECONDS)
    return api.read()


def test_a_pause_between_comparison_and_write_lets_nothing_through(started: Callable[..., Api], tmp_path: Path) -> None:
    """They are one transaction; as two, the old leader's late write lands."""
    assert overtaken(started(weakened(block("fenced_api.py"), COMPARED, COMPARED + PAUSE)), tmp_path) == "new"
    assert overtaken(started(weakened(block("fenced_api.py"), COMPARED, COMPARED + TWO_STEPS)), tmp_path) == "old"


def test_each_status_is_as_the_page_says(started: Callable[..., Api]) -> None:
    api = started()
    assert api.ask("GET")[0] == 404
    assert api.ask("PUT", "9") == (200, "asked")
    assert api.ask("PUT", "9") == (200, "asked")
    assert api.ask("PUT", "10") == (200, "asked")
    assert api.ask("PUT", "9")[0] == 412
    assert api.ask("PUT")[0] == 428
    assert api.ask("GET") == (200, "asked")
    assert [api.ask("PUT", token)[0] for token in ("", "null", "-1", "1e9", "9" * 17, "9" * 5000)] == [400] * 6
    assert api.ask("PUT", str(2**53)) == (200, "asked")


def test_a_new_leader_reads_with_its_token_and_late_writes_are_refused_from_then_on(started: Callable[..., Api]) -> None:
    api = started()
    assert api.write(7, "old")
    assert api.ask("GET", "9") == (200, "old")
    assert not api.write(7, "late")
    assert api.ask("GET", "7")[0] == 412
    assert api.ask("GET") == (200, "old")


def test_a_restart_and_a_second_replica_remember_the_fence(started: Callable[..., Api]) -> None:
    first = started(database="shared.db")
    assert first.write(9, "new")
    second = started(database="shared.db")
    assert not second.write(7, "late")
    assert second.write(10, "newer")
    assert not first.write(9, "late")
    assert first.read() == "newer"
