"""What others make of the Lease in a small world: an admission webhook that changes each write, and a client-go program's late release."""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from sidecar.election.record import PLACEHOLDER, Record

GO: Final = "go-1"

WEBHOOKS: Final[dict[str, Callable[[Record], Record]]] = {
    "shortens the duration": lambda record: replace(record, duration_seconds=1),
    "removes the annotations": lambda record: replace(record, term=None, successor="", standbys=()),
    "rounds renewTime": lambda record: replace(record, renew_time_us=10 * ((record.renew_time_us or 0) // 10)),
    "writes another holder": lambda record: replace(record, holder="somebody" if record.holder not in ("", PLACEHOLDER) else record.holder),
}
"""S3: what an own write may come to on its way."""

KEEPING: Final = tuple(name for name in WEBHOOKS if name != "shortens the duration")
"""These may begin at any time: a duration that is shortened breaks what was given out before, see docs/rules.md#outside-the-guarantees."""


def held_by_go(seconds: int) -> Record:
    """The Lease of a client-go program that stands still from now on."""
    return Record("100", holder=GO, duration_seconds=seconds, acquire_time_us=0, renew_time_us=0, transitions=0)


def released_late(record: Record, now: int) -> Record:
    """Its release, by the record that it saw last: whoever holds the Lease now is emptied out of it (client-go, `release`)."""
    return replace(record, holder="", duration_seconds=1, acquire_time_us=now, renew_time_us=now, transitions=0)
