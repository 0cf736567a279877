"""How to show text that others wrote: values of a Lease, messages of an API server, words of a client.

`cut` bounds a value and says so, `plain` makes it one line that forges nothing, `to_json` keeps JSON readable for every reader.
"""

import json
import re
from collections.abc import Callable
from typing import Final

MAX_CHARS: Final = 1000
"""The longest value in text or in a log line. JSON answers tell each value whole."""

_SIGN: Final = "… ({} characters more)"
_SIGN_CHARS: Final = 32
"""Room for the sign with any number, also in bytes of UTF-8."""

_SURROGATE: Final = re.compile(r"\\\\|\\ud[89ab]..\\ud[c-f]..|\\u(d[89a-f]..)")
"""In json.dumps' output: an escaped backslash, a surrogate pair, or (the group) half of a pair."""
_REPLACEMENT: Final = r"\ufffd"


def cut(text: str, limit: int = MAX_CHARS) -> str:
    """At most `limit` characters (above 32) of `text`; a longer text ends with how much is missing."""
    if len(text) <= limit:
        return text
    kept = max(0, limit - _SIGN_CHARS)
    return text[:kept] + _SIGN.format(len(text) - kept)


def cut_bytes(text: str, limit: int) -> str:
    """At most `limit` bytes (above 64) of UTF-8, ending with a whole character; a longer text ends with how many characters are missing."""
    whole = text.encode("utf-8", "replace")
    if len(whole) <= limit:
        return whole.decode()
    kept = whole[: limit - _SIGN_CHARS].decode(errors="ignore")  # the sign has one character of three bytes, and room for them
    return kept + _SIGN.format(len(text) - len(kept))


def plain(text: str, limit: int = MAX_CHARS) -> str:
    r"""One line of printable text: line breaks, ANSI escapes, bidi marks, halves of surrogate pairs and backslashes as Python writes them.

    `\n`, `\x1b`, `\u202e`, `\ud800`, `\\`: none looks like the same letters in the text. A text longer than `limit` is cut first.
    """
    kept = cut(text, limit)
    if kept.isprintable() and "\\" not in kept:
        return kept
    return "".join(one if one.isprintable() and one != "\\" else one.encode("unicode_escape").decode("ascii") for one in kept)


def to_json(value: object, *, default: Callable[[object], str] | None = None, indent: int | None = None) -> str:
    """JSON in ASCII, which needs no escaping anywhere: no line break, U+2028 or bidi mark stands in it as itself.

    Half of a surrogate pair stands for no character (RFC 8259 8.2: what readers make of it is unpredictable, and strict ones refuse the
    whole answer): it is told as U+FFFD, as an API server does with it. The record keeps it: two holders never become one.
    """
    text = json.dumps(value, default=default, indent=indent)
    return _SURROGATE.sub(lambda found: _REPLACEMENT if found[1] else found[0], text) if r"\ud" in text else text
