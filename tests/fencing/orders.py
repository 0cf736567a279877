"""A schema of its own on a PostgreSQL server, and what the recipes protect in it."""

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.fencing.page import weakened

TABLES = """
CREATE TABLE orders (id int PRIMARY KEY, state text NOT NULL);
CREATE TABLE stock (item text PRIMARY KEY, pieces int NOT NULL);
INSERT INTO orders VALUES (7, 'new');
INSERT INTO stock VALUES ('lamp', 5);
"""
USE = "SELECT use_token('shop/web', %s)"
SHIP = "UPDATE orders SET state = %s WHERE id = 7"


class Database:
    """A schema of its own on the server, with the recipe in it."""

    def __init__(self, server: str, schema: str, recipe: str) -> None:
        self._psycopg = importlib.import_module("psycopg")
        self._address = f"{server} options='-c search_path={schema}'"
        self.admin = self.connect()
        self.admin.execute(f"CREATE SCHEMA {schema}")
        self.admin.execute(TABLES)
        self.admin.execute(recipe)

    def connect(self) -> Any:
        """A connection in autocommit mode."""
        return self._psycopg.connect(self._address, autocommit=True)

    def state(self) -> str:
        """Of order 7."""
        return str(self.admin.execute("SELECT state FROM orders WHERE id = 7").fetchone()[0])

    @contextmanager
    def refused(self, *states: str) -> Iterator[None]:
        """The block ends in an error with one of these SQLSTATEs."""
        with pytest.raises(self._psycopg.Error) as raised:
            yield
        assert raised.value.sqlstate in states

    def waits(self) -> bool:
        """Whether a session waits for a lock."""
        sql = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
        return bool(self.admin.execute(sql).fetchone()[0])


class Fenced:
    """Order 7, written by a leader's transactions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def write(self, token: int, value: str) -> bool:
        """In a transaction of its own, on a connection of its own."""
        psycopg = importlib.import_module("psycopg")
        with self._database.connect() as connection:
            try:
                with connection.transaction():
                    connection.execute(USE, (token,))
                    connection.execute(SHIP, (value,))
            except psycopg.Error as error:
                if error.sqlstate != "STALE":
                    raise
                return False
        return True

    def read(self) -> str:
        """Its state."""
        return self._database.state()


class Row(Fenced):
    """The same by the column of the row."""

    def __init__(self, database: Database, statement: str) -> None:
        super().__init__(database)
        self._statement = weakened(statement, "'shipped'", "%(value)s").replace("81234", "%(token)s")

    def write(self, token: int, value: str) -> bool:
        """0 rows: refused."""
        with self._database.connect() as connection:
            return bool(connection.execute(self._statement, {"token": token, "value": value}).rowcount)
