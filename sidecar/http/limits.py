"""How many clients are served at once: as many as the limit on descriptors allows, and no more than memory does."""

from dataclasses import dataclass
from typing import Final, Self

from sidecar import open_files

MAX_HEAD_BYTES: Final = 16 * 1024
"""The largest head of a request: its line, its header fields and the empty line."""
MAX_FRAMING_BYTES: Final = 2 * MAX_HEAD_BYTES
"""The most of a chunked body that is not the body itself: chunk sizes, chunk extensions and trailers."""
MAX_FIELDS: Final = 128
"""The most header fields of a request."""
MAX_PARAMETERS: Final = 64
"""The most parameters in a request target's query."""

LIGHT_BYTES: Final = 1024
LIGHT_FIELDS: Final = 20
LIGHT_PARAMETERS: Final = 8
"""A request with more than one of these is large, and few large ones are held at a time: aiohttp holds a request until the next one on
its connection."""

MAX_APP: Final = 1792
MAX_PROBE: Final = 256
"""The probe listener's clients are a few kubelets and scrapers."""

MAX_ACCEPTS: Final = 16
"""Of `Limits.accepts`."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most of each kind at one time."""

    app_connections: int
    """Connections of the app listener, waiting or not."""
    probe_connections: int
    """Connections of the probe listener, waiting or not."""
    polls: int
    """Polls that wait."""
    streams: int
    """Open streams. Polls and streams together leave some connections free, for a connection that waits is not closed for a new one."""
    accepts: int
    """New connections that a listener accepts in one turn of the loop, for which the election has to wait. So many may be open beyond the
    bound until the connections that make room for them are closed, in the next turn. They are few beside the bound, so that a new
    connection can send its request before it is closed to make room."""

    @classmethod
    def of(cls, files: int) -> Self:
        """The limits that so many descriptors allow."""
        accepts = max(1, min(MAX_ACCEPTS, files // 64))
        free = max(files - open_files.RESERVED - 2 * accepts, 4)
        probe = min(MAX_PROBE, free // 4)
        app = min(MAX_APP, free - probe)
        waiting = app - max(2, app // 8)
        return cls(app, probe, waiting * 2 // 3, waiting // 3, accepts)

    @classmethod
    def in_force(cls) -> Self:
        """The limits that this process's limit on descriptors allows."""
        return cls.of(open_files.limit())


UNBOUNDED: Final = Limits.of(open_files.WANTED)
"""The limits where descriptors do not matter."""
