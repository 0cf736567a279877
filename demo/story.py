"""The course of the demo: three sidecars start, the leader is stopped, the next leader is killed, and each handover is measured."""

import threading
import time
from pathlib import Path
from typing import Final

from demo.client import Answer, Seat, now_ns
from demo.process import LEASE_SECONDS, STOP_SECONDS, Sidecar
from demo.screen import Screen, table
from demo.witness import Witness

START_SECONDS: Final = 20.0
GRACEFUL_SECONDS: Final = 2.0
CRASH_SECONDS: Final = LEASE_SECONDS + 1.0
_LOOK_SECONDS: Final = 0.02


class DemoError(Exception):
    """Something did not happen as promised; str() says what."""


class Story:
    """Three sidecars, the application beside each, and the witness of their answers."""

    def __init__(self, ports: list[int], folder: Path, pace_seconds: float | None) -> None:
        self.witness = Witness()
        self.sidecars = [Sidecar(f"web-{number}", port, folder) for number, port in enumerate(ports)]
        self.seats = [Seat(port, self.witness.heard, self._told) for port in ports]
        self.screen = Screen(lambda: table(self.sidecars, self.seats))
        # On a terminal: time to read what stands there.
        self._pace_seconds = pace_seconds if pace_seconds is not None else 3.0 if self.screen.live else 0.5
        self._news = threading.Condition()
        self._leading: list[Answer] = []
        """Each answer of a long-poll that brought the news "you lead", in order."""

    def _told(self, answer: Answer) -> None:
        with self._news:
            if answer.body["is_leader"]:
                self._leading.append(answer)
            self._news.notify_all()

    def run(self) -> None:
        """The whole story. Raises DemoError."""
        say = self.screen.say
        say(f"Three sidecars contend for one local Lease: lease duration {LEASE_SECONDS} s, renew deadline 3 s, retry period 0.5 s.")
        began_ns = now_ns()
        for sidecar in self.sidecars:
            sidecar.start()
        for seat in self.seats:
            seat.follow()
        self.screen.start()
        first = self._next_leader(began_ns, START_SECONDS, "no sidecar led")
        self._settled()
        say(f"{first.body['name']} leads, {(first.received_ns - began_ns) / 1e9:.1f} s after the start. All three sidecars agree.")
        self._pause()
        self._graceful()
        self._pause()
        self._crash()
        self._pause()

    def _graceful(self) -> None:
        """SIGTERM after the application has ended: the order in which a kubelet stops a native sidecar."""
        leader = self._leader()
        self.screen.say(f"\nSIGTERM to {leader.name}. Its application has ended already, as when a Pod is deleted ...")
        self._seat(leader).end()  # an open connection would show that the application lives
        sent_ns = now_ns()
        self.witness.ended(leader.identity, sent_ns)
        leader.ask_to_stop()
        after = self._next_leader(sent_ns, GRACEFUL_SECONDS, f"nobody led after {leader.name} was stopped", gone=leader)
        self.screen.say(
            f"  {after.body['name']} leads. Its application was told {(after.received_ns - sent_ns) / 1e6:.0f} ms after the signal."
        )
        code = leader.exit_code()
        if code != 0:
            raise DemoError(
                f"{leader.name} {'did not end by itself' if code is None else f'ended with exit code {code}'}:\n{leader.last_words()}"
            )
        self._back(leader)

    def _crash(self) -> None:
        leader = self._leader()
        self.screen.say(f"\nkill -9 of {leader.name}. It cannot release the Lease, and its application may act until its deadline ...")
        sent_ns = now_ns()
        leader.kill()
        after = self._next_leader(sent_ns, CRASH_SECONDS, f"nobody led after {leader.name} was killed", gone=leader)
        self.screen.say(
            f"  {after.body['name']} leads after {(after.received_ns - sent_ns) / 1e9:.1f} s "
            f"(promised: {CRASH_SECONDS:.0f} s, the lease duration + 1 s)."
        )
        self._back(leader)

    def _seat(self, sidecar: Sidecar) -> Seat:
        return self.seats[self.sidecars.index(sidecar)]

    def _back(self, sidecar: Sidecar) -> None:
        sidecar.start()
        self._seat(sidecar).begin()
        self._settled()
        self.screen.say(f"  {sidecar.name} is back, as a new Pod would be, and follows.")

    def _leader(self) -> Sidecar:
        deadline_ns = now_ns() + round(START_SECONDS * 1e9)
        while now_ns() < deadline_ns:
            for sidecar, seat in zip(self.sidecars, self.seats, strict=True):
                if seat.latest is not None and seat.latest.leads and seat.latest.body["identity"] == sidecar.identity:
                    return sidecar
            time.sleep(_LOOK_SECONDS)
        raise DemoError("no sidecar leads")

    def _next_leader(self, since_ns: int, limit_seconds: float, otherwise: str, gone: Sidecar | None = None) -> Answer:
        """The first answer of a long-poll since then that says "you lead". `gone` was ended on purpose; the other sidecars must run."""
        deadline_ns = now_ns() + round(limit_seconds * 1e9)
        while now_ns() < deadline_ns:
            with self._news:
                self._news.wait(min(0.1, max(0.0, (deadline_ns - now_ns()) / 1e9)))
                told = next((answer for answer in self._leading if answer.received_ns > since_ns), None)
            if told is not None:
                return told
            self._all_up(gone)
        words = "\n".join(f"{sidecar.name}: {sidecar.last_words()}" for sidecar in self.sidecars)
        raise DemoError(f"{otherwise} within {limit_seconds:.0f} s. The ends of their logs:\n{words}")

    def _all_up(self, gone: Sidecar | None = None) -> None:
        for sidecar in self.sidecars:
            if sidecar.pid is None and sidecar is not gone:
                raise DemoError(f"{sidecar.name} has ended unexpectedly. The end of its log:\n{sidecar.last_words()}")

    def _settled(self) -> None:
        """Wait until every process that runs answers, and all name the same leader."""
        deadline_ns = now_ns() + round(START_SECONDS * 1e9)
        names: list[str] = []
        while now_ns() < deadline_ns:
            here = zip(self.sidecars, self.seats, strict=True)
            answers = [
                seat.latest for sidecar, seat in here if seat.latest is not None and seat.latest.body["identity"] == sidecar.identity
            ]
            names = [answer.body["name"] for answer in answers]
            if len(names) == len(self.sidecars) and names[0] and len(set(names)) == 1:
                return
            self._all_up()
            time.sleep(_LOOK_SECONDS)
        raise DemoError(f"after {START_SECONDS:.0f} s the sidecars do not agree on the leader: {names}")

    def _pause(self) -> None:
        time.sleep(self._pace_seconds)

    def verdict(self) -> None:
        """Print the result. Raises DemoError if a promise was broken."""
        faults = self.witness.faults()
        if faults:
            raise DemoError("\n".join(faults))
        self.screen.say(
            f"\n{self.witness.answers} answers: at no time two leaders, given deadlines included. The fencing token grew with each leader."
        )

    def play(self) -> None:
        """Run until Ctrl-C. A sidecar that ends is started again when another leads."""
        a, b, c = (f"localhost:{sidecar.port}" for sidecar in self.sidecars)
        answer = self.seats[1].latest
        version = answer.body["version"] if answer is not None else ""
        token = answer.body["fencing_token"] if answer is not None else 0
        leader = f"localhost:{self._leader().port}"
        self.screen.say(
            "\nThe sidecars run until you press Ctrl-C. Try in another terminal:\n"
            f"  curl -s {a}/leader\n"
            f"  curl -s '{b}/leader?since={version}&wait=30s'   # returns when something changes, for example after:\n"
            f"  curl -s -X POST {leader}/drained -d '{{\"token\": {token}}}'   # the leader steps down at once\n"
            f"  curl -i {c}/is-leader   # 200 at the leader, else 503\n"
            f"  curl -s '{a}/readyz?verbose'\n"
            f"  kill -9 PID   # {self._pids()}\n"
        )
        while True:
            time.sleep(1)
            for sidecar in self.sidecars:
                if sidecar.pid is None:
                    self.screen.say(f"  {sidecar.name} has ended. It starts again when another sidecar leads.")
                    self._leader()
                    sidecar.start()
                    self.screen.say(f"  {sidecar.name} has started again ({self._pids()}).")

    def _pids(self) -> str:
        return ", ".join(f"{sidecar.name}: {sidecar.pid}" for sidecar in self.sidecars)

    def end(self) -> None:
        """End what was started."""
        self.screen.stop()
        for seat in self.seats:
            seat.end()
        ending = [sidecar for sidecar in self.sidecars if sidecar.pid is not None]
        for sidecar in ending:
            sidecar.ask_to_stop()
        deadline_ns = now_ns() + round(STOP_SECONDS * 1e9)
        while now_ns() < deadline_ns and any(sidecar.pid is not None for sidecar in ending):
            time.sleep(_LOOK_SECONDS)
        for sidecar in ending:
            sidecar.kill()
