"""What the texts of this repository show: their blocks and how each is checked, the YAML in them, and Pods and images in any YAML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
JSON = dict[str, Any]
YAML = ("yaml", "yml")
_BLOCK = re.compile(r"^([ \t]*)```([^\n`]*)\n(.*?)^\1```[ \t]*$", re.DOTALL | re.MULTILINE)
_MARK = re.compile(r"<!-- ([^\n]*?) -->[ \t]*\n\s*\Z")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_TITLE = re.compile(r' title="([^"]+)"')


@dataclass(frozen=True)
class Block:
    """A fenced block in a text, of any language."""

    file: str
    """Below the repository's root."""
    line: int
    """Of its first fence, from 1 on."""
    heading: str
    """The chapter that it stands in."""
    language: str
    """The first word behind the fence; "" for none."""
    title: str
    """The title behind the language; "" for none."""
    mark: str
    """How the block is checked, from the HTML comment before it: see CONTRIBUTING.md. "" for none."""
    text: str
    """As written, less the indent of its fence, and without a line break at its end."""

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def documents(self) -> list[Any]:
        """Of a block of YAML: what it says."""
        return [found for found in yaml.safe_load_all(self.text) if found is not None]

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


def texts() -> list[Path]:
    """Every text for people."""
    folders = ("docs", "k8s", "examples", "demo", "image")
    return sorted([*ROOT.glob("*.md"), *(path for folder in folders for path in (ROOT / folder).rglob("*.md"))])


def blocks(file: str = "") -> list[Block]:
    """Every fenced block of the texts, or of one of them."""
    return [block for path in ([ROOT / file] if file else texts()) for block in _blocks(path)]


def block(file: str, language: str, begins: str = "") -> str:
    """The text of the one block of a file that is of that language and begins so, with a line break at its end."""
    (found,) = (each.text for each in blocks(file) if each.language == language and each.text.lstrip().startswith(begins))
    return f"{found}\n"


def manifests() -> list[Block]:
    """Every block of YAML in the texts."""
    return [each for each in blocks() if each.language in YAML]


def without_blocks(text: str, *languages: str) -> str:
    """A text less its fenced blocks, or less those of some languages."""
    return _BLOCK.sub(lambda found: "" if not languages or found[2].partition(" ")[0] in languages else found[0], text)


def _blocks(path: Path) -> Iterator[Block]:
    text = path.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        before, indent, info = text[: found.start()], found[1], found[2]
        mark, title = _MARK.search(before), _TITLE.search(info)
        yield Block(
            file=path.relative_to(ROOT).as_posix(),
            line=before.count("\n") + 1,
            heading=["", *_HEADING.findall(without_blocks(before))][-1],
            language=info.partition(" ")[0],
            title=title[1] if title else "",
            mark=mark[1] if mark else "",
            text="\n".join(line.removeprefix(indent) for line in found[3].splitlines()),
        )


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
