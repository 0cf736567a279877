"""The image, built from the repository's Dockerfile on a machine that has no container engine: with Debian's buildah, as root.

`python -m tests.e2e.image` builds it where it is missing and prints where it lies. The base image is Debian sid with its Python 3.15,
from debootstrap, since no image registry is asked for anything. Both are kept in `${XDG_CACHE_HOME:-~/.cache}/leader-sidecar/…`, each in a
folder named after what it is made from, so that a second run has nothing to do.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.kept import cache, once

ROOT = Path(__file__).resolve().parents[2]
NAME = "localhost/leader-sidecar:e2e"
"""The image's name in the archive, for `ctr images import` and a Pod's `image:`."""
SUITE = "sid"
PACKAGES = "ca-certificates,python3.15-venv"
PROGRAMS = {"buildah": "buildah", "debootstrap": "debootstrap"}
"""Programs that are needed, each with its Debian package."""
_BASE = "localhost/leader-sidecar-base"
_SOURCES = ("Dockerfile", ".dockerignore", "pyproject.toml", "image", "requirements/build.txt", "requirements/runtime.txt", "sidecar")
_PIP_CONFIGURATIONS = (Path("/etc/pip.conf"), Path.home() / ".pip/pip.conf", Path.home() / ".config/pip/pip.conf")
_TRUSTED = Path("/etc/ssl/certs")


class ImageUnavailableError(Exception):
    """The image can neither be found nor built here; the message says why and what to do."""


def ensure() -> Path:
    """The image as an archive (docker-archive), built where it is missing. Raises ImageUnavailableError."""
    archive = path()
    if archive.exists():
        return archive
    _check()
    base = once(cache() / f"debian-{_base_key()}" / "root.tar", _make_base)
    return once(archive, lambda folder: _build(base, folder))


def path() -> Path:
    """Where the archive of this state of the code lies, once it is built."""
    return cache() / f"image-{_key()}" / "leader-sidecar.tar"


def _key() -> str:
    """Changes with all that goes into the image, and with the base."""
    digest = hashlib.sha256(_base_key().encode())
    for source in _SOURCES:
        files = sorted((ROOT / source).rglob("*")) if (ROOT / source).is_dir() else [ROOT / source]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(ROOT)}\0{file.stat().st_size}\0".encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def _base_key() -> str:
    return hashlib.sha256(f"{SUITE} {PACKAGES}".encode()).hexdigest()[:12]


def _check() -> None:
    """Everything that building needs is there. Raises ImageUnavailableError."""
    missing = [package for program, package in PROGRAMS.items() if shutil.which(program) is None]
    if missing:
        raise ImageUnavailableError(
            f"to build the image without a container engine, {' and '.join(missing)} must be there: apt install {' '.join(missing)}"
        )
    if os.geteuid() != 0:
        raise ImageUnavailableError("building the image without a container engine makes root file systems: run it as root")


def _make_base(folder: Path) -> None:
    """Debian's root file system, packed."""
    with _took(f"Debian {SUITE} with Python 3.15, from Debian's packages", "1 to 3 minutes"):
        _run("debootstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, str(folder / "root"))
        shutil.rmtree(folder / "root/var/cache/apt", ignore_errors=True)
        _run("tar", "--create", f"--file={folder}/whole", f"--directory={folder}/root", "--exclude=./dev/*", ".")


def _build(base: Path, folder: Path) -> None:
    with _took("the image from the Dockerfile", "1 to 2 minutes"):
        storage = ["--root", f"{folder}/storage", "--runroot", f"{folder}/run", "--storage-driver", "vfs"]
        (folder / "Dockerfile").write_text("FROM scratch\nADD root.tar /\n", encoding="utf-8")
        (folder / "context").mkdir()
        os.link(base, folder / "context/root.tar")
        _run("buildah", *storage, "bud", "--isolation", "chroot", "--tag", _BASE, "--file", f"{folder}/Dockerfile", f"{folder}/context")
        mounts = [word for source, target in _host_settings() for word in ("--volume", f"{source}:{target}:ro")]
        arguments = ["--build-arg", f"BASE={_BASE}", "--timestamp", "0"]
        _run("buildah", *storage, "bud", "--isolation", "chroot", *mounts, *arguments, "--tag", NAME, str(ROOT))
        _run("buildah", *storage, "push", NAME, f"docker-archive:{folder}/whole:{NAME}")


def _host_settings() -> Iterator[tuple[Path, Path]]:
    """How this machine reaches the package registry, for pip in the build alone: nothing of it enters the image."""
    yield _TRUSTED, _TRUSTED
    for file in _PIP_CONFIGURATIONS:
        if file.exists():
            yield file, Path("/etc/pip.conf")
            return


@contextmanager
def _took(what: str, usual: str) -> Iterator[None]:
    print(f"building {what}, usually {usual} when cold …", file=sys.stderr, flush=True)
    began = time.monotonic()
    yield
    print(f"built {what} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _run(*command: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ImageUnavailableError(f"{_shown(command)} fails: {(done.stderr or done.stdout)[-2000:]}")


def _shown(command: Sequence[str]) -> str:
    return " ".join([command[0], *[word for word in command[1:] if not word.startswith(("-", "/"))][:2]])


def main() -> None:
    """Build it, and say where it lies, how large it is and how long that took."""
    began = time.monotonic()
    archive = ensure()
    print(f"{NAME}: {archive}, {archive.stat().st_size / 1e6:.1f} MB, in {time.monotonic() - began:.1f} s")


if __name__ == "__main__":
    try:
        main()
    except ImageUnavailableError as error:
        sys.exit(f"cannot build the image: {error}")
