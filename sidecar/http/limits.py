"""How many clients at once: as many as the descriptors in force allow, and no more than memory does."""

from dataclasses import dataclass
from typing import Final, Self

from sidecar import open_files

MAX_APP: Final = 2048
MAX_PROBE: Final = 512
"""A few kubelets and scrapers come here."""


@dataclass(frozen=True, slots=True)
class Limits:
    """At most so many, all at once."""

    app_connections: int
    """Of the app listener, whatever they do."""
    probe_connections: int
    """Of the probe listener, likewise."""
    polls: int
    streams: int
    """Polls and streams together leave room: a connection that waits is not let go for a new one."""

    @classmethod
    def of(cls, files: int) -> Self:
        """As many as this many descriptors allow."""
        free = max(files - open_files.RESERVED, 4)
        probe = min(MAX_PROBE, free // 4)
        app = min(MAX_APP, free - probe)
        waiting = app - max(2, app // 8)
        return cls(app, probe, polls=waiting * 2 // 3, streams=waiting // 3)

    @classmethod
    def in_force(cls) -> Self:
        """As many as this process's own limit allows."""
        return cls.of(open_files.limit())


UNBOUNDED: Final = Limits.of(open_files.WANTED)
"""Where descriptors are no matter."""
