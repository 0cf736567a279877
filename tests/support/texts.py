"""What the texts of this repository show of Kubernetes: the YAML in them, and Pods and images in any YAML."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
JSON = dict[str, Any]
_FENCE = re.compile(r"^([ \t]*)```ya?ml[^\n]*\n(.*?)^\1```", re.DOTALL | re.MULTILINE)


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
