"""A Lease in an SQLite file: an election among the processes of one machine, for developing without a cluster, and for the demo.

The store behaves as the Kubernetes API does: JSON in a row, a version that only grows, merge patches conditional on the version. It differs
where it must:

* Where the path has no file, the store makes one with an **empty Lease** that is free at once, as the manifests ship one to a cluster. If
  it reported the Lease missing, a placeholder would hold it first, and a first start would take a lease duration (S7).
* Only a file that was deleted or replaced while the store had it open is a **missing** Lease: device and inode of the path are no longer
  those of the open file. The store says so once, so that no candidate overlooks it; then it opens the file that stands there now, and
  `create` makes one. The store never writes to a file that is no longer at the path.
* A new file starts its versions at the wall clock's microseconds, above any that a former file reached by counting.
* A process that is stopped (SIGSTOP) in the half millisecond of a write holds SQLite's lock: no other process can write until it goes on or
  is killed.

The file has to be on a local file system: locks and inodes of network file systems cannot be relied on.
"""

import json
import sqlite3
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Final, TypeVar

from sidecar.clock import Clock
from sidecar.election.record import JSON, parse
from sidecar.election.store import (
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
from sidecar.escaping import cut
from sidecar.local.file import GoneError, LeaseFile, UncertainError, UnusableFileError, is_busy, said
from sidecar.local.validation import complaint, merged

__all__ = ["LocalStore", "UnusableFileError"]

POLL_SECONDS: Final = 0.01
"""Between two looks of a watch, so that a change is seen within 20 ms. A look (a stat and a SELECT) takes some 15 µs."""
ALIVE_LOOKS: Final = 25
"""After so many looks without news a watch says that it is alive."""
LOCK_PAUSES: Final = (0.001,) * 20 + (0.005,) * 36
"""The pauses between tries while another process has the lock: 0.2 s together, and a write takes half a millisecond."""
BUSY_SECONDS: Final = 0.05
"""The `retry_after_seconds` where another process still has the lock."""
START_WAIT_SECONDS: Final = 1.0
"""How long the start may block for the lock: several processes may start at once, and nothing is served yet."""

Found = TypeVar("Found")


class LocalStore(Store):
    """One Lease in one file; several Leases and many processes may share the file. No threads."""

    def __init__(self, path: str, namespace: str, name: str, clock: Clock) -> None:
        """Open the file; a new one gets mode 0600 and an empty Lease. Raises UnusableFileError."""
        self._path = Path(path).absolute()
        self._key = (namespace, name)
        self._clock = clock
        self._file: LeaseFile | None = None
        self._begun = False
        self._closed = False
        self._losses = 0
        """The number of files that were deleted or replaced while this store had them open."""
        self._newest = 0
        """The largest version seen: a new file starts above it, even where the wall clock was set back."""
        try:
            self._file = self._open(make=True, wait_seconds=START_WAIT_SECONDS)
        except GoneError:
            return  # the file was removed while it was opened: the next call opens the file that stands there then
        except (sqlite3.Error, OSError, ValueError, UnusableFileError, UncertainError) as error:
            if not is_busy(error):
                allowed = "the path must name a file that a leader-sidecar made, or a new file in a writable folder"
                raise UnusableFileError(_one_line(f"the store local:{path} cannot be used: {said(error, self._path)}; {allowed}")) from None

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
        if self._file is not None:
            self._file.close()

    # ---- one try ------------------------------------------------------------------------------------------------------------------

    async def _attempt(self, what: Callable[[], Outcome]) -> Outcome:
        """Try, again and again while another process has the lock. A cancellation falls between two tries: then nothing was written."""
        for pause in LOCK_PAUSES:
            outcome = self._try(what)
            if not isinstance(outcome, Busy):
                return outcome
            await self._clock.sleep(pause)
        return self._locked()

    def _try(self, what: Callable[[], Found]) -> Found | Outcome:
        """Try once; an outcome, never an exception. Nothing is written before the commit, so only a commit that fails leaves doubt."""
        if self._closed:
            return Unknown(f"the store local:{self._path} is closed")
        try:
            return what()
        except GoneError:
            self._let_go()
            return Missing()
        except UncertainError as error:
            self._let_go()
            return Unknown(self._complains(error))
        except Exception as error:  # noqa: BLE001 - the store's promise: an outcome, never an exception
            if is_busy(error):
                return self._locked()
            # A file without its tables counts as deleted (it is set up when it is opened anew), and SQLite refuses a file that was moved.
            file = self._file
            gone = file is not None and ("no such table" in str(error) or not file.is_there())
            if file is not None and (gone or file.sql.in_transaction):
                self._let_go()
            return Missing() if gone else Denied(self._complains(error))

    def _locked(self) -> Busy:
        return Busy(BUSY_SECONDS, _one_line(f"the store local:{self._path}: another process has the file's lock"))

    def _read(self) -> Outcome:
        return self._look(None) or Missing()

    def _look(self, known: tuple[int, str] | None) -> Outcome | None:
        """The Lease as it stands; None if it is the version `known`."""
        found = self._here().find(self._key)
        if found is None:
            return Missing()
        return None if known == (self._losses, str(found[0])) else self._done(found[0], self._lease(*found))

    def _patch(self, patch: JSON) -> Outcome:
        file = self._here()
        with file.transaction():
            found = file.find(self._key)
            if found is None:
                return Missing()
            version, before = found[0], self._lease(*found)
            after = merged(before, patch)
            base = after["metadata"].get("resourceVersion") if _is_whole(after) else None
            if base not in (None, "", str(version)):  # without a version: unconditional
                return Conflict()
            invalid = complaint(after, *self._key)
            if invalid:
                return self._invalid(invalid)
            if _text(self._named(after, version)) != _text(before):
                version = self._put(file, after)
        return self._done(version, after)

    def _create(self, body: JSON) -> Outcome:
        lease = merged({}, body)
        invalid = complaint(lease, *self._key)
        if invalid:
            return self._invalid(invalid)
        try:
            file = self._here()
        except GoneError:
            self._let_go()
            file = self._file = self._open(make=True)
        with file.transaction():
            if file.find(self._key) is not None:
                return Conflict()
            version = self._put(file, lease)
        return self._done(version, lease)

    def _done(self, version: int, lease: JSON) -> Done:
        self._newest = max(self._newest, version)
        return Done(parse(self._named(lease, version)))

    def _invalid(self, complaint: str) -> Denied:
        return Denied(_one_line(f"the store local:{self._path} refuses the Lease as invalid: {complaint}"))

    # ---- the file -----------------------------------------------------------------------------------------------------------------

    def _here(self) -> LeaseFile:
        """The file at the path. Raises GoneError where there is none, and once where it is another file than before."""
        if self._file is None:
            self._file = self._open(make=not self._begun)
        elif not self._file.is_there():
            raise GoneError
        return self._file

    def _let_go(self) -> None:
        if self._file is not None:
            self._losses += 1
            self._file.close()
            self._file = None

    def _open(self, *, make: bool, wait_seconds: float = 0.0) -> LeaseFile:
        """Open the file at the path. The first file that this store opens gets an empty Lease, if it has none."""
        first_version = max(self._clock.wall_us(), self._newest + 1)
        file = LeaseFile.open(self._path, first_version, make=make, wait_seconds=wait_seconds)
        try:
            if not self._begun:
                with file.transaction():
                    if file.find(self._key) is None:
                        self._put(file, {})
        except BaseException:
            file.close()
            raise
        self._begun = True
        return file

    # ---- the Lease ----------------------------------------------------------------------------------------------------------------

    def _lease(self, version: int, text: bytes) -> JSON:
        """The Lease of a row, as an API server would show it; an empty one for junk."""
        try:
            lease = json.loads(text)
        except (ValueError, RecursionError):
            lease = None
        return self._named(lease if isinstance(lease, dict) else {}, version)

    def _named(self, lease: JSON, version: int) -> JSON:
        metadata = lease.get("metadata")
        names = {"namespace": self._key[0], "name": self._key[1], "resourceVersion": str(version)}
        return {**lease, "metadata": {**(metadata if isinstance(metadata, dict) else {}), **names}}

    def _put(self, file: LeaseFile, lease: JSON) -> int:
        version = file.next_version()
        file.put(self._key, version, _text(self._named(lease, version)))
        return version

    def _complains(self, error: Exception) -> str:
        return _one_line(f"the store local:{self._path}: {said(error, self._path)}")


def _is_whole(lease: object) -> bool:
    return isinstance(lease, dict) and isinstance(lease.get("metadata"), dict)


def _text(lease: JSON) -> str:
    return json.dumps(lease, sort_keys=True, allow_nan=False)


def _one_line(text: str) -> str:
    return cut(" ".join(text.split()), 400)
