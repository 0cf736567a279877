"""From the command line and the environment to the settings, or to the faults that the user is told, all of them at once."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pydantic import ValidationError

from sidecar.settings import legacy_flags, unknown
from sidecar.settings.declaration import Environment, Settings, WithoutValueError, flag, variable
from sidecar.settings.in_force import EXIT_UNUSABLE, UnusableError
from sidecar.settings.values import FaultError, Shared

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails
    from pydantic_settings import CliSettingsSource

_LISTENS: Final = ("listen", "probe_listen")


def checked(arguments: Sequence[str], taken: Callable[[Mapping[str, str]], list[str]] = lambda _: []) -> tuple[bytes, int]:
    """The settings as JSON, and 0. Where they have faults: tell them; b"" and the exit code.

    `taken` finds the addresses that cannot be bound, as `http/listen.py` does.
    """
    try:
        return json.dumps(vars(configured(arguments))).encode(), 0  # which holds any text of an environment, UTF-8 or not
    except UnusableError as error:
        UnusableError("\n".join([str(error), *taken(_listens(arguments))])).say()
        return b"", EXIT_UNUSABLE


def configured(arguments: Sequence[str]) -> Settings:
    """The settings of flags and environment. Raises UnusableError with every fault."""
    source, faults = _flags(arguments)
    sources: dict[str, Any] = {"_cli_settings_source": source}
    try:
        settings = Settings(**sources)
    except ValidationError as error:
        faults += _told(error.errors(include_url=False))
        raise UnusableError("\n".join(faults)) from None
    if faults:
        raise UnusableError("\n".join(faults))
    return settings


def _flags(arguments: Sequence[str]) -> "tuple[CliSettingsSource[Any] | None, list[str]]":
    """The source of the flags, and the faults of words that are none."""
    words = legacy_flags.rewritten(arguments)
    if not words:
        return None, []
    from sidecar.settings import command_line  # noqa: PLC0415 - argparse, where there are flags

    source, rest, behind = command_line.parsed(words)
    rest = [word if word in arguments else word.removeprefix("-") for word in rest]  # as it was written, with one dash
    return source, [*unknown.no_flags(rest), *map(unknown.no_command, behind)]


def _told(errors: "list[ErrorDetails]") -> list[str]:
    """A line for each fault."""
    lines: dict[tuple[str, str], list[str]] = {}
    for detail in errors:
        for before, setting, after in _faults(detail):
            lines.setdefault((before, after), []).append(setting)
    return [f"{before}{' and '.join(settings)}{after}" for (before, after), settings in lines.items()]


def _faults(detail: "ErrorDetails") -> Iterator[Shared]:
    name = str(detail["loc"][0])
    field = name if name in Settings.model_fields else name.lower()  # the Pod's are told by their names in the environment
    if detail["type"] == "extra_forbidden":
        yield Shared(unknown.no_setting(name), "", "")
    elif detail["type"] == "value_error":
        error = detail["ctx"]["error"]
        if isinstance(error, FaultError):
            yield from (each if isinstance(each, Shared) else Shared(each, "", "") for each in error.faults)
        elif isinstance(error, WithoutValueError):
            yield Shared(unknown.without_value(flag(field), field), "", "")
        else:
            yield Shared(f"{variable(field)}={detail['input']!r}: {error}", "", "")
    elif detail["type"] != "default_factory_not_called":  # of a default that hangs on what is faulty; all else is checked by ourselves
        yield Shared(f"{variable(field)}={detail['input']!r}: it is not valid UTF-8", "", "")


def _listens(arguments: Sequence[str]) -> dict[str, str]:
    """What the listeners are set to, checked or not, by the name of the setting."""
    source, _ = _flags(arguments)
    given = Environment(Settings)() | (source() if source is not None else {})
    return {variable(field): given.get(field, Settings.model_fields[field].default) for field in _LISTENS}
