"""The recipes, taken out of docs/guides/fencing.md: each block of code has a title, and that is its file name."""

import importlib.util
import sys
from pathlib import Path
from typing import Any

from tests.support.texts import blocks

PAGE = "docs/guides/fencing.md"


def block(title: str) -> str:
    """The text of the one block of that title."""
    (found,) = (each.text for each in blocks(PAGE) if each.title == title)
    return f"{found}\n"


def weakened(text: str, old: str, new: str) -> str:
    """A recipe with one part replaced, which must stand in it exactly once."""
    assert text.count(old) == 1, (text.count(old), old)
    return text.replace(old, new)


def loaded(folder: Path, title: str, text: str = "") -> Any:
    """A Python block (or a weaker `text` of it) as a module, from a file of its title in `folder`."""
    path = folder / title
    path.write_text(text or block(title), encoding="utf-8")
    spec = importlib.util.spec_from_file_location(f"shown_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module
