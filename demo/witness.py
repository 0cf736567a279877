"""Which sidecar led when, by what the applications were told. The demo's claim "one leader at any time" is checked here.

An application that was told "you lead until T" may act until T without asking again. So these promises must not overlap, and not only the
moments of the answers.
"""

import itertools
import threading
from dataclasses import dataclass

from demo.client import Answer


@dataclass(slots=True)
class Term:
    """One tenure, as its application knows it. Times are CLOCK_BOOTTIME nanoseconds."""

    identity: str
    token: int
    first_ns: int
    """When the application first had the answer that it leads."""
    until_ns: int
    """The latest deadline it was given, or its own end, if that came first."""

    def __str__(self) -> str:
        return f"{self.identity} (token {self.token})"


class Witness:
    """Keeps the terms and the faults that it has seen. Called from many threads."""

    def __init__(self) -> None:
        self.answers = 0
        self._lock = threading.Lock()
        self._terms: dict[tuple[str, int], Term] = {}
        self._ended_ns: dict[str, int] = {}
        self._faults: list[str] = []

    def heard(self, answer: Answer) -> None:
        """An application was answered."""
        identity, token = answer.body["identity"], answer.body["fencing_token"]
        with self._lock:
            self.answers += 1
            if not answer.body["is_leader"]:
                return
            if not isinstance(token, int):
                self._fault(f"{identity} leads without a fencing token")
                return
            for other in self._terms.values():
                if other.identity != identity and other.first_ns <= answer.asked_ns and answer.received_ns <= other.until_ns:
                    self._fault(f"{identity} (token {token}) answered true while {other} led")
            until_ns = min(answer.until_ns, self._ended_ns.get(identity, answer.until_ns))
            if until_ns <= answer.received_ns:
                return
            term = self._terms.setdefault((identity, token), Term(identity, token, answer.received_ns, until_ns))
            term.first_ns = min(term.first_ns, answer.received_ns)
            term.until_ns = max(term.until_ns, until_ns)

    def ended(self, identity: str, at_ns: int) -> None:
        """The application beside that sidecar has stopped acting, whatever it was promised."""
        with self._lock:
            self._ended_ns[identity] = at_ns
            for term in self._terms.values():
                if term.identity == identity:
                    term.until_ns = min(term.until_ns, at_ns)

    def faults(self) -> list[str]:
        """The faults so far: promises that overlap, tokens that do not grow."""
        with self._lock:
            terms = sorted(self._terms.values(), key=lambda term: term.first_ns)
            for before, after in itertools.pairwise(terms):
                overlap_ns = before.until_ns - after.first_ns
                if overlap_ns > 0:
                    self._fault(f"{before} might act until {overlap_ns / 1e6:.1f} ms after {after} was told that it leads")
                if after.token <= before.token:
                    self._fault(f"the token did not grow from {before} to {after}")
            return list(self._faults)

    def _fault(self, text: str) -> None:
        if text not in self._faults:
            self._faults.append(text)
