"""The PostgreSQL recipes of docs/guides/fencing.md, on a real server: the fence table, and the column of a single row."""

import importlib
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fencing import servers
from tests.fencing.orders import SHIP, USE, Database, Fenced, Row
from tests.fencing.page import block, loaded, weakened
from tests.fencing.scenarios import SCENARIOS, TIMEOUT_SECONDS, Scenario, caught

pytestmark = pytest.mark.xdist_group("fencing-postgresql")  # one server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server's connection string."""
    servers.packages()
    with servers.postgresql(tmp_path_factory.mktemp("postgresql")) as address:
        yield address


@pytest.fixture
def made(server: str) -> Iterator[Callable[[str], Database]]:
    """Make a database with a recipe in it."""
    databases = []

    def make(recipe: str) -> Database:
        databases.append(Database(server, f"s_{secrets.token_hex(8)}", recipe))
        return databases[-1]

    yield make
    for each in databases:
        each.admin.close()


@pytest.fixture
def database(made: Callable[[str], Database]) -> Database:
    """With fence.sql in it."""
    return made(block("fence.sql"))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_the_fence_table_refuses_the_old_leader_and_nobody_else(database: Database, scenario: Scenario) -> None:
    scenario(Fenced(database))


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda each: each.__name__)
def test_the_column_refuses_the_old_leader_and_nobody_else(made: Callable[[str], Database], scenario: Scenario) -> None:
    scenario(Row(made(block("column.sql")), block("one_row.sql")))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (" WHERE fence.token <= excluded.token", ""),
        ("<= excluded.token", "< excluded.token"),  # with the first look below, equal tokens never come here
        (" AND token = with_token", ""),
        (" AND token = with_token", " AND token >= with_token"),
        ("<=", ">="),
    ],
)
def test_a_weaker_fence_table_is_noticed(made: Callable[[str], Database], old: str, new: str) -> None:
    recipe = weakened(block("fence.sql"), old, new)
    if new.startswith("<"):
        recipe = weakened(recipe, "    IF FOUND THEN\n        RETURN;\n    END IF;\n", "")
        recipe = weakened(recipe, " FOR SHARE", "")  # two sessions that both hold it would end in a deadlock, which tells nothing of "<"
    assert caught(lambda: Fenced(made(recipe)))


@pytest.mark.parametrize(("old", "new"), [(" AND fencing_token <= 81234", ""), ("<=", "<"), (", fencing_token = 81234 ", " ")])
def test_a_weaker_column_is_noticed(made: Callable[[str], Database], old: str, new: str) -> None:
    assert caught(lambda: Row(made(block("column.sql")), weakened(block("one_row.sql"), old, new)))


def test_the_shown_transaction_ships_and_takes_from_the_stock_until_a_later_leader_has_written(database: Database) -> None:
    with database.connect() as connection:
        connection.execute(block("write.sql"))
        assert database.state() == "shipped"
        database.admin.execute(USE, (81235,))
        with database.refused("STALE"):
            connection.execute(block("write.sql"))
    assert database.admin.execute("SELECT pieces FROM stock").fetchone()[0] == 4


def test_no_token_is_refused(database: Database) -> None:
    with database.refused("23502"):
        database.admin.execute(USE, (None,))


def test_tokens_of_two_leases_are_not_compared(database: Database) -> None:
    database.admin.execute("SELECT use_token('shop/web', 9), use_token('shop/batch', 7)")
    database.admin.execute("SELECT use_token('shop/web', 9), use_token('shop/batch', 8)")


def test_the_python_form_ships_and_refuses(database: Database, tmp_path: Path) -> None:
    shown = loaded(tmp_path, "ship.py")
    with database.connect() as connection:
        shown.ship(connection, 81234, 7)
        assert database.state() == "shipped"
        database.admin.execute(USE, (81235,))
        database.admin.execute(SHIP, ("returned",))
        with pytest.raises(shown.StaleTokenError):
            shown.ship(connection, 81234, 7)
        assert database.state() == "returned"
        shown.ship(connection, 81235, 7)
        with database.refused("42P01"):
            connection.execute("DROP TABLE orders CASCADE")
            shown.ship(connection, 81235, 7)


