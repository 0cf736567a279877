"""The teams: three candidates of one kind each, which hand over a Lease of their own again and again."""

import json
import queue
import signal
import threading
import time
from dataclasses import dataclass
from typing import Final, Protocol

from tests.apiserver.conftest import Field
from tests.apiserver.go_candidate import ROLE, GoCandidate
from tests.apiserver.sidecar_process import Sidecar, boottime_ns, until
from tests.bench.ground import Ground
from tests.bench.programs import asking

CANDIDATES: Final = 3
LIMIT_SECONDS: Final = 60.0
"""Longer than any handover: two of client-go's lease durations and all of its retries."""
APP_ENDED_SECONDS: Final = 0.1
"""After this time the sidecar has handled the end of its application."""


@dataclass(frozen=True)
class Times:
    """client-go's three, in seconds."""

    lease_duration: float = 15
    renew_deadline: float = 10
    retry_period: float = 2

    def __str__(self) -> str:
        return f"{self.lease_duration:g}/{self.renew_deadline:g}/{self.retry_period:g}"

    def settings(self) -> dict[str, str]:
        """The settings of a sidecar."""
        names = {"LEASE_DURATION": self.lease_duration, "RENEW_DEADLINE": self.renew_deadline, "RETRY_PERIOD": self.retry_period}
        return {f"LEADER_{name}": f"{seconds:g}s" for name, seconds in names.items()}


SHORTER: Final = Times(3, 2, 0.5)


@dataclass(frozen=True)
class Turn:
    """From the end of one leader to the moment at which the next one's application knows, CLOCK_BOOTTIME."""

    began_ns: int
    told_ns: int
    former: str
    """The identity that led."""

    @property
    def seconds(self) -> float:
        """How long no application knew that it leads."""
        return (self.told_ns - self.began_ns) / 1e9


class Team(Protocol):
    """Candidates of one kind."""

    name: str

    def start(self) -> None:
        """All of them; returns when one leads and the others follow."""

    def settle(self, seconds: float) -> None:
        """Return when each candidate has followed for this time."""

    def turn(self, how: signal.Signals) -> Turn:
        """End the leader, wait for the next one, and bring the former back."""

    def stop(self) -> None:
        """End every process."""


