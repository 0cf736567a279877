"""The texts in the sidecar's code: what it can log, print or answer."""

import ast
from functools import cache
from pathlib import Path
from typing import Final

SIDECAR: Final = Path(__file__).resolve().parents[2] / "sidecar"


@cache
def string_constants() -> tuple[str, ...]:
    """Every string constant but docstrings; of an f-string the parts between its fields."""
    found: list[str] = []
    for path in SIDECAR.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        constants = [node for node in nodes if isinstance(node, ast.Constant) and id(node) not in docstrings]
        found += [node.value for node in constants if isinstance(node.value, str)]
    return tuple(found)


def unknown_parts(message: str) -> list[str]:
    """The parts of `message`, which stand between `…` or `: `, that no text in the code contains."""
    parts = [part.strip() for line in message.split("…") for part in line.split(": ") if len(part.strip(" :")) > 2]
    return [part for part in parts if not any(part in text for text in string_constants())]