class Two:
    """An old and a new leader's sessions, of which the second waits for the first."""

    def __init__(self, database: Database, level: str = "READ COMMITTED") -> None:
        self.database = database
        self.first, self.second = database.connect(), database.connect()
        for each in (self.first, self.second):
            each.execute(f"SET default_transaction_isolation = '{level}'")
        self.outcome: list[str] = []

    def both(self, first: int, second: int) -> list[str]:
        """The first one's transaction has written and is open while the second one begins. How the second ended: "" or an SQLSTATE."""
        psycopg = importlib.import_module("psycopg")

        def follow() -> None:
            try:
                with self.second.transaction():
                    self.second.execute("SELECT 1 FROM stock")  # a snapshot of before the first one's commit
                    self.second.execute(USE, (second,))
                    self.second.execute(SHIP, (str(second),))
            except psycopg.Error as error:
                self.outcome.append(error.sqlstate)
            else:
                self.outcome.append("")

        thread = threading.Thread(target=follow)
        with self.first.transaction():
            self.first.execute(USE, (first,))
            self.first.execute(SHIP, (str(first),))
            thread.start()
            limit = time.monotonic() + TIMEOUT_SECONDS
            while not self.database.waits():
                assert time.monotonic() < limit
                assert not self.outcome
                time.sleep(0.01)
        thread.join(TIMEOUT_SECONDS)
        return self.outcome


@pytest.fixture
def two(database: Database) -> Iterator[Callable[..., Two]]:
    """Make two sessions on the database, on which token 7 has been used."""
    database.admin.execute(USE, (7,))
    made: list[Two] = []

    def make(level: str = "READ COMMITTED") -> Two:
        made.append(Two(database, level))
        return made[-1]

    yield make
    for each in made:
        each.first.close()
        each.second.close()


def test_an_old_leader_that_waits_for_the_new_ones_commit_is_refused(database: Database, two: Callable[..., Two]) -> None:
    assert two().both(first=9, second=7) == ["STALE"]
    assert database.state() == "9"


def test_a_new_leader_that_waits_for_the_old_ones_commit_goes_through(database: Database, two: Callable[..., Two]) -> None:
    assert two().both(first=7, second=9) == [""]
    assert database.state() == "9"


@pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
def test_at_stricter_levels_an_old_leader_is_refused_at_the_latest_when_it_tries_again(
    database: Database, two: Callable[..., Two], level: str
) -> None:
    sessions = two(level)
    assert sessions.both(first=9, second=7) in (["40001"], ["STALE"])
    with database.refused("STALE"):
        sessions.second.execute(USE, (7,))
    assert database.state() == "9"


def waits_for_the_old_leader(database: Database) -> bool:
    """Whether a new leader's first use of its token waits while a transaction of the old one is open."""
    database.admin.execute(USE, (7,))
    with database.connect() as old, database.connect() as new, old.transaction():
        old.execute(USE, (7,))
        new.execute("SET lock_timeout = '100ms'")
        try:
            new.execute(USE, (9,))
        except importlib.import_module("psycopg").errors.LockNotAvailable:
            return True
    return False


def test_a_new_leader_begins_when_no_transaction_of_the_old_one_is_open(made: Callable[[str], Database]) -> None:
    """Else the old one could write after the new one has read. Without the lock it does not wait."""
    assert waits_for_the_old_leader(made(block("fence.sql")))
    assert not waits_for_the_old_leader(made(weakened(block("fence.sql"), " FOR SHARE", "")))


def test_transactions_of_one_term_do_not_wait_for_each_other_at_the_fence(database: Database) -> None:
    """Only where they write the same row."""
    database.admin.execute(USE, (9,))
    with database.connect() as one, database.connect() as other, one.transaction(), other.transaction():
        other.execute("SET LOCAL lock_timeout = '5s'")
        one.execute(USE, (9,))
        other.execute(USE, (9,))
        one.execute(SHIP, ("shipped",))
        other.execute("UPDATE stock SET pieces = pieces - 1")


class Paused:
    """A connection whose process stops before it updates, in the middle of its transaction."""

    def __init__(self, connection: Any, meanwhile: Callable[[], None]) -> None:
        self._connection, self._meanwhile = connection, meanwhile
        self.transaction = connection.transaction

    def execute(self, sql: str, values: tuple[Any, ...] = ()) -> Any:
        """Pause before an update."""
        if sql.startswith("UPDATE"):
            self._meanwhile()
        return self._connection.execute(sql, values)


def test_a_paused_transaction_of_the_old_leader_ends_by_its_timeout(database: Database, tmp_path: Path) -> None:
    """The new leader waits for the lock no longer than that, and the old one's update does not happen."""
    shown = loaded(tmp_path, "ship.py", weakened(block("ship.py"), "'5s'", "'300ms'"))

    def new_leader() -> None:
        with database.connect() as connection:
            connection.execute("SET lock_timeout = '20s'")
            connection.execute(USE, (9,))

    database.admin.execute(USE, (7,))
    connection = database.connect()
    with database.refused("25P03"):
        shown.ship(Paused(connection, new_leader), 7, 7)
    assert database.state() == "new"
    connection.close()
