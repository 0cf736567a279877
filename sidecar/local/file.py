"""The SQLite file that holds Leases: one inode, which is never written to once its path names another.

Raises sqlite3.Error and OSError; `local` says what they mean for a store.
"""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

APPLICATION_ID: Final = int.from_bytes(b"lead")
"""In the file's header (SQLite file format, section 1.3): distinguishes the file from another program's database, which is left alone."""
SCHEMA: Final = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    """CREATE TABLE IF NOT EXISTS lease (
        namespace TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL CHECK (typeof(version) = 'integer'),
        body TEXT NOT NULL, PRIMARY KEY (namespace, name))""",
    "CREATE TABLE IF NOT EXISTS newest (version INTEGER NOT NULL CHECK (typeof(version) = 'integer'))",
)
"""`newest` is the largest version that the file has given out, like etcd's revision: it outlives the Leases."""
OWN_MODE: Final = 0o600

Key = tuple[str, str]
"""Namespace and name."""
Row = tuple[int, bytes]
"""Version and JSON text."""


class UnusableFileError(Exception):
    """No Lease can be kept at this path: one line that says what is wrong, and what is allowed."""


class GoneError(Exception):
    """The file that was open is no longer at the path, or there is none."""


class UncertainError(Exception):
    """The commit failed: whether the write stands cannot be told."""


@dataclass(frozen=True, slots=True)
class LeaseFile:
    """An open file. Its methods block for microseconds; where another process has the lock they raise at once."""

    path: Path
    inode: tuple[int, int]
    sql: sqlite3.Connection

    @classmethod
    def open(cls, path: Path, first_version: int, *, make: bool, wait_seconds: float) -> Self:
        """Open the file at `path`; with `make`, make one with mode 0600 where there is none. A new file starts at `first_version`.

        `wait_seconds`: how long to block while another process has the lock. Raises GoneError where there is no file, and
        UnusableFileError where the file is no regular one, or another program's.
        """
        if make:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, OWN_MODE))
        elif not path.exists():
            raise GoneError
        if not path.is_file():
            raise UnusableFileError("the path is no regular file")
        inode = _inode(path)
        # mode=rw makes no file: a file that is removed at this very moment does not come back with other rights.
        sql = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=wait_seconds, isolation_level=None)
        try:
            file = cls(path, inode, sql)
            file._set_up(first_version)
        except BaseException:
            sql.close()
            raise
        return file

    def _set_up(self, first_version: int) -> None:
        sql = self.sql
        sql.text_factory = bytes  # any body can be read, also one that is no UTF-8
        others = sql.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if others and sql.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise UnusableFileError("the file is a database of another program")
        # A write-ahead log could be taken for that of a file that has replaced this one; a rollback journal exists only during a write.
        # No write waits for the disk: a crash of the machine ends every process that relied on the write.
        sql.execute("PRAGMA journal_mode = DELETE")
        sql.execute("PRAGMA synchronous = OFF")
        with self.transaction():
            for statement in SCHEMA:  # the first one writes: where that is not allowed it fails now, not at the first renewal
                sql.execute(statement)
            if sql.execute("SELECT count(*) FROM newest").fetchone()[0] == 0:
                sql.execute("INSERT INTO newest VALUES (?)", (first_version,))
        sql.execute("PRAGMA busy_timeout = 0")  # from here on the loop is not held up

    def is_there(self) -> bool:
        """Whether the path still names this open file, by its inode. The inode is not reused for another file while this one is open."""
        try:
            return _inode(self.path) == self.inode
        except OSError:
            return False

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """A transaction with the lock from its start, so that no later statement finds the file locked. Undone if the file is gone then."""
        self.sql.execute("BEGIN EXCLUSIVE")
        try:
            yield
            if not self.is_there():
                raise GoneError
            try:
                self.sql.execute("COMMIT")
            except sqlite3.Error as error:
                raise UncertainError(str(error)) from None
        finally:
            if self.sql.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self.sql.execute("ROLLBACK")

    def find(self, key: Key) -> Row | None:
        """The Lease's row."""
        row = self.sql.execute("SELECT version, body FROM lease WHERE namespace = ? AND name = ?", key).fetchone()
        return (int(row[0]), bytes(row[1])) if row is not None else None

    def next_version(self) -> int:
        """A version that no Lease of this file has had. Call it within `transaction`."""
        self.sql.execute("UPDATE newest SET version = version + 1")
        return int(self.sql.execute("SELECT max(version) FROM newest").fetchone()[0])

    def put(self, key: Key, version: int, text: str) -> None:
        """Write the Lease's row. In a transaction."""
        self.sql.execute("REPLACE INTO lease VALUES (?, ?, ?, ?)", (*key, version, text))

    def close(self) -> None:
        """Close the file; an open transaction is undone."""
        with contextlib.suppress(sqlite3.Error):
            self.sql.close()


def is_busy(error: Exception) -> bool:
    """Whether another process had the lock: nothing was done."""
    return _code(error) in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def said(error: Exception, path: Path) -> str:
    """The error in words for a user."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return f"there is no folder {path.parent}"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_READONLY_DIRECTORY:
        return f"{error}: SQLite keeps a journal beside it during a write, and the folder {path.parent} is not writable"
    broken = _code(error) in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT}
    return f"{error}: remove the file, and the sidecar makes a new one" if broken else str(error) or type(error).__name__


def _code(error: Exception) -> int:
    return int(getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)) & 0xFF  # an extended code's low byte


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
