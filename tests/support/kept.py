"""What is made once and kept in the cache: under a lock, beside its place, and renamed when it is whole."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def cache() -> Path:
    """The folder that outlives a run: `${XDG_CACHE_HOME:-~/.cache}/leader-sidecar`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leader-sidecar"


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock: of two runs at once the second waits for the first. The kernel lets go of it with the process."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def once(path: Path, make: Callable[[Path], object]) -> Path:
    """`path`, made where it is missing: `make` gets a new empty folder on the same file system, and makes what is kept in it as `whole`.

    Whatever else `make` leaves in that folder is removed, also where it fails; `path` is there whole or not at all. A run that was killed
    leaves a folder `half-…`, which the next maker removes.
    """
    if path.exists():
        return path
    with alone(path.parent):
        if not path.exists():
            for left in path.parent.glob("half-*"):
                shutil.rmtree(left, ignore_errors=True)
            folder = Path(tempfile.mkdtemp(dir=path.parent, prefix="half-"))
            try:
                make(folder)
                (folder / "whole").rename(path)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    return path
