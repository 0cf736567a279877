"""A Lease in an SQLite file: elects among the processes of one machine, for developing without a cluster.

It behaves as the Kubernetes API does, the simplest way: JSON in a row, a version that grows, merge patches conditional on it. Opened for
the first time, the Lease is there and empty, as the manifests ship it to a cluster; so that a fresh file is led at once. A file that is
deleted or replaced under its users (its device or inode differ) is a missing Lease from then on, until one of them creates it anew.
"""

import contextlib
import json
import os
import re
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sidecar.clock import Clock
from sidecar.lease import JSON, parse
from sidecar.stores.protocol import Busy, Changed, Conflict, Deleted, Denied, Done, Missing, Opened, Outcome, Store, Unknown, WatchEvent

POLL_SECONDS: Final = 0.01
"""A change is seen within 20 ms; a look costs some 20 µs."""
LOCK_WAIT_SECONDS: Final = 0.05
"""A transaction takes less than a millisecond; it blocks the loop, so it does not wait for long."""
_MICROTIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}(Z|[+-]\d\d:\d\d)", re.ASCII)


class StoreUnusable(Exception):  # noqa: N818 - said to the user
    """The file cannot hold a Lease: what is wrong with the path, and what is allowed."""


class LocalStore(Store):
    """One Lease in one file; several Leases and many processes may share the file."""

    def __init__(self, path: str, namespace: str, name: str, clock: Clock) -> None:
        """Open the file, made with an empty Lease if it is new. Raises StoreUnusable."""
        self._path = Path(path)
        self._key = (namespace, name)
        self._clock = clock
        try:
            self._file = self._open()
            with self._transaction(whole=False):
                self._insert({}, replace=False)
        except (sqlite3.Error, OSError) as error:
            allowed = "the path must name an SQLite file, or a new one in a folder that is there and writable"
            raise StoreUnusable(f"the store local:{path} cannot be used: {error}; {allowed}") from None

    def _open(self) -> sqlite3.Connection:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self._path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        file = sqlite3.connect(self._path, timeout=LOCK_WAIT_SECONDS, isolation_level=None)
        # The journal of a file that may be replaced under its users has to go with it: no WAL. And no fsync: a crash of the machine ends
        # every process that could rely on what was written.
        file.execute("PRAGMA journal_mode = DELETE")
        file.execute("PRAGMA synchronous = OFF")
        file.execute(
            "CREATE TABLE IF NOT EXISTS lease (namespace TEXT, name TEXT, version INTEGER, body TEXT, PRIMARY KEY (namespace, name))"
        )
        status = self._path.stat()
        self._inode = (status.st_dev, status.st_ino)
        return file

    def _is_there(self) -> bool:
        try:
            status = self._path.stat()
        except OSError:
            return False
        return (status.st_dev, status.st_ino) == self._inode

    @contextmanager
    def _transaction(self, *, whole: bool = True) -> Iterator[None]:
        """One at a time on this machine; undone if the file is found replaced before the commit."""
        self._file.execute("BEGIN IMMEDIATE")
        try:
            yield
            if whole and not self._is_there():
                raise FileNotFoundError(self._path)  # noqa: TRY301 - undone like any other fault
            self._file.execute("COMMIT")
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                self._file.execute("ROLLBACK")
            raise

    def _select(self) -> tuple[int, JSON] | None:
        row = self._file.execute("SELECT version, body FROM lease WHERE namespace = ? AND name = ?", self._key).fetchone()
        if row is None:
            return None
        body = json.loads(row[1])
        return int(row[0]), body if isinstance(body, dict) else {}

    def _insert(self, body: JSON, *, replace: bool) -> int:
        """Versions of a new Lease start at the wall clock's microseconds: above those of a file that went before."""
        version = self._clock.wall_us()
        how = "REPLACE" if replace else "IGNORE"
        row = (*self._key, version, json.dumps(body))
        self._file.execute(f"INSERT OR {how} INTO lease VALUES (?, ?, ?, ?)", row)  # noqa: S608 - one of two words
        return version

    def _as_lease(self, version: int, body: JSON) -> JSON:
        metadata = body.get("metadata")
        names = {"namespace": self._key[0], "name": self._key[1], "resourceVersion": str(version)}
        return body | {"metadata": (metadata if isinstance(metadata, dict) else {}) | names}

    async def read(self) -> Outcome:
        """The Lease as it stands."""
        return self._attempt(self._read)

    async def patch(self, patch: JSON) -> Outcome:
        """Apply a merge patch, conditional on its resourceVersion."""
        return self._attempt(lambda: self._patch(patch))

    async def create(self, body: JSON) -> Outcome:
        """Create the Lease, in a new file if the former one is gone."""
        return self._attempt(lambda: self._create(body))

    def _attempt(self, attempt: Any) -> Outcome:
        try:
            outcome: Outcome = attempt()
        except FileNotFoundError:
            return Missing()
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
                return Busy(LOCK_WAIT_SECONDS)
            return Unknown(f"the store local:{self._path}: {error}")
        except (sqlite3.Error, OSError, ValueError, TypeError, RecursionError) as error:
            return Denied(f"the store local:{self._path}: {error}")
        return outcome

    def _read(self) -> Outcome:
        found = self._select() if self._is_there() else None
        return Done(parse(self._as_lease(*found))) if found is not None else Missing()

    def _patch(self, patch: JSON) -> Outcome:
        if not self._is_there():
            return Missing()
        with self._transaction():
            found = self._select()
            if found is None:
                return Missing()
            version, body = found
            before = self._as_lease(version, body)
            after = merge(before, patch)
            if after["metadata"].get("resourceVersion") != str(version):
                return Conflict()
            invalid = complaint(after)
            if invalid:
                return Denied(f"the store refuses it as not valid: {invalid}")
            if after != before:
                version += 1
                text = json.dumps(after)
                self._file.execute("UPDATE lease SET version = ?, body = ? WHERE namespace = ? AND name = ?", (version, text, *self._key))
        return Done(parse(self._as_lease(version, after)))

    def _create(self, body: JSON) -> Outcome:
        invalid = complaint(body)
        if invalid:
            return Denied(f"the store refuses it as not valid: {invalid}")
        if not self._is_there():
            self._file.close()
            self._file = self._open()
        with self._transaction():
            if self._select() is not None:
                return Conflict()
            version = self._insert(body, replace=True)
        return Done(parse(self._as_lease(version, body)))

    async def watch(self) -> AsyncGenerator[WatchEvent, None]:
        """Look at the version often: cheap, and no dependency. Ends with its consumer."""
        yield Opened()
        known: int | None = None
        there = True
        while True:
            outcome = self._attempt(self._read) if not there or known != self._version() else None
            match outcome:
                case Done(record):
                    known, there = record.version_number, True
                    yield Changed(record)
                case Missing() if there:
                    known, there = None, False
                    yield Deleted()
                case _:
                    pass
            await self._clock.sleep(POLL_SECONDS)

    def _version(self) -> int | None:
        """The present version; None where there is none, or no telling."""
        try:
            row = self._file.execute("SELECT version FROM lease WHERE namespace = ? AND name = ?", self._key).fetchone()
        except sqlite3.Error:
            return None
        return int(row[0]) if row is not None and self._is_there() else None

    async def close(self) -> None:
        """Close the file."""
        self._file.close()


def merge(target: Any, patch: Any) -> Any:
    """RFC 7386, into a new value."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge(merged.get(key), value)
    return merged


def complaint(lease: JSON) -> str:
    """What the API server would refuse in a Lease's spec, or ""."""
    spec = lease.get("spec")
    if not isinstance(spec, dict):
        return ""
    duration, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if duration is not None and (not isinstance(duration, int) or not 0 < duration < 2**31):
        return f"spec.leaseDurationSeconds is {duration!r}: it must be greater than 0"
    if transitions is not None and (not isinstance(transitions, int) or not 0 <= transitions < 2**31):
        return f"spec.leaseTransitions is {transitions!r}: it must be 0 or more"
    for field in ("acquireTime", "renewTime"):
        time = spec.get(field)
        if time is not None and not (isinstance(time, str) and _MICROTIME.fullmatch(time)):
            return f"spec.{field} is {time!r}: it must be RFC 3339 with six digits of microseconds"
    return ""