class App(threading.Thread):
    """An application that waits on its own sidecar's long-poll, and notes when it is told that it leads."""

    def __init__(self, sidecar: Sidecar, told: "queue.Queue[tuple[Sidecar, int]]") -> None:
        super().__init__(daemon=True)
        self._sidecar = sidecar
        self._told = told
        self._process = asking("app", url=f"http://127.0.0.1:{sidecar.port}/leader")
        self.start()

    def end(self) -> None:
        """End the connection, as an application does that exits."""
        self._process.kill()
        self.join(LIMIT_SECONDS)

    def run(self) -> None:
        """Until one of the two ends."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._told.put((self._sidecar, json.loads(line)["leads_boottime_ns"]))
        self._process.stdout.close()
        self._process.wait(LIMIT_SECONDS)


class Ours:
    """Sidecars, each with its application. Native ones: SIGTERM means that the application has ended."""

    name = "leader-sidecar"

    def __init__(self, ground: Ground, where: Field, times: Times = Times()) -> None:
        self.where = where
        self.told: queue.Queue[tuple[Sidecar, int]] = queue.Queue()
        self.sidecars = [
            where.sidecar(f"web-{number}", launcher=ground.interpreter.launcher, times=times.settings(), LEADER_NATIVE_SIDECAR="true")
            for number in range(CANDIDATES)
        ]
        for sidecar in self.sidecars:
            sidecar.program = ground.interpreter.sidecar
            sidecar.environment = {**sidecar.environment, **ground.interpreter.environment}
        self._apps: dict[str, App] = {}
        self._leader = self.sidecars[0]
        self._follows_since = 0.0

    @property
    def leader(self) -> Sidecar:
        """Who was told last."""
        return self._leader

    @property
    def followers(self) -> list[Sidecar]:
        """The others."""
        return [sidecar for sidecar in self.sidecars if sidecar is not self._leader]

    def start(self) -> None:
        """See Team."""
        for sidecar in self.sidecars:
            sidecar.start()
        self._apps = {sidecar.name: App(sidecar.serving(), self.told) for sidecar in self.sidecars}
        self._leader, _ = self.told.get(timeout=LIMIT_SECONDS)
        self._all_follow()

    def _all_follow(self) -> None:
        for sidecar in self.followers:
            sidecar.informed(self._leader.name)
        self._follows_since = time.monotonic()

    def settle(self, seconds: float) -> None:
        """See Team."""
        time.sleep(max(0.0, self._follows_since + seconds - time.monotonic()))

    def turn(self, how: signal.Signals) -> Turn:
        """See Team."""
        former = self._leader
        if how is signal.SIGTERM:
            self._apps[former.name].end()  # a native sidecar is stopped when its application has ended
            time.sleep(APP_ENDED_SECONDS)
        began_ns = boottime_ns()
        former.signal(how)
        self._leader, told_ns = self.told.get(timeout=LIMIT_SECONDS)
        former.wait(20)
        self._apps[former.name] = App(former.start().serving(), self.told)
        self._all_follow()
        return Turn(began_ns, told_ns, former.identity)

    def stop(self) -> None:
        """See Team."""
        for sidecar in self.sidecars:
            sidecar.kill()
        for app in self._apps.values():
            app.end()


class ClientGo:
    """Programs with client-go's election and ReleaseOnCancel. Each is its own application."""

    name = "client-go"

    def __init__(self, ground: Ground, where: Field, times: Times = Times()) -> None:
        self.where = where
        self.users: dict[str, str] = {}
        self.candidates = []
        for number in range(CANDIDATES):
            identity = f"go-{number}"
            self.users[identity], token = ground.user(where, ROLE)
            kubeconfig = ground.server.kubeconfig(token, where.folder / f"{identity}.kubeconfig", namespace=where.namespace)
            mine = (times.lease_duration, times.renew_deadline, times.retry_period)
            self.candidates.append(GoCandidate(identity, kubeconfig, where.namespace, where.folder, "web", *mine))
        self._leader = self.candidates[0]
        self._follows_since = 0.0

    @property
    def leader(self) -> GoCandidate:
        """Who was told last."""
        return self._leader

    @property
    def followers(self) -> list[GoCandidate]:
        """The others."""
        return [candidate for candidate in self.candidates if candidate is not self._leader]

    def start(self) -> None:
        """See Team."""
        began_ns = boottime_ns()
        for candidate in self.candidates:
            candidate.start()
        self._leader, _ = self._next(began_ns)
        self._all_follow(began_ns)

    def _next(self, after_ns: int) -> tuple[GoCandidate, int]:
        """Who was told that it leads, and when: by its own word."""

        def found() -> tuple[GoCandidate, int] | None:
            for candidate in self.candidates:
                for event in candidate.events():
                    if event["event"] == "started-leading" and event["boottime_ns"] > after_ns:
                        return candidate, event["boottime_ns"]
            return None

        who = until(found, within_seconds=LIMIT_SECONDS, every_seconds=0.01, message="a client-go candidate leads")
        assert who is not None
        return who

    def _all_follow(self, after_ns: int) -> None:
        def knows(candidate: GoCandidate) -> bool:
            told = [event for event in candidate.events() if event["event"] == "new-leader" and event["boottime_ns"] > after_ns]
            return [event["identity"] for event in told[-1:]] == [self._leader.identity]

        until(lambda: all(knows(candidate) for candidate in self.followers), within_seconds=LIMIT_SECONDS, message="the others follow")
        self._follows_since = time.monotonic()

    def settle(self, seconds: float) -> None:
        """See Team."""
        time.sleep(max(0.0, self._follows_since + seconds - time.monotonic()))

    def turn(self, how: signal.Signals) -> Turn:
        """See Team."""
        former = self._leader
        assert former.process is not None
        began_ns = boottime_ns()
        former.process.send_signal(how)
        self._leader, told_ns = self._next(began_ns)
        former.process.wait(20)
        former.start()
        self._all_follow(began_ns)
        return Turn(began_ns, told_ns, former.identity)

    def stop(self) -> None:
        """See Team."""
        for candidate in self.candidates:
            candidate.kill()
