"""Error messages for unknown settings, flags and commands, with the known name that is most similar."""

from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Final

from sidecar import commands
from sidecar.settings import legacy_flags
from sidecar.settings.declaration import NAMES, PREFIX, RENAMED, flag, variable
from sidecar.settings.described import metavar

_NEAR: Final = 0.7
"""From this likeness on (difflib's ratio) a name is taken for a slip of another: LEESE_NAME is one, FOO or TOKEN is none."""


def no_setting(name: str) -> str:
    """The message for an unknown LEADER_ name in the environment."""
    former = name.upper().removeprefix(PREFIX).lower()
    if former in RENAMED:
        return f"{name} is called {variable(RENAMED[former])}"
    return f"{name} is not a setting{_nearest(former, {field: variable(field) for field in NAMES})}"


def no_flags(words: Iterable[str]) -> Iterator[str]:
    """A message for each of the words that no flag has taken; not for the value of an unknown flag."""
    rest = [*words]
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            yield no_command(word)
            continue
        name, equals, _ = word.lstrip("-").partition("=")
        yield _no_flag(word, name)
        if not equals and name not in legacy_flags.FLAGS and rest and legacy_flags.is_value(rest[0]):
            rest.pop(0)


def _no_flag(word: str, name: str) -> str:
    if name in legacy_flags.FLAGS:
        return without_value(f"--{name}", legacy_flags.FLAGS[name].replace("-", "_"))
    former = name.replace("-", "_")
    if former in RENAMED:
        return f"--{name} is called {flag(RENAMED[former])}"
    known = [*map(flag, NAMES), *(f"--{each}" for each in legacy_flags.FLAGS)]
    return f"{word} is not a flag{_nearest(name, {each.removeprefix('--'): each for each in known})}"


def without_value(name: str, field: str) -> str:
    """The message for a flag of that name without its value, which is `field`'s."""
    return f"{name} needs a value: {name}={metavar(field)}"


def no_command(word: str) -> str:
    """The message for a word that is neither a flag nor its value."""
    if word in commands.NAMES:
        return f"{word} is a command and must come first: leader-sidecar {word} --help"
    near = get_close_matches(word.lower(), commands.NAMES, n=1, cutoff=_NEAR)
    meant = f"did you mean leader-sidecar {near[0]}?" if near else "the only command is leader-sidecar probe; --help lists the flags"
    return f"{word!r} is not a command: {meant}"


def _nearest(name: str, known: dict[str, str]) -> str:
    """The end of such a message: the known name that is most similar, if one is similar enough."""
    near = get_close_matches(name.lower(), known, n=1, cutoff=_NEAR)
    return f": did you mean {known[near[0]]}?" if near else "; leader-sidecar --help lists all settings"
