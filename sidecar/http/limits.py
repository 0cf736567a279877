"""How many clients at once: as many as the descriptors in force allow, and no more than memory does."""

from dataclasses import dataclass
from typing import Final, Self

from sidecar import open_files

MAX_HEAD_BYTES: Final = 16 * 1024
"""Of a request: its line, its header fields and the empty line."""
MAX_FRAMING_BYTES: Final = 2 * MAX_HEAD_BYTES
"""Of a chunked body: what is not the body itself, so chunk sizes, chunk extensions and trailers."""
MAX_FIELDS: Final = 128
MAX_PARAMETERS: Final = 64
"""Of the request target's query."""

LIGHT_BYTES: Final = 1024
LIGHT_FIELDS: Final = 20
LIGHT_PARAMETERS: Final = 8
"""A request with more is a large one, of which few are kept at a time. aiohttp keeps a request until the next one on its connection."""

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
