"""Versions as etcd counts them, whatever a server makes of them for its clients."""

from sidecar.election.record import Record


def text(version: int, *, opaque: bool) -> str:
    """A resourceVersion: an integer, or something that has no order."""
    return f"{version:x}.{version}" if opaque else str(version)


def number(record: Record | None) -> int:
    """The integer behind it; 0 where there is none."""
    found = record.version.rpartition(".")[2] if record is not None else ""
    return int(found) if found.isdigit() else 0
