"""What the simulator found in the election, each as the smallest schedule that shows it."""

from sidecar.election.expiry import seen
from sidecar.election.record import Record, Term
from sidecar.election.requests import Kind
from sidecar.election.store import Done
from sidecar.election.view import State
from tests.support.world import World

LONG = {"lease_duration_seconds": 60, "renew_deadline_seconds": 40.0, "retry_period_seconds": 8.0, "drain_timeout_seconds": 40.0}


def test_a_stale_read_shortens_no_wait_for_a_longer_promise() -> None:
    """A promises 60 s and is cut off; a lagging replica shows B its own old, short term; then the Lease is emptied (seed 224)."""
    world = World("AB", each=lambda name: LONG if name == "A" else {})
    b = world["B"]
    world["A"].alive = False
    world.run(3)
    assert world.leaders == "B"
    old = world.api.record
    b.step_down(app_ended=True)
    b.go(Kind.RELEASE)
    world["A"].alive = True
    world.run(0.2)
    assert world.leaders == "A"
    world["A"].online = False
    b.watch(world.api.record)
    b.doubt()
    read = b.send(Kind.READ)
    read.outcome = Done(old)
    read.answer()
    world.api.wipe()
    b.watch(world.api.record)
    last = b.election.last
    assert last is not None
    assert last.seconds == 60
    assert last.end_ns - b.now_ns > 59_000_000_000


def test_an_emptied_lease_is_waited_out_for_the_duration_that_stands_in_it() -> None:
    """A new candidate with a short duration of its own, or one that knew an older, shorter promise (seed 3000003)."""
    emptied = Record("120", "", 60, renew_time_us=9, transitions=1, term=Term("web-9", token=110, process="x"))
    new = seen(emptied, None, None, None, now_ns=0, own_seconds=3)
    assert new is not None
    assert new.seconds == 60
    older = Record("100", "web-1", 3, renew_time_us=5, transitions=0, term=Term("web-1", token=90, process="y"))
    known = seen(older, None, None, None, now_ns=0, own_seconds=3)
    now = seen(emptied, older, known, 90, now_ns=0, own_seconds=3)
    assert now is not None
    assert now.seconds == 60


def test_a_token_in_old_news_counts() -> None:
    """A late watch event shows a token above all that a restored etcd knows of: the next term is above that one too (seed 185)."""
    world = World("AB")
    world.run(3)
    leader = world[world.leaders]
    follower = world["B" if leader.name == "A" else "A"]
    old = Record("50", leader.me.identity, 15, renew_time_us=1, transitions=0, term=Term(leader.me.identity, token=7_000, process="z"))
    follower.watch(old)
    assert follower.election.last_token == 7_000
    assert follower.election.record != old


def test_a_late_look_at_a_former_process_of_the_pod_shows_no_duplicate_identity() -> None:
    """P2 has resumed and written; a lagging replica then shows what P1 wrote (seeds 9, 17 and 50)."""
    world = World("AB")
    world["B"].alive = False
    world.run(3)
    a = world["A"]
    former = world.api.record
    a.start()
    world.run(5)
    assert a.leads
    world.api.delete()
    a.doubt()
    a.go(Kind.READ)
    a.watch(former)
    assert a.state is not State.CONFLICT
