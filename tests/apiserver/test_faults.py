"""Minutes of random faults under steady polling: no given deadline reaches into another's term, and tokens only grow."""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable

import pytest

from tests.apiserver.conftest import SHORT, Field
from tests.apiserver.proxy import FaultProxy, Mode
from tests.apiserver.sidecar_process import Sidecar, Witness, the_leader
from tests.support.share import first

SHARE, MINUTES = 0.75, float(os.environ.get("FAULT_MINUTES", "3"))
"""Of faults, in `make test` and in `make test-long`."""
SEED = int(os.environ.get("FAULT_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)


@pytest.mark.timeout(MINUTES * 60 + 240)
@pytest.mark.parametrize("minutes", first([SHARE, MINUTES]))
def test_under_random_faults_no_deadline_is_broken(ground: Field, minutes: float) -> None:
    """Never two leaders, and one in the end: kill -9, SIGSTOP, SIGTERM, cut-offs, slow and lost replies, requests that land late, the
    Lease deleted; each sidecar behind a proxy of its own.
    """
    dice = random.Random(SEED)
    sidecars = ground.three(proxied=True, create=True, times=SHORT)
    done: Counter[str] = Counter()
    print(f"{minutes:g} minutes of faults with FAULT_SEED={SEED}")
    with Witness(sidecars, every_seconds=0.01) as witness:
        faults = Faults(ground, sidecars, dice)
        end = time.monotonic() + minutes * 60
        while time.monotonic() < end:
            fault = dice.choice(faults.all)
            done[fault.__name__] += 1
            fault()
            time.sleep(dice.uniform(0, 4))
        faults.heal()
        the_leader(sidecars, within_seconds=3 + 3 + 2)
        time.sleep(1)
    terms = witness.check()
    print(f"{sum(done.values())} faults {dict(done)}, {witness.answers} answers, {len(terms)} terms seen")
    assert len(terms) > minutes * 4, "a quiet run shows nothing"
    assert "Traceback" not in "".join(sidecar.log for sidecar in sidecars)


class Faults:
    """What can go wrong. Each fault heals what it did, or is healed by `heal`."""

    def __init__(self, ground: Field, sidecars: list[Sidecar], dice: random.Random) -> None:
        self._ground = ground
        self._sidecars = sidecars
        self._dice = dice
        self.all: list[Callable[[], None]] = [
            self.kill, self.stop_and_continue, self.terminate, self.cut_off, self.slow_replies, self.lose_replies, self.hold_requests,
            self.reset, self.delete_lease,
        ]  # fmt: skip

    def _any(self) -> Sidecar:
        """Any sidecar, the leader more often than the others."""
        leaders = [sidecar for sidecar in self._sidecars if self._dice.random() < 0.7 and sidecar.leads()]
        return self._dice.choice(leaders or self._sidecars)

    def _proxy(self) -> FaultProxy:
        return self._ground.proxy_of(self._any())

    def _restart(self, sidecar: Sidecar) -> None:
        time.sleep(self._dice.choice([0, 0, 1, 5]))
        sidecar.start()

    def kill(self) -> None:
        """The app has the same end: nothing of the Pod acts on an old answer's deadline but by the clock, which the witness minds."""
        sidecar = self._any()
        sidecar.kill()
        self._restart(sidecar)

    def terminate(self) -> None:
        """A restart by SIGTERM: it drains, releases, ends."""
        sidecar = self._any()
        sidecar.signal(signal.SIGTERM)
        sidecar.wait(20)
        self._restart(sidecar)

    def stop_and_continue(self) -> None:
        """SIGSTOP and SIGCONT."""
        sidecar = self._any()
        sidecar.signal(signal.SIGSTOP)
        time.sleep(self._dice.uniform(0.1, 6))
        sidecar.signal(signal.SIGCONT)

    def _for_a_while(self, proxy: FaultProxy, mode: Mode) -> None:
        proxy.mode = mode
        time.sleep(self._dice.uniform(0.2, 6))
        proxy.heal()
        if self._dice.random() < 0.5:
            proxy.reset()

    def cut_off(self) -> None:
        """Nothing passes, nothing is closed."""
        self._for_a_while(self._proxy(), Mode.BLACK_HOLE)

    def lose_replies(self) -> None:
        """Requests arrive, replies do not."""
        self._for_a_while(self._proxy(), Mode.LOSE_REPLIES)

    def hold_requests(self) -> None:
        """Requests arrive late, their senders may have gone."""
        self._for_a_while(self._proxy(), Mode.HOLD_REQUESTS)

    def slow_replies(self) -> None:
        """Replies arrive late."""
        proxy = self._proxy()
        proxy.delay_seconds = self._dice.uniform(0.1, 2)
        self._for_a_while(proxy, Mode.SLOW_REPLIES)

    def reset(self) -> None:
        """Connections break."""
        self._proxy().reset()

    def delete_lease(self) -> None:
        """The Lease is deleted."""
        if self._ground.server.lease(self._ground.namespace) is not None:
            self._ground.delete_lease()

    def heal(self) -> None:
        """Everything works again."""
        for proxy in self._ground.proxies:
            proxy.heal()
            proxy.reset()
        for sidecar in self._sidecars:
            if sidecar.exited():
                sidecar.start()
