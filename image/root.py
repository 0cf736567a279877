"""The image's root file system: Python, the libraries that it loads, and the sidecar; no shell, no package manager, no pip.

`python image/root.py VENV ROOT`, run by the Dockerfile in its build stage, by the Python that is to be copied: puts into ROOT the
interpreter, its standard library less what no sidecar needs, VENV, and each shared library that any of them is linked to, at the paths
they have here; compiles byte code; gives all files one time.
"""

import ast
import importlib.util
import marshal
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

UNUSED = {
    "__pycache__", "dist-packages", "ensurepip", "idlelib", "lib2to3", "pydoc_data", "site-packages", "sitecustomize.py", "test", "tkinter",
    "turtledemo", "venv",
}  # fmt: skip
"""Of the standard library, what stays behind. pip lies in ensurepip; Debian's sitecustomize.py costs each start 9 ms."""
UNUSED_EXTENSIONS = re.compile(r"(_curses\w*|_dbm|_gdbm|_test\w*|_tkinter|_xx\w*|readline|xx\w*)\.(.*\.)?so")
ACCOUNTS = {
    "etc/passwd": "root:x:0:0:root:/:/sbin/nologin\nleader:x:65532:65532:leader-sidecar:/:/sbin/nologin\n",
    "etc/group": "root:x:0:\nleader:x:65532:\n",
    "etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\n",
}
DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
DPKG = Path("/var/lib/dpkg")


class Root:
    """The file system in the making, below `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.copied: set[Path] = set()
        folder.mkdir(parents=True)
        for link in (path for path in Path("/").iterdir() if path.is_symlink()):  # /lib -> usr/lib, where the base has it so
            (folder / link.name).symlink_to(link.readlink())
            (folder / link.readlink()).mkdir(parents=True, exist_ok=True)

    def inside(self, path: Path) -> Path:
        """Where a path of this machine lies in the image; links among its folders are followed."""
        return self.folder / path.parent.resolve().relative_to("/") / path.name

    def add(self, path: Path) -> None:
        """A file, and if it is a link what it points to, step by step."""
        target = self.inside(path)
        if os.path.lexists(target):
            return
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(path, target, follow_symlinks=False)
        self.copied.add(path.parent.resolve() / path.name)
        if path.is_symlink():
            self.add(path.parent / path.readlink())

    def add_tree(self, folder: Path, left_out: set[str]) -> None:
        """A folder without those of these names."""
        for path in sorted(folder.iterdir()):
            if path.name in left_out or path.name.startswith("config-") or UNUSED_EXTENSIONS.fullmatch(path.name):
                continue
            if path.is_dir() and not path.is_symlink():
                self.add_tree(path, left_out)
            elif path.exists():
                self.add(path)

    def add_libraries(self) -> None:
        """What the programs and libraries so far are linked to, as the loader finds it here."""
        for path in sorted(self.copied):
            if path.is_file() and not path.is_symlink() and path.open("rb").read(4) == b"\x7fELF":
                for library in linked_to(path):
                    self.add(library)


def linked_to(path: Path) -> Iterator[Path]:
    """The shared libraries that a program or library needs, theirs included, and the loader. Ends the build where one is missing."""
    done = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False)
    if "not found" in done.stdout:
        sys.exit(f"{path} needs a library that the base image lacks:\n{done.stdout}")
    for name in re.findall(r"(/\S+) \(0x", done.stdout):
        yield Path(name)


def add_loader_cache(root: Root) -> None:
    """Where the loader looks beside its own folders: the official Python images keep libpython in /usr/local/lib."""
    for path in (Path("/etc/ld.so.conf"), *sorted(Path("/etc/ld.so.conf.d").glob("*.conf"))):
        if path.exists():
            root.add(path)
    subprocess.run(["ldconfig", "-r", str(root.folder)], check=True)


def add_packages(root: Root, venv: Path) -> None:
    """What a scanner looks for, and licences ask for: the Debian packages that files came from, as distroless images tell them."""
    if not (DPKG / "status").exists():
        return
    names = [str(path) for path in sorted(root.copied) if not path.is_relative_to(venv)]
    names += [name.removeprefix("/usr") for name in names if name.startswith("/usr/lib")]  # merged /usr: known by its older path
    done = subprocess.run(["dpkg-query", "--search", *names], capture_output=True, text=True, check=False)
    found = [line.split(": /")[0] for line in done.stdout.splitlines() if not line.startswith("diversion")]
    owners = {owner.split(":")[0] for line in found for owner in line.split(", ")}  # "libc6:amd64", and several where they share a folder
    for owner in sorted(owners):
        status = subprocess.run(["dpkg-query", "--status", owner], capture_output=True, text=True, check=True).stdout
        write(root, f"var/lib/dpkg/status.d/{owner}", status)
        copyright_ = Path("/usr/share/doc") / owner / "copyright"
        if copyright_.exists():
            root.add(copyright_.resolve())
            root.add(copyright_)


def write(root: Root, name: str, text: str) -> None:
    """A file of our own."""
    path = root.folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def compile_all(root: Root, *folders: Path) -> None:
    """Byte code that is never compared with its source: the root is read-only, and times are not its own."""
    for folder in folders:
        for path in sorted(root.inside(folder).rglob("*.py")):
            compiled = path.parent / "__pycache__" / f"{path.stem}.{sys.implementation.cache_tag}.pyc"
            compiled.parent.mkdir(exist_ok=True)
            try:
                compiled.write_bytes(byte_code(path.read_bytes(), f"/{path.relative_to(root.folder)}"))
            except (SyntaxError, ValueError) as error:
                sys.exit(f"{path} does not compile: {error}")


def byte_code(source: bytes, name: str) -> bytes:
    """A .pyc file (PEP 552, unchecked) without docstrings, which every process would keep in memory; assertions stay, as -OO has it not."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, DOCUMENTED) and ast.get_docstring(node, clean=False) is not None:
            rest = node.body[1:]
            node.body = rest or [ast.copy_location(ast.Pass(), node.body[0])]
    code = compile(tree, name, "exec", dont_inherit=True, optimize=0)
    return importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little") + importlib.util.source_hash(source) + marshal.dumps(code)


def settle(root: Root) -> None:
    """One time for all, readable by everybody, owned by root."""
    when = int(os.environ.get("SOURCE_DATE_EPOCH") or 0)
    (root.folder / "tmp").mkdir()
    for path in [root.folder, *sorted(root.folder.rglob("*"))]:
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
        os.utime(path, (when, when), follow_symlinks=False)
    (root.folder / "tmp").chmod(0o1777)


def main(venv: Path, folder: Path) -> None:
    """Put it together."""
    root = Root(folder)
    standard_library = Path(sysconfig.get_path("stdlib"))
    root.add(Path(sys.executable))
    root.add(Path(sys.executable).resolve())
    root.add_tree(standard_library, UNUSED)
    root.add_tree(venv, {"__pycache__", "include", "Activate.ps1", "activate", "activate.csh", "activate.fish"})
    root.add_libraries()
    add_loader_cache(root)
    add_packages(root, venv)
    for name in ("/etc/os-release", "/etc/localtime"):
        if Path(name).exists():
            root.add(Path(name))
    for name, text in ACCOUNTS.items():
        write(root, name, text)
    compile_all(root, standard_library, venv)
    settle(root)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
