"""A hook of MkDocs for the site of docs/: links to files outside of docs/ lead to the repository there, and to the files in a checkout.

The site's addresses come from pyproject.toml, `[project.urls]`: they stand once.
"""

import posixpath
import re
import tomllib
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parents[1]
_LINK: Final = re.compile(r"\]\((?P<path>[^)\s:#]+)(?P<anchor>#[^)\s]*)?\)")


def repository() -> str:
    """The repository's address, without a slash at its end."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        return str(tomllib.load(file)["project"]["urls"]["Repository"]).rstrip("/")


def on_config(config: Any) -> Any:
    """MkDocs' event: the repository's link at the top of each page."""
    config.repo_url, config.repo_name = repository(), config.site_name
    return config


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """MkDocs' event: `markdown`, its links out of docs/ made absolute. Raises FileNotFoundError where one leads nowhere."""
    return outward(markdown, posixpath.join("docs", posixpath.dirname(page.file.src_uri)))


def outward(markdown: str, folder: str) -> str:
    """`markdown` of a page in `folder`, below the repository's root, with its links out of docs/ made absolute."""

    def replaced(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join(folder, found["path"]))
        if path.startswith("docs/"):
            return found[0]
        target = ROOT / path
        if path.startswith("..") or not target.exists():
            raise FileNotFoundError(f"{folder}: {found['path']} leads to nothing in this repository")
        return f"]({repository()}/{'tree' if target.is_dir() else 'blob'}/main/{path}{found['anchor'] or ''})"

    return _LINK.sub(replaced, markdown)
