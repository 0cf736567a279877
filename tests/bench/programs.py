"""The small programs of the bench as processes: bare.py, and the Go program that sends requests."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.bench.interpreters import Interpreter
from tests.bench.processes import pin
from tests.binaries.build import ensure


@contextmanager
def bare(interpreter: Interpreter, port: int | None = None) -> Iterator[int]:
    """`bare.py`, ready; its process id. Its imports are not lazy: it is to have them loaded."""
    command = [*interpreter.script(Path(__file__).with_name("bare.py")), *([] if port is None else [str(port)])]
    environment = interpreter.environ()
    environment.pop("PYTHON_LAZY_IMPORTS", None)
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready"), "bare.py does not start"
        yield process.pid
    finally:
        process.kill()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def asking(command: str, **flags: object) -> "subprocess.Popen[str]":
    """The Go program `bench load`, `bench wake` or `bench app`, started."""
    words = [f"--{flag}={value}" for flag, value in flags.items()]
    return subprocess.Popen([str(ensure("bench")["bench"]), command, *words], stdout=subprocess.PIPE, text=True)


def answered(process: "subprocess.Popen[str]", within_seconds: float) -> dict[str, Any]:
    """What it found, when it has ended."""
    said, _ = process.communicate(timeout=within_seconds)
    assert process.returncode == 0, f"the Go program ended with {process.returncode}"
    found: dict[str, Any] = json.loads(said)
    return found


def load(url: str, *, on: set[int] | None = None, **flags: object) -> dict[str, Any]:
    """Ask `url` again and again, from cores of its own if such are given; see load.go for the flags and the answer."""
    process = asking("load", url=url, **flags)
    if on is not None:
        pin(process.pid, on)
    return answered(process, within_seconds=300)
