"""The terms that this sidecar has seen, for people: who led, with which token, from when to when, and how it ended."""

from collections import deque
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from sidecar.election.record import PLACEHOLDER, Record, format_time, pod_name

KEPT: Final = 100
"""So many terms are kept, the newest."""


class End(StrEnum):
    """How a term ended."""

    RELEASED = "released"
    EMPTIED = "emptied"
    REPLACED = "replaced"


@dataclass(frozen=True, slots=True)
class Term:
    """One unbroken tenure of one holder. Its times are wall-clock times, for people: of the holder that wrote, or of this sidecar."""

    holder: str
    token: int | None
    acquire_time_us: int | None
    """As the holder wrote it."""
    ended_us: int | None = None
    """When this sidecar saw the end; None while the term stands in the Lease."""
    ended: End | None = None
    """`released` by the holder; `emptied` by another program; `replaced`: another candidate took the Lease after it had run out, an
    administrator changed the holder, or the holder began a new term."""

    def to_json(self) -> dict[str, object]:
        """One entry of `GET /history`."""
        return {
            "name": pod_name(self.holder),
            "holder": self.holder,
            "fencing_token": self.token,
            "from": format_time(self.acquire_time_us),
            "to": format_time(self.ended_us),
            "ended": self.ended,
        }


class History:
    """Terms in the order in which they were seen, the newest last."""

    def __init__(self) -> None:
        self.terms: deque[Term] = deque(maxlen=KEPT)

    def see(self, record: Record | None, wall_us: int) -> None:
        """Take in the Lease as it is known now. A missing Lease, or the placeholder, ends no term: the holder may claim the Lease back."""
        if record is None or record.holder == PLACEHOLDER:
            return
        last = self.terms[-1] if self.terms else None
        if last is not None and last.ended is None and not _same(last, record):
            released = record.term is not None and record.term.released and record.term.holder == last.holder
            end = End.REPLACED if record.holder else End.RELEASED if released else End.EMPTIED
            self.terms[-1] = replace(last, ended_us=wall_us, ended=end)
            last = None
        if record.holder and (last is None or last.ended is not None):
            self.terms.append(Term(record.holder, record.token, record.acquire_time_us))


def _same(term: Term, record: Record) -> bool:
    return (term.holder, term.token, term.acquire_time_us) == (record.holder, record.token, record.acquire_time_us)
