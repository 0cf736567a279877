"""The texts that a user reads first have short sentences. A cell of a table and an item of a list count as sentences."""

import re
from pathlib import Path

import pytest

from tests.support.texts import without_blocks

ROOT = Path(__file__).resolve().parents[2]
AVERAGE_WORDS = 18
MOST_WORDS = 30
PAGES = [
    ROOT / "README.md",
    ROOT / "k8s" / "README.md",
    *(ROOT / name for name in ("CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md")),
    ROOT / "docs" / "rules.md",
    ROOT / "docs" / "index.md",
    ROOT / "docs" / "getting-started.md",
    *(
        path
        for folder in ("guides", "reference", "concepts", "operations", "internals")
        for path in sorted((ROOT / "docs" / folder).glob("*.md"))
    ),
]
README_LINES = 150
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"`[^`\n]+`")
_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_ITEM = re.compile(r"^[ \t]*(?:[-*+]|[0-9]+\.)[ \t]+", re.MULTILINE)
_END = re.compile(r"(?<=[.!?])[\"”*)]*\s+(?=[\"“*(]*[A-Z0-9`])")
_WORD = re.compile(r"[^\s*|·—-]*[A-Za-z0-9][^\s*|·—]*")


def sentences(text: str) -> list[str]:
    """The sentences of Markdown, code counted as one word. A paragraph, an item, a cell and a heading each end one."""
    text = _LINK.sub(r"\1", _CODE.sub("Code", _COMMENT.sub("", without_blocks(text))))
    text = re.sub(r"^#+ .*$", lambda heading: f"\n{heading[0].lstrip('#')}\n", text, flags=re.MULTILINE)
    text = re.sub(r"^[ \t]*\|.*$", lambda row: "\n" + "\n\n".join(re.split(r"(?<!\\)\|", row[0])) + "\n", text, flags=re.MULTILINE)
    paragraphs = re.split(r"\n\s*\n", _ITEM.sub("\n\n", text))
    found = (sentence for paragraph in paragraphs for sentence in _END.split(" ".join(paragraph.split())))
    return [sentence for sentence in found if words(sentence)]


def words(sentence: str) -> int:
    """How many words a sentence has."""
    return len(_WORD.findall(sentence))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_sentences_of_a_page_are_short(page: Path) -> None:
    """None is longer than 30 words, and those of three words or more have fewer than 18 on average."""
    found = sentences(page.read_text(encoding="utf-8"))
    long = [f"{words(each)} words: {each}" for each in found if words(each) > MOST_WORDS]
    assert not long, "\n".join(long)
    counted = [words(each) for each in found if words(each) > 2]
    assert sum(counted) / len(counted) < AVERAGE_WORDS


def test_the_readme_is_read_in_one_go() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("One two three. Four five `six seven`!", [3, 3]),
        ("- one two\n- three [four five](six.md)\n", [2, 3]),
        ("| a b | c |\n| --- | --- |\n| d | e f g. H i |", [2, 1, 1, 3, 2]),
        ("# A heading\nA text of\ntwo lines, e.g. this one.", [2, 8]),
        ("```sh\nnot counted\n```\n<!-- nor this -->\nBut this", [2]),
    ],
)
def test_words_are_counted_as_a_reader_meets_them(text: str, counts: list[int]) -> None:
    assert [words(each) for each in sentences(text)] == counts


WORDS = {
    "sentinel": "placeholder holder", "twin": "duplicate identity", "twins": "duplicate identities", "the floor": "theoretical minimum",
    "out of season": "not allowed in the current state",
}  # fmt: skip


@pytest.mark.parametrize("word", WORDS)
def test_a_word_with_a_plain_one_in_its_place_is_not_used(word: str) -> None:
    """In any text for people."""
    texts = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "k8s").rglob("*.md")]
    found = [path.name for path in texts if re.search(rf"\b{word}\b", path.read_text(encoding="utf-8"), re.IGNORECASE)]
    assert not found, f"say {WORDS[word]!r}"
