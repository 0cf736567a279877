"""The Python in which the sidecar is measured: the image's own, as the image starts it, or the Python that runs the bench.

The image is a root file system. It is unpacked and entered by chroot, with this machine's /proc and folder for temporary files in it, in a
mount namespace of the process's own, so that nothing is left mounted. No user namespace, no Pod: only the Python and what is installed.
"""

import json
import os
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.e2e import image

ROOT = Path(__file__).resolve().parents[2]


class NoImageError(Exception):
    """The image cannot be had or entered here; the message says why."""


@dataclass(frozen=True)
class Interpreter:
    """A Python with the sidecar, and how to start either."""

    about: str
    """For people: which Python, with which switches."""
    python: tuple[str, ...]
    sidecar: tuple[str, ...]
    launcher: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    folder: Path | None = None
    """Where scripts must lie to be seen inside; None: anywhere."""

    def script(self, path: Path) -> tuple[str, ...]:
        """The command that runs a script of this folder in it."""
        if self.folder is not None:
            path = Path(shutil.copy(path, self.folder))
        return (*self.launcher, *self.python, str(path))

    def environ(self) -> dict[str, str]:
        """The whole environment of a process."""
        mine = {key: value for key, value in os.environ.items() if not key.startswith(("LEADER_", "POD_", "KUBE"))}
        return mine | {"PYTHONPATH": str(ROOT)} | dict(self.environment)


def own() -> Interpreter:
    """The Python that runs this, with the sidecar of the tree."""
    about = f"Python {platform.python_version()} of the tests, imports not lazy"
    return Interpreter(about, (sys.executable,), (sys.executable, "-m", "sidecar"))


@contextmanager
def of_the_image(*, build: bool) -> Iterator[Interpreter]:
    """The image's, unpacked for as long as this lasts. Raises NoImageError; without `build` also where it has not been built."""
    if not build and not image.path().exists():
        raise NoImageError("the image of this state of the code has not been built: python -m tests.e2e.image")
    try:
        archive = image.ensure()
    except image.ImageUnavailableError as error:
        raise NoImageError(str(error)) from None
    folder = Path(tempfile.mkdtemp(prefix="leader-sidecar-root-"))
    try:
        with ExitStack() as stack:
            yield _entered(archive, folder, stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _entered(archive: Path, folder: Path, stack: ExitStack) -> Interpreter:
    """Its mount namespace lasts as long as `stack`, so that to enter it takes next to no time."""
    root, scripts, temporary = folder / "root", folder / "scripts", tempfile.gettempdir()
    environment, entrypoint = _unpack(archive, root)
    scripts.mkdir()
    for inside in ("proc", temporary.lstrip("/")):
        (root / inside).mkdir(parents=True, exist_ok=True)
    names = ("unshare", "nsenter", "sh", "mount", "chroot", "sleep")
    tools = {name: shutil.which(name) for name in names}  # the PATH will be the image's
    if missing := [name for name, found in tools.items() if found is None]:
        raise NoImageError(f"to enter the image's root file system, {' and '.join(missing)} must be on the PATH")
    bind = f"{tools['mount']} --bind"
    mounts = f'{bind} /proc "$0/proc" && {bind} "{temporary}" "$0{temporary}" && echo mounted && exec {tools["sleep"]} infinity'
    command = [str(tools["unshare"]), "--mount", str(tools["sh"]), "-c", mounts, str(root)]
    holder = stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
    stack.callback(holder.kill)
    assert holder.stdout is not None
    assert holder.stderr is not None
    if holder.stdout.readline() != "mounted\n":
        raise NoImageError(f"the image's root file system cannot be entered here: {holder.stderr.read().strip()[-300:]}")
    launcher = (str(tools["nsenter"]), f"--mount=/proc/{holder.pid}/ns/mnt", str(tools["chroot"]), str(root))
    python = (str(Path(entrypoint[0]).parent / "python"),)
    said = subprocess.run([*launcher, *python, "--version"], env=environment, capture_output=True, text=True, check=False)
    if said.returncode != 0:
        raise NoImageError(f"the image's root file system cannot be entered here: {said.stderr.strip()[-300:]}")
    switches = ", ".join(f"{name}={value}" for name, value in environment.items() if name == "PYTHON_LAZY_IMPORTS")
    about = f"the image's {said.stdout.strip()}, {switches or 'imports not lazy'}"
    # The tree is not to be imported in place of what is installed there.
    return Interpreter(about, python, entrypoint, launcher, {**environment, "PYTHONPATH": ""}, scripts)


def _unpack(archive: Path, root: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """A docker-archive's layers, one over the other; its environment and entrypoint."""
    with tarfile.open(archive) as tar:
        manifest = json.loads(_file(tar, "manifest.json").read())[0]
        config = json.loads(_file(tar, manifest["Config"]).read())["config"]
        for name in manifest["Layers"]:
            with tarfile.open(fileobj=_file(tar, name)) as layer:
                layer.extractall(root, filter="tar")
    return dict(entry.split("=", 1) for entry in config["Env"]), tuple(config["Entrypoint"])


def _file(tar: tarfile.TarFile, name: str) -> IO[bytes]:
    file = tar.extractfile(name)
    assert file is not None, f"the image's archive holds no {name}"
    return file
