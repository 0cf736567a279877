"""Every link of a text leads to a file that is there, and to a heading in it, on the site as in a checkout."""

import re
import unicodedata
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.texts import ROOT, texts, without_blocks
from tools.site import outward, repository

FILES = sorted({*texts(), *(ROOT / ".github").rglob("*.md")})
_LINK = re.compile(r"\]\(<?([^)\s>]+)>?\)")


@cache
def anchors(page: Path) -> frozenset[str]:
    """The headings of a page as anchors, where GitHub and MkDocs make the same one."""
    text = without_blocks(page.read_text(encoding="utf-8"))
    found = set()
    for heading in re.findall(r"^#{1,6} (.+)$", text, re.MULTILINE):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)|[`*]", r"\1", heading).strip().lower()
        github = re.sub(r"[^\w\- ]", "", plain).replace(" ", "-")
        ascii_only = unicodedata.normalize("NFKD", plain).encode("ascii", "ignore").decode()
        mkdocs = re.sub(r"[-\s]+", "-", re.sub(r"[^\w\s-]", "", ascii_only).strip())
        if github == mkdocs:
            found.add(github)
    return frozenset(found)


def broken(page: Path) -> Iterator[str]:
    """The links of a page that lead nowhere."""
    for link in _LINK.findall(without_blocks(page.read_text(encoding="utf-8"))):
        if re.match("[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or not target.is_relative_to(ROOT):
            yield f"{link}: no such file"
        elif anchor and (target.suffix != ".md" or anchor not in anchors(target)):
            yield f"{link}: no heading there has this anchor on both GitHub and the site"


@pytest.mark.parametrize("page", FILES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_each_link_leads_somewhere(page: Path) -> None:
    assert list(broken(page)) == []


def test_a_link_out_of_the_docs_leads_to_the_repository_on_the_site() -> None:
    """One that stays in docs/ is MkDocs' own; one that leads nowhere stops the build."""
    assert outward("[a](../../k8s/base)", "docs/guides") == f"[a]({repository()}/tree/main/k8s/base)"
    assert outward("[a](../LICENSE#x)", "docs") == f"[a]({repository()}/blob/main/LICENSE#x)"
    assert outward("[a](../rules.md)", "docs/guides") == "[a](../rules.md)"
    with pytest.raises(FileNotFoundError, match="leads to nothing"):
        outward("[a](../../nothing)", "docs/guides")
