"""A Lease in an SQLite file: elects among the processes of one machine, for developing without a cluster, and for the demo.

It behaves as the Kubernetes API does: JSON in a row, a version that only grows, merge patches conditional on it. Where it has to be itself:

* A path without a file gets one, with an **empty Lease** that is free at once, as the manifests ship one to a cluster. Reported missing, it
  would be created held by the sentinel, and a first start would take a lease duration (S7).
* Only a file that was there and is deleted or replaced under its users is a **missing** Lease: device and inode of the path are no longer
  those of the open file. Said once, so that nobody overlooks it; then the file that stands there now is opened, and `create` makes one.
  What is no longer at the path is never written to.
* A new file starts its versions at the wall clock's microseconds, above any that a former file reached by counting.
* A process that is stopped (SIGSTOP) in the half millisecond of a write holds SQLite's lock: nobody writes until it goes on or is killed.

The file has to be on a local file system: locks and inodes of network file systems are not to be trusted.
"""

import contextlib
import json
import os
import sqlite3
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from sidecar.clock import Clock
from sidecar.lease import JSON, parse
from sidecar.stores.protocol import (
    Alive,
    Busy,
    Changed,
    Closed,
    Conflict,
    Deleted,
    Denied,
    Done,
    Missing,
    Opened,
    Outcome,
    Store,
    Unknown,
    WatchEvent,
)
from sidecar.stores.rules import complaint, merged

POLL_SECONDS: Final = 0.01
"""How often a watch looks, so that a change is seen within 20 ms. A look (a stat and a SELECT) takes some 15 µs."""
ALIVE_LOOKS: Final = 25
"""A watch without news says so after this many looks."""
LOCK_PAUSES: Final = (0.001,) * 20 + (0.005,) * 36
"""Seconds between tries while another process has the lock, awaited: 0.2 s where a write takes half a millisecond."""
BUSY_SECONDS: Final = 0.05
START_WAIT_SECONDS: Final = 1.0
"""Before anything is served the loop may stand still for the lock: several processes start at once."""

APPLICATION_ID: Final = int.from_bytes(b"lead")
"""In the file's header (SQLite file format, section 1.3.11): tells it from another program's database, which is left alone."""
SCHEMA: Final = (
    f"PRAGMA application_id = {APPLICATION_ID}",
    """CREATE TABLE IF NOT EXISTS lease (
        namespace TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL CHECK (typeof(version) = 'integer'),
        body TEXT NOT NULL, PRIMARY KEY (namespace, name))""",
    "CREATE TABLE IF NOT EXISTS newest (version INTEGER NOT NULL CHECK (typeof(version) = 'integer'))",
)
"""`newest` is the largest version that the file has given out, as etcd's revision: it outlives the Leases."""


Found = TypeVar("Found")


class StoreUnusable(Exception):  # noqa: N818 - said to the user
    """No Lease can be kept at this path: one line that says what is wrong, and what is allowed."""


class _GoneError(Exception):
    """The file that was open is no longer at the path, or there is none."""


class _UncertainError(Exception):
    """The commit failed: what was written may stand or not."""


@dataclass(frozen=True, slots=True)
class _File:
    sql: sqlite3.Connection
    path: Path
    inode: tuple[int, int]

    def is_there(self) -> bool:
        """Whether the path still names the file that is open. No other file gets its inode while it is open."""
        try:
            return _inode(self.path) == self.inode
        except OSError:
            return False

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """Alone on this machine from the start, so that nothing after it finds the file locked. Undone if the file is gone by then."""
        self.sql.execute("BEGIN EXCLUSIVE")
        try:
            self._check()
            yield self.sql
            self._check()
            try:
                self.sql.execute("COMMIT")
            except sqlite3.Error as error:
                raise _UncertainError(str(error)) from None
        finally:
            if self.sql.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self.sql.execute("ROLLBACK")

    def _check(self) -> None:
        if not self.is_there():
            raise _GoneError


