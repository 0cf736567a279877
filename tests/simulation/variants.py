"""Weaker rules, each a change of one line or two to the algorithm, that the simulator or the search must catch: the test of the test."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One broken algorithm: in `sidecar/<module>.py`, `old` (which stands there once) becomes `new`."""

    name: str
    rule: str
    """What it weakens."""
    module: str
    old: str
    new: str
    often: tuple[str, ...] = ()
    """What a schedule should have more of, to meet it soon (`steps.schedule`)."""


VARIANTS = (
    Variant(
        "the deadline counts from the response",
        "S3",
        "election",
        "deadline_ns = writes.deadline_ns(self.me, write)  # S3",
        "deadline_ns = at.now_ns + ns(self.me.renew_deadline_seconds)",
    ),
    Variant(
        "a passed deadline is revived by a late proof", "S3, g", "election", "write.kind is Kind.RENEW or at.now_ns >= deadline_ns", "False"
    ),
    Variant(
        "a write whose outcome is unknown extends the deadline",
        "S3",
        "election",
        "unresolved = (*self.unresolved, request) if writing else self.unresolved\n",
        "unresolved = (*self.unresolved, request) if writing else self.unresolved\n"
        "                if writing and self.held is not None:\n"
        "                    self = replace(self, held=replace(self.held, deadline_ns=writes.deadline_ns(self.me, request)))\n",
    ),
    Variant(
        "nobody looks at the deadline",
        "S3",
        "election",
        "if self.held is not None and at.now_ns >= self.held.deadline_ns:  # S3",
        "if False:",
    ),
    Variant(
        "the answer is a flag that somebody must reset",
        "S2, q",
        "view",
        "if self.expires_ns is None or now_ns < self.expires_ns:",
        "if True:",
        ("stop", "ask", "short"),
    ),
    Variant(
        "renewTime is the wall clock's, whatever was written before",
        "S3, t",
        "writes",
        "return later_time_us(wall_us, base.renew_time_us if base is not None else None, sent_us)",
        "return wall_us",
    ),
    Variant(
        "no step-down on sight",
        "S4",
        "election",
        "if known.held is not None and record.holder not in (SENTINEL, self.me.identity):",
        "if False:",
    ),
    Variant(
        "a stale watch event is taken for a loss",
        "S4, h",
        "election",
        "if (self.record is None and self.held is None) or record.is_later(self.record):",
        "if True:",
    ),
    Variant(
        "smaller versions are ignored, with no read that decides",
        "S4, i",
        "election",
        "return self._see(record, at)\n        return replace(self, doubt=True)",
        "return self._see(record, at)\n        return self",
        ("restore", "short"),
    ),
    Variant(
        "a blind release",
        "S5",
        "writes",
        "return merge_patch(self.record, self.base)",
        'return merge_patch(self.record, self.base if self.kind is not Kind.RELEASE else "")',
    ),
    Variant(
        "every write is unconditional",
        "S5",
        "writes",
        "return merge_patch(self.record, self.base)",
        'return merge_patch(self.record, "" if self.base is not None else None)',
    ),
    Variant(
        "a 409 is taken for a loss",
        "S5",
        "election",
        "if self.held is None:\n                    return raced",
        'if self.held is not None:\n                    return raced._move(Cause.LOST, "the Lease was lost", held=None)\n'
        "                if self.held is None:\n                    return raced",
    ),
    Variant(
        "a 409 is taken for a success",
        "S5",
        "election",
        "case Conflict():  # S5",
        "case Conflict() if self.held is not None:\n"
        "                return replace(self, held=replace(self.held, deadline_ns=writes.deadline_ns(self.me, request)))\n"
        "            case Conflict():  # S5",
    ),
    Variant(
        "the own duration in place of the record's",
        "S6",
        "promise",
        "seconds = record.duration_seconds or own_seconds",
        "seconds = own_seconds",
    ),
    Variant(
        "a wait that restarts at any touch",
        "S6, o",
        "promise",
        "if same and last is not None:  # a touch",
        "if False and last is not None:  # a touch",
    ),
    Variant(
        "the promise is cut to one's own duration times two",
        "S6, l",
        "promise",
        "seconds = record.duration_seconds or own_seconds",
        "seconds = min(record.duration_seconds or own_seconds, 2 * own_seconds)",
    ),
    Variant(
        "followers wait for the renew deadline only",
        "S6",
        "promise",
        "return self.seen_ns + ns(self.seconds)",
        "return self.seen_ns + ns(self.seconds * 0.6)",
    ),
    Variant(
        "expiry by the record's timestamps and the wall clock",
        "S6",
        "election",
        "free_ns = max(self.free_ns(), at.now_ns)",
        "free_ns = max(self.free_ns(), at.now_ns) if self.record.renew_time_us is None or not self.record.holder else max("
        "at.now_ns, at.now_ns + (self.record.renew_time_us - at.wall_us) * 1000 + ns(self.record.duration_seconds or 0))",
    ),
    Variant(
        "an empty Lease is free",
        "S7, a, b",
        "promise",
        "if last is not None:\n        return not last.of_sidecar",
        "if last is not None:\n        return True",
    ),
    Variant(
        "a missing Lease is created in one's own name",
        "S7, e",
        "writes",
        "holder=SENTINEL,\n        duration_seconds",
        "holder=me.identity,\n        duration_seconds",
    ),
    Variant(
        "a missing Lease is created empty",
        "S7",
        "writes",
        "holder=SENTINEL,\n        duration_seconds",
        'holder="",\n        duration_seconds',
    ),
    Variant(
        "the sentinel has its maker's duration",
        "S7, k",
        "writes",
        "duration_seconds=max(me.lease_duration_seconds, seconds),",
        "duration_seconds=me.lease_duration_seconds,",
        ("delete", "mixed"),
    ),
    Variant(
        "the sentinel forgets the token", "S7, S8", "writes", "term=Term(SENTINEL, token=last_token,", "term=Term(SENTINEL, token=None,"
    ),
    Variant(
        "the sentinel ends the holder's term",
        "S7",
        "election",
        "record.holder not in (SENTINEL, self.me.identity):  # S4",
        "record.holder != self.me.identity:  # S4",
    ),
    Variant(
        "the token comes from leaseTransitions",
        "S8",
        "writes",
        "first = base.version_number if base.version_number is not None else transitions",
        "first = transitions",
    ),
    Variant(
        "the token is the version, whatever the last one was",
        "S8",
        "writes",
        "token = max(first, grown if grown < MAX_TOKEN else -1)",
        "token = first",
    ),
    Variant(
        "the token grows with each renewal",
        "S8",
        "writes",
        "transitions=held.transitions,\n        term=_term(me, base, held.token),",
        "transitions=held.transitions,\n        term=_term(me, base, held.token + 1),",
    ),
    Variant(
        "resume without its place",
        "S9, s",
        "situation",
        "term.holder == self.me.identity and term.place == self.me.place",
        "term.holder == self.me.identity",
    ),
    Variant(
        "the own name in the record is a right",
        "S9, f",
        "situation",
        "if not self.fresh or term is None or not self.me.place:",
        "if term is None or not self.me.place:",
    ),
    Variant(
        "the own record is taken again without its chain",
        "S9 c",
        "situation",
        "return self.landed is not None and self.record is not None and self.landed.is_outcome(self.record)",
        "return self.record is not None and self.record.holder == self.me.identity",
        ("twins", "kill", "short"),
    ),
    Variant(
        "a resuming write carries its own duration",
        "S9 b, m",
        "election",
        "seconds = max(seconds, self.former.seconds)",
        "pass",
        ("retime", "restart and terminate", "short"),
    ),
    Variant("a twin is overlooked", "S9 d", "election", "if known._is_twin(record, self.record):  # S9 d", "if False:", ("twins", "short")),
    Variant(
        "a late write by the former process is a conflict",
        "S9 d, j",
        "election",
        "if self.wrote is None or term is None",
        "if self.wrote is None and term is not None and self.flight is not None:\n"
        "            return term.holder == self.me.identity and term.instance != self.me.instance\n"
        "        if self.wrote is None or term is None",
        ("restart and terminate", "kill", "short"),
    ),
    Variant(
        "a release that breaks a given deadline",
        "S11, c",
        "election",
        "if event.app_ended or given_ns <= now_ns:  # S11",
        "if True:  # S11",
    ),
    Variant(
        "what a former process gave out is forgotten",
        "S11, d",
        "election",
        "given_ns = max(event.given_until_ns, self.former.end_ns if self.former is not None else 0)",
        "given_ns = event.given_until_ns",
        ("restart and terminate", "short"),
    ),
    Variant(
        "MONOTONIC for BOOTTIME",
        "S1, suspend",
        "leadership",
        "now_ns = self._clock.boottime_ns()\n        view = self._view.at(now_ns)\n        is_leader",
        "now_ns = self._clock.monotonic_ns()\n        view = self._view.at(now_ns)\n        is_leader",
        ("suspend", "ask", "short"),
    ),
    Variant(
        "the elector's clock stands still in a suspend",
        "S1, suspend",
        "elector",
        "return Moment(self._clock.boottime_ns(),",
        "return Moment(self._clock.monotonic_ns(),",
        ("suspend", "ask", "short"),
    ),
    Variant(
        "who resigned stays out",
        "§3, u",
        "election",
        "back_ns = None if leaving else now_ns + 2 * ns(me.lease_duration_seconds)",
        "back_ns = None",
        ("drained", "short"),
    ),
    Variant(
        "a twin in conflict stays out",
        "S9 d, u",
        "election",
        "back_ns=None if self.leaving else at.now_ns + ns(seconds)",
        "back_ns=None",
        ("twins", "short"),
    ),
    Variant("renewals come out of the budget too", "L2, v", "elector", "if not due.urgent:\n            if", "if True:\n            if"),
    Variant(
        "no budget at all",
        "L2",
        "budget",
        "return max(self._full_ns - (BURST - 1) * self._period_ns, self._recent[0] + NS_PER_SECOND)",
        "return 0",
    ),
    Variant(
        "a silent watch is trusted",
        "L1",
        "elector",
        "return max(2 * self.candidate.retry_period_seconds, promised / 2)",
        "return 1e9",
        ("weather", "short"),
    ),
)
"""All of them; `tests/simulation/table.py` says what caught each."""
