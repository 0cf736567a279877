"""Text that others wrote: bounded with a sign, on one line, and in JSON that every reader takes."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.escaping import cut, plain, to_json

ANY_TEXT = st.text(st.characters(exclude_categories=()), max_size=80)


def test_what_is_longer_than_the_limit_says_how_much_is_missing() -> None:
    assert cut("a" * 100, 100) == "a" * 100
    assert cut("a" * 101, 100) == "a" * 68 + "… (33 characters more)"
    assert cut("a" * 100_000) == "a" * 968 + "… (99032 characters more)"


@given(ANY_TEXT, st.integers(40, 100))
def test_no_cut_is_longer_than_its_limit(text: str, limit: int) -> None:
    shown = cut(text * 20, limit)
    assert len(shown) <= limit
    assert shown == text * 20 or shown.endswith(" characters more)")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("web-0_9f6c Grüße, 日本", "web-0_9f6c Grüße, 日本"),
        ("a\n[+]ping ok\r", r"a\n[+]ping ok\r"),
        ("\x1b[31mred", r"\x1b[31mred"),
        ("a\u2028b\u2029c\x85", r"a\u2028b\u2029c\x85"),
        ("\u202eevil\u2066\u200f", r"\u202eevil\u2066\u200f"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("a\\nb", r"a\\nb"),
    ],
)
def test_what_is_no_printable_letter_is_written_as_python_writes_it(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(ANY_TEXT)
def test_plain_text_is_printable_and_tells_the_text(text: str) -> None:
    """Whatever it is: one line, and no two texts look the same."""
    shown = plain(text)
    assert shown.isprintable()
    assert shown.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("utf-16", "surrogatepass").decode(
        "utf-16", "surrogatepass"
    ) == text.encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a\ud800", "a\ufffd"),
        ("\udc00\ud800x", "\ufffd\ufffdx"),
        ("\U0001f600", "\U0001f600"),
        ("\\ud800", "\\ud800"),
        ("\\\ud800", "\\\ufffd"),
        ("\ud83d\U0001f600", "\ufffd\U0001f600"),
    ],
)
def test_half_of_a_surrogate_pair_is_told_as_the_replacement_character_and_all_else_as_it_is(text: str, told: str) -> None:
    """A strict reader (serde_json, Jackson) refuses a whole answer for it. A backslash before letters is a backslash."""
    assert json.loads(to_json({"holder": text, text: [text]})) == {"holder": told, told: [told]}


@given(st.recursive(ANY_TEXT | st.integers() | st.none(), lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner)))
def test_json_is_printable_ascii_and_its_texts_are_unicode(value: object) -> None:
    text = to_json(value)
    assert text.isascii()
    assert text.isprintable()
    json.dumps(json.loads(text), ensure_ascii=False).encode()  # raises where half of a pair is left