class LocalStore(Store):
    """One Lease in one file; several Leases and many processes may share the file. No threads."""

    def __init__(self, path: str, namespace: str, name: str, clock: Clock) -> None:
        """Open the file; one that is made for it has mode 0600 and the Lease, empty. Raises StoreUnusable."""
        self._path = Path(path).absolute()
        self._key = (namespace, name)
        self._clock = clock
        self._file: _File | None = None
        self._begun = False
        self._closed = False
        self._losses = 0
        """How many files were deleted or replaced while they were open here."""
        self._newest = 0
        """The largest version seen: a new file starts above it even where the wall clock was set back."""
        try:
            self._file = self._open(make=True, wait_seconds=START_WAIT_SECONDS)
        except _GoneError:
            return  # removed while it was opened: the next call opens what stands there then
        except (sqlite3.Error, OSError, ValueError, StoreUnusable, _UncertainError) as error:
            if not _is_busy(error):
                allowed = "the path must name a file that this program made, or a new one in a folder that is there and writable"
                raise StoreUnusable(_one_line(f"the store local:{path} cannot be used: {self._said(error)}; {allowed}")) from None

    async def read(self) -> Outcome:
        """The Lease as it stands."""
        return await self._attempt(self._read)

    async def patch(self, patch: JSON) -> Outcome:
        """Apply a merge patch, once."""
        return await self._attempt(lambda: self._patch(patch))

    async def create(self, body: JSON) -> Outcome:
        """Create the Lease, in a new file where there is none."""
        return await self._attempt(lambda: self._create(body))

    async def watch(self) -> AsyncGenerator[WatchEvent, None]:
        """Opened, the present state if there is one, news, and Alive between them. Closed where the file cannot be read."""
        yield Opened()
        known: tuple[int, str] | None = None
        quiet = 0
        while True:
            outcome = self._try(lambda: self._look(known))  # noqa: B023 - called at once
            losses = self._losses
            quiet += 1
            if known is not None and (isinstance(outcome, Missing) or losses != known[0]):
                known = None
                yield Deleted()
            match outcome:
                case Done(record):
                    known = (losses, record.version)
                    quiet = 0
                    yield Changed(record)
                case Denied() | Unknown():
                    yield Closed(Unknown(outcome.message))
                    return
                case Missing() | None if quiet >= ALIVE_LOOKS:
                    quiet = 0
                    yield Alive()
                case _:
                    pass
            await self._clock.sleep(POLL_SECONDS)

    async def close(self) -> None:
        """Close the file; an open watch ends."""
        self._closed = True
        self._let_go()

    # ---- one try ------------------------------------------------------------------------------------------------------------------

    async def _attempt(self, what: Callable[[], Outcome]) -> Outcome:
        """A cancellation comes between two tries: then nothing was written."""
        for pause in LOCK_PAUSES:
            outcome = self._try(what)
            if not isinstance(outcome, Busy):
                return outcome
            await self._clock.sleep(pause)
        return Busy(BUSY_SECONDS)

    def _try(self, what: Callable[[], Found]) -> Found | Outcome:
        """An outcome, whatever happens. Before the commit nothing is written, so only a commit that fails leaves doubt."""
        if self._closed:
            return Unknown(f"the store local:{self._path} is closed")
        try:
            return what()
        except _GoneError:
            self._let_go()
            return Missing()
        except _UncertainError as error:
            self._let_go()
            return Unknown(self._complains(error))
        except Exception as error:  # noqa: BLE001 - the store's promise: an outcome, never an exception
            if _is_busy(error):
                return Busy(BUSY_SECONDS)
            # An emptied file is a deleted one (what is there is set up when it is opened); and SQLite refuses a file that has moved.
            gone = "no such table" in str(error) or (self._file is not None and not self._file.is_there())
            self._let_go()
            return Missing() if gone else Denied(self._complains(error))

    def _read(self) -> Outcome:
        return self._look(None) or Missing()

    def _look(self, known: tuple[int, str] | None) -> Outcome | None:
        """The Lease as it stands; None if that is known."""
        found = self._select(self._here().sql)
        if found is None:
            return Missing()
        return None if known == (self._losses, str(found[0])) else self._done(found[0], self._lease(*found))

    def _patch(self, patch: JSON) -> Outcome:
        with self._here().transaction() as sql:
            found = self._select(sql)
            if found is None:
                return Missing()
            version, before = found[0], self._lease(*found)
            after = merged(before, patch)
            base = after["metadata"].get("resourceVersion") if _is_whole(after) else None
            if base not in (None, "", str(version)):  # none at all: unconditional
                return Conflict()
            invalid = complaint(after, *self._key)
            if invalid:
                return self._invalid(invalid)
            if _text(self._named(after, version)) != _text(before):
                version = self._next(sql)
                row = (version, _text(self._named(after, version)), *self._key)
                sql.execute("UPDATE lease SET version = ?, body = ? WHERE namespace = ? AND name = ?", row)
        return self._done(version, after)

    def _create(self, body: JSON) -> Outcome:
        lease = merged({}, body)
        invalid = complaint(lease, *self._key)
        if invalid:
            return self._invalid(invalid)
        try:
            file = self._here()
        except _GoneError:
            file = self._file = self._open(make=True)
        with file.transaction() as sql:
            if self._select(sql) is not None:
                return Conflict()
            version = self._insert(sql, lease)
        return self._done(version, lease)

    def _done(self, version: int, lease: JSON) -> Done:
        self._newest = max(self._newest, version)
        return Done(parse(self._named(lease, version)))

    def _invalid(self, complaint: str) -> Denied:
        return Denied(_one_line(f"the store local:{self._path} refuses it as not valid: {complaint}"))

    # ---- the file -----------------------------------------------------------------------------------------------------------------

    def _here(self) -> _File:
        """The file at the path. Raises _GoneError where it is another than before, once, and where there is none."""
        if self._file is None:
            self._file = self._open(make=not self._begun)
        elif not self._file.is_there():
            raise _GoneError
        return self._file

    def _let_go(self) -> None:
        if self._file is not None:
            self._losses += 1
            file, self._file = self._file, None
            with contextlib.suppress(sqlite3.Error):
                file.sql.close()

    def _open(self, *, make: bool, wait_seconds: float = 0.0) -> _File:
        """Open what is at the path, and set it up if it is new. Raises _GoneError, StoreUnusable, OSError and sqlite3.Error."""
        if make:
            with contextlib.suppress(FileExistsError):
                os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        elif not self._path.exists():
            raise _GoneError
        if not self._path.is_file():
            raise StoreUnusable("what stands there is no file")
        inode = _inode(self._path)
        # It never makes a file: one that is removed in this moment must not come back with other rights.
        sql = sqlite3.connect(f"{self._path.as_uri()}?mode=rw", uri=True, timeout=wait_seconds, isolation_level=None)
        try:
            file = _File(sql, self._path, inode)
            self._set_up(file)
        except BaseException:
            sql.close()
            raise
        self._begun = True
        return file

    def _set_up(self, file: _File) -> None:
        sql = file.sql
        sql.text_factory = bytes  # whatever stands in a body, it is read
        others = sql.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
        if others and sql.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise StoreUnusable("it is a database of another program")
        # A write-ahead log beside a file that may be replaced could be taken for the new file's; a rollback journal is there only during
        # a write. Nothing waits for the disk: a crash of the machine ends every process that relied on what was written.
        sql.execute("PRAGMA journal_mode = DELETE")
        sql.execute("PRAGMA synchronous = OFF")
        with file.transaction():
            for statement in SCHEMA:
                sql.execute(statement)
            if _newest(sql) is None:
                sql.execute("INSERT INTO newest VALUES (?)", (max(self._clock.wall_us(), self._newest + 1),))
            if not self._begun and self._select(sql) is None:
                self._insert(sql, {})
            sql.execute("UPDATE newest SET version = version")  # fails now where it may be read only
        sql.execute("PRAGMA busy_timeout = 0")  # from here on the loop is not held up

    # ---- rows ---------------------------------------------------------------------------------------------------------------------

    def _select(self, sql: sqlite3.Connection) -> tuple[int, bytes] | None:
        row = sql.execute("SELECT version, body FROM lease WHERE namespace = ? AND name = ?", self._key).fetchone()
        return (int(row[0]), bytes(row[1])) if row is not None else None

    def _insert(self, sql: sqlite3.Connection, lease: JSON) -> int:
        version = self._next(sql)
        sql.execute("INSERT INTO lease VALUES (?, ?, ?, ?)", (*self._key, version, _text(self._named(lease, version))))
        return version

    def _next(self, sql: sqlite3.Connection) -> int:
        sql.execute("UPDATE newest SET version = version + 1")
        return int(_newest(sql) or 0)

    def _lease(self, version: int, text: bytes) -> JSON:
        """A row as the API server would show it; junk as an empty Lease."""
        try:
            lease = json.loads(text)
        except (ValueError, RecursionError):
            lease = None
        return self._named(lease if isinstance(lease, dict) else {}, version)

    def _named(self, lease: JSON, version: int) -> JSON:
        metadata = lease.get("metadata")
        names = {"namespace": self._key[0], "name": self._key[1], "resourceVersion": str(version)}
        return {**lease, "metadata": {**(metadata if isinstance(metadata, dict) else {}), **names}}

    def _complains(self, error: Exception) -> str:
        return _one_line(f"the store local:{self._path}: {self._said(error)}")

    def _said(self, error: Exception) -> str:
        if isinstance(error, FileNotFoundError | NotADirectoryError):
            return f"there is no folder {self._path.parent}"
        if isinstance(error, OSError):
            return error.strerror or str(error)
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        heal = ": remove it, and it is made anew" if code in {sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT} else ""
        return f"{error or type(error).__name__}{heal}"


def _newest(sql: sqlite3.Connection) -> int | None:
    found = sql.execute("SELECT max(version) FROM newest").fetchone()[0]
    return None if found is None else int(found)


def _inode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_busy(error: Exception) -> bool:
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _is_whole(lease: object) -> bool:
    return isinstance(lease, dict) and isinstance(lease.get("metadata"), dict)


def _text(lease: JSON) -> str:
    return json.dumps(lease, sort_keys=True, allow_nan=False)


def _one_line(text: str) -> str:
    return " ".join(text.split())[:400]
