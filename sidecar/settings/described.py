"""What --help and docs/reference/settings.md say of a setting, from its declaration."""

from sidecar.durations import format_seconds
from sidecar.settings.declaration import Settings
from sidecar.settings.values import Allowed, Default, Metavar


def description(field: str) -> str:
    """What a field means, in one line."""
    return " ".join((Settings.model_fields[field].description or "").split())


def metavar(field: str) -> str:
    """What stands for a field's value in --help."""
    return _said(field, Metavar)


def allowed(field: str) -> str:
    """The values that a field takes, in words; "" where `metavar` says all of it."""
    return _said(field, Allowed)


def default(field: str) -> tuple[str, bool]:
    """A field's default, and whether that is a value, which means the same when it is set, or words."""
    if words := _said(field, Default):
        return words, False
    found, unit = Settings.model_fields[field].default, metavar(field)
    if unit == "DURATION":
        return format_seconds(found), True
    return f"{found:o}" if unit == "MODE" else str(found).lower() if unit == "true|false" else str(found), True


def _said(field: str, kind: type[Metavar | Allowed | Default]) -> str:
    """What the last annotation of that kind says of a field; "" for none."""
    return ([""] + [each.text for each in Settings.model_fields[field].metadata if isinstance(each, kind)])[-1]
