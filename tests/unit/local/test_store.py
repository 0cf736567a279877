"""The local store's file: how it comes to be, and which paths are refused."""

# ruff: noqa: ASYNC240 - local files: microseconds

import os
import sqlite3
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.clock import SystemClock
from sidecar.local.store import UnusableFileError
from tests.support.local_stores import FREE, ROOT, done, on, opened, record, spawn

# ---- a first start ----


async def test_a_new_path_gets_a_file_of_its_own_with_a_lease_that_is_free_at_once(path: Path) -> None:
    """The Lease is not missing, so no placeholder has to expire. No other user may read or write the file."""
    before_us = SystemClock().wall_us()
    found = await record(opened(path))
    assert found == replace(FREE, version=found.version)
    assert before_us < int(found.version) <= SystemClock().wall_us() + 10
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name], "nothing is left beside it"


async def test_whoever_opens_it_later_finds_what_stands_there(path: Path) -> None:
    held = done(await opened(path).patch(on(await record(opened(path)))))
    assert await record(opened(path)) == held


async def test_leases_of_other_names_in_the_same_file_are_apart(path: Path) -> None:
    web, api = opened(path, "web"), opened(path, "api")
    base = await record(api)
    held = done(await web.patch(on(await record(web))))
    assert await record(api) == base
    assert int(done(await api.patch(on(base))).version) > int(held.version), "one count of versions for the file, like etcd's"
    assert await record(web) == held


def test_processes_that_start_at_once_share_one_free_lease(path: Path) -> None:
    """Whoever comes first makes the file; nobody finds it half made."""
    code = """if True:
        import asyncio, sys
        from sidecar.clock import SystemClock
        from sidecar.local.store import LocalStore
        print("ready", flush=True)
        sys.stdin.readline()
        store = LocalStore(sys.argv[1], "shop", "web", SystemClock())
        print(asyncio.run(store.read()).record.version)
    """
    for turn in range(3):
        processes = [spawn(code, path.with_name(f"{turn}.db")) for _ in range(6)]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        answers = [process.communicate(timeout=30) for process in processes]
        assert len({out for out, _ in answers}) == 1, answers
        assert answers[0][0].strip().isdigit(), answers


def test_it_starts_no_thread(path: Path) -> None:
    before = threading.active_count()
    opened(path)
    assert threading.active_count() == before


# ---- a path that cannot be used ----


def make_text(path: Path) -> None:
    path.write_text("these are notes, and long enough that no header of a database could hide in them " * 20)


def make_foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as sql:
        sql.execute("PRAGMA journal_mode = WAL")
        sql.execute("CREATE TABLE lease (id)")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (Path.mkdir, "no regular file"),
        (os.mkfifo, "no regular file"),
        (lambda path: path.symlink_to("nowhere"), "no regular file"),
        (make_text, "not a database"),
        (make_foreign, "another program"),
    ],
)
def test_what_is_no_file_of_its_own_is_refused_in_one_line_and_left_alone(path: Path, make: Any, said: str) -> None:
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises(UnusableFileError) as refused:
        opened(path)
    message = str(refused.value)
    assert said in message
    assert f"local:{path}" in message
    assert "allowed" in message or "must name" in message
    assert "\n" not in message
    assert before is None or path.read_bytes() == before


@pytest.mark.parametrize(
    "path", [Path("/nowhere/at/all.db"), Path("/dev/null"), Path("/dev/null/x"), Path(), Path("/proc/x.db"), Path("a\0b")]
)
def test_a_path_where_no_file_can_be_is_refused_in_one_line(path: Path) -> None:
    with pytest.raises(UnusableFileError, match=r"cannot be used: .+; the path must name"):
        opened(path)


@contextmanager
def without_rights() -> Iterator[Path]:
    """A folder of one's own as somebody who is not root."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o777)
        is_root = os.geteuid() == 0
        if is_root:
            os.seteuid(65534)
        try:
            yield folder
        finally:
            if is_root:
                os.seteuid(0)
            folder.chmod(0o700)


def test_a_file_or_a_folder_that_may_not_be_written_is_refused_at_the_start_not_at_the_first_write() -> None:
    with without_rights() as folder:
        (folder / "read").mkdir()
        path = folder / "read" / "lease.db"
        opened(path)
        path.chmod(0o400)
        with pytest.raises(UnusableFileError, match="readonly"):
            opened(path)
        path.chmod(0o600)
        path.parent.chmod(0o500)
        with pytest.raises(UnusableFileError, match=r"the folder .+ is not writable"):
            opened(path)
        path.parent.chmod(0o700)
        opened(path)


@pytest.mark.parametrize("where", ["/nowhere/at/all.db", "/"])
def test_the_process_says_it_in_one_line_and_exits_2(where: str) -> None:
    environment = {
        "PATH": os.environ["PATH"],
        "LEADER_LEASE_NAME": "web",
        "LEADER_LEASE_NAMESPACE": "shop",
        "LEADER_IDENTITY": f"web-0_{os.getpid()}",
        "LEADER_STORE": f"local:{where}",
        "LEADER_LISTEN": "127.0.0.1:0",
        "LEADER_PROBE_LISTEN": "",
    }
    command = [sys.executable, "-m", "sidecar"]
    ended = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert ended.returncode == 2, ended.stderr
    lines = ended.stderr.splitlines()
    assert len(lines) == 1
    assert f"local:{where}" in lines[0]
