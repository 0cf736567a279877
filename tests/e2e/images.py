"""The images that the node runs, as tar files that containerd imports.

`sidecar_image` is the one under test. The others are made by hand from files of this machine: `pause_image`, which holds a Pod's
namespaces, and `app_image`, a shell and curl and the libraries that they need, nothing else.
"""

import hashlib
import io
import json
import re
import shutil
import subprocess
import tarfile
from pathlib import Path

from tests.e2e import image
from tests.e2e.configuration import PAUSE_IMAGE
from tests.support.kept import cache, once

APP_IMAGE = "leader-sidecar.test/app:1"
SIDECAR_IMAGE = image.NAME


def sidecar_image() -> Path:
    """The image under test, built from the Dockerfile where it is missing. Raises image.ImageUnavailableError."""
    return image.ensure()


def pause_image(program: Path) -> Path:
    """The image of the process that a Pod's namespaces belong to."""
    return _image(PAUSE_IMAGE, {"pause": program}, entrypoint=["/pause"])


def app_image() -> Path:
    """An application that is nothing but a shell, curl and sleep."""
    files: dict[str, Path] = {}
    for name, program in (
        ("bin/sh", "dash"),
        ("bin/curl", "curl"),
        ("bin/sleep", "sleep"),
        ("bin/cat", "cat"),
        ("bin/mkdir", "mkdir"),
        ("bin/chmod", "chmod"),
        ("bin/rm", "rm"),
    ):
        found = shutil.which(program)
        if found is None:
            raise FileNotFoundError(f"{program} is not on the PATH: the application of the tests is made of it")
        files[name] = Path(found)
        listed = subprocess.run(["ldd", found], capture_output=True, text=True, check=True).stdout
        files |= {path.lstrip("/"): Path(path) for path in re.findall(r"(/\S+)(?: \(0x)", listed)}
    return _image(APP_IMAGE, files, environment=["PATH=/bin"])


def _image(name: str, files: dict[str, Path], entrypoint: list[str] | None = None, environment: list[str] | None = None) -> Path:
    """A docker-archive of one layer with these files; kept, by what is in them."""
    layer = io.BytesIO()
    with tarfile.open(fileobj=layer, mode="w") as tar:
        for inside, path in sorted({**files}.items()):
            info = tarfile.TarInfo(inside)
            info.mode, info.size = 0o755, path.stat().st_size
            with path.open("rb") as file:
                tar.addfile(info, file)
        tmp = tarfile.TarInfo("tmp")
        tmp.type, tmp.mode = tarfile.DIRTYPE, 0o1777
        tar.addfile(tmp)
    digest = hashlib.sha256(layer.getvalue()).hexdigest()
    config = json.dumps(
        {
            "architecture": _architecture(),
            "os": "linux",
            "config": {"Entrypoint": entrypoint, "Env": environment, "User": "65532"},
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{digest}"]},
        }
    ).encode()
    manifest = json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]).encode()

    def pack(folder: Path) -> None:
        with tarfile.open(folder / "whole", "w") as tar:
            for inside, content in (("config.json", config), ("manifest.json", manifest), ("layer.tar", layer.getvalue())):
                info = tarfile.TarInfo(inside)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))

    return once(cache() / "images" / f"{hashlib.sha256(config + manifest).hexdigest()[:12]}.tar", pack)


def _architecture() -> str:
    """As images name it."""
    machine = subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout.strip()
    return {"x86_64": "amd64", "aarch64": "arm64"}.get(machine, machine)
