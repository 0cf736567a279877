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

MAX_APP: Final = 1792
MAX_PROBE: Final = 256
"""A few kubelets and scrapers come here."""

MAX_ACCEPTS: Final = 16
"""Of `Limits.accepts`."""


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
    accepts: int
    """New connections of a listener in one turn of the loop, which the election waits for. So many may be open above its bound until those
    that make room for them are closed, in the next turn. They are few beside the bound: a new connection is to be heard before it would
    have to make room."""

    @classmethod
    def of(cls, files: int) -> Self:
        """As many as this many descriptors allow."""
        accepts = max(1, min(MAX_ACCEPTS, files // 64))
        free = max(files - open_files.RESERVED - 2 * accepts, 4)
        probe = min(MAX_PROBE, free // 4)
        app = min(MAX_APP, free - probe)
        waiting = app - max(2, app // 8)
        return cls(app, probe, waiting * 2 // 3, waiting // 3, accepts)

    @classmethod
    def in_force(cls) -> Self:
        """As many as this process's own limit allows."""
        return cls.of(open_files.limit())


UNBOUNDED: Final = Limits.of(open_files.WANTED)
"""Where descriptors are no matter."""
