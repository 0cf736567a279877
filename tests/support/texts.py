"""What the texts of this repository show: their blocks and how each is checked, the YAML in them, and Pods and images in any YAML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
JSON = dict[str, Any]
_FENCE = re.compile(r"^([ \t]*)```ya?ml[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)

_BLOCK = re.compile(r"^([ \t]*)```([^\n`]*)\n(.*?)^\1```[ \t]*$", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"<!-- ([^\n]*?) -->[ \t]*\n\s*\Z")


@dataclass(frozen=True)
class Shown:
    """A block of YAML in a text."""

    file: str
    """Below the repository's root."""
    heading: str
    """The chapter that it stands in."""
    text: str
    """As written."""

    @property
    def documents(self) -> list[Any]:
        """What it says."""
        return [found for found in yaml.safe_load_all(self.text) if found is not None]

    def __str__(self) -> str:
        return f"{self.file}: {self.heading}"


@dataclass(frozen=True)
class Block:
    """A fenced block in a text, of any language."""

    file: str
    """Below the repository's root."""
    line: int
    """Of its first fence, from 1 on."""
    language: str
    """The first word behind the fence; "" for none."""
    mark: str
    """How the block is checked, from the HTML comment before it: see CONTRIBUTING.md. "" for none."""
    text: str
    """As written, less the indent of its fence."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def commands(self) -> list[tuple[str, str]]:
        """Of a console block: each command with what is shown as its output."""
        found: list[tuple[str, str]] = []
        for line in self.text.splitlines():
            if line.startswith("$ "):
                found.append((line.removeprefix("$ "), ""))
            elif found and found[-1][0].endswith("\\"):
                found[-1] = (f"{found[-1][0]}\n{line}", "")
            elif found:
                found[-1] = (found[-1][0], found[-1][1] + line + "\n")
        return found


def blocks() -> list[Block]:
    """Every fenced block that a user may copy: of the README, docs/ and k8s/."""
    found = []
    for path in texts():
        file = path.relative_to(ROOT).as_posix()
        if file != "README.md" and not file.startswith(("docs/", "k8s/")):
            continue
        text = path.read_text(encoding="utf-8")
        for block in _BLOCK.finditer(text):
            mark = _MARK.search(text[: block.start()])
            lines = [line.removeprefix(block[1]) for line in block[3].splitlines()]
            words = (*block[2].split(), "")
            found.append(Block(file, text.count("\n", 0, block.start()) + 1, words[0], mark[1] if mark else "", "\n".join(lines)))
    return found


def texts() -> list[Path]:
    """Every text for people."""
    folders = ("docs", "k8s", "examples", "demo", "image")
    return sorted([*ROOT.glob("*.md"), *(path for folder in folders for path in (ROOT / folder).rglob("*.md"))])


def shown() -> list[Shown]:
    """Every block of YAML in the texts."""
    found = []
    for path in texts():
        text = path.read_text(encoding="utf-8")
        for block in _FENCE.finditer(text):
            heading = re.findall(r"^#+ (.+)$", without_yaml(text[: block.start()]), re.MULTILINE)[-1]
            lines = (line.removeprefix(block[1]) for line in block[2].splitlines())
            found.append(Shown(str(path.relative_to(ROOT)), heading, "\n".join(lines)))
    return found


def without_yaml(text: str) -> str:
    """A text less its blocks of YAML."""
    return _FENCE.sub("", text)


def pods(document: Any) -> Iterator[JSON]:
    """The Pods that a document shows, as manifests with a name: Pods, Pod templates however deep, and specs that stand alone."""
    if isinstance(document, list):
        for each in document:
            yield from pods(each)
    elif isinstance(document, dict):
        spec = document.get("spec")
        if isinstance(spec, dict) and not {"containers", "initContainers"}.isdisjoint(spec):
            metadata = {key: value for key, value in document.get("metadata", {}).items() if key != "namespace"}
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": metadata | {"name": "shown"}, "spec": spec}
        elif not {"containers", "initContainers"}.isdisjoint(document):
            yield {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "shown"}, "spec": document}
        else:
            for each in document.values():
                yield from pods(each)
