"""Puts one process together: listeners, the election, the features; and ends it, in the order that `run` tells from top to bottom."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
from typing import TYPE_CHECKING, Final

from sidecar import __version__, logs, watchdog
from sidecar.clock import SystemClock, ns
from sidecar.election.store import Store
from sidecar.features.enabled import works
from sidecar.http import listen
from sidecar.resolver_threads import ResolverThreads
from sidecar.runtime import app_end, identity
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner
from sidecar.runtime.status import stuck_seconds
from sidecar.settings import in_force
from sidecar.settings.in_force import Settings, UnusableError
from sidecar.settings.listen import parse_listen

if TYPE_CHECKING:
    from sidecar.kubernetes.credentials import Access

_log: Final = logging.getLogger("sidecar")

GIVE_WAY_SECONDS: Final = 0.05
"""Pause before closing: a successor on this machine needs the CPU."""

STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


async def run(settings: Settings, dog: watchdog.Watchdog) -> None:
    """Run the election. The listeners and the identity's socket are bound before the first request is sent (S9)."""
    asyncio.get_running_loop().set_default_executor(ResolverThreads())
    clock = SystemClock()
    pod = in_force.own_pod(settings)
    me = in_force.candidate(settings, identity.process(), identity.place())
    async with contextlib.AsyncExitStack() as stack:
        faults, app_sockets, probe_sockets = _take_sockets(settings, me.identity, stack)
        try:
            store, access = await _open_store(settings, clock)
        except UnusableError as error:
            raise UnusableError("\n".join([*faults, str(error)])) from None
        stack.push_async_callback(store.close)
        if faults:
            raise UnusableError("\n".join(faults))
        names = Names(me.identity, in_force.lease(settings), settings.lease_namespace, me.process[:8])
        runner = Runner(store, clock, Leadership(clock, names), me)
        _say_start(settings, me.process, [*app_sockets, *probe_sockets])
        async with asyncio.TaskGroup() as group:
            served = asyncio.Event()
            server = group.create_task(_serve(runner, clock, app_sockets, probe_sockets, served))
            await served.wait()
            _on_signals(runner, clock)
            loops, last = await works(settings, pod=pod, runner=runner, access=access, stack=stack)
            features = [group.create_task(work) for work in loops]
            gc.freeze()  # the objects made so far stay: no collection has to visit them again
            beats = group.create_task(_beat(dog, runner, clock, settings.log_format))
            await runner.run()  # says false, waits for the application or the given deadlines, and releases (S11)
            beats.cancel()
            dog.end()
            # What is left to write, all at once: the standby's and the features' last words.
            await asyncio.gather(runner.finish(), *(finish() for finish in last), clock.sleep(0 if runner.left else GIVE_WAY_SECONDS))
            for task in (*features, server):  # the server answers each waiting client once more; then `stack` closes what was opened
                task.cancel()
    logs.move(_log, logging.INFO, "stopped")


async def _open_store(settings: Settings, clock: SystemClock) -> "tuple[Store, Access | None]":
    """The store, and the access to its API server for other objects (None for a local store). Sends nothing yet. Raises UnusableError."""
    if settings.store.startswith("local:"):
        from sidecar.local.store import LocalStore, UnusableFileError  # sqlite only where it is used

        try:
            return LocalStore(settings.store.removeprefix("local:"), settings.lease_namespace, in_force.lease(settings), clock), None
        except UnusableFileError as error:
            raise UnusableError(str(error)) from None
    from sidecar.kubernetes import credentials  # loaded ahead, while the settings were checked
    from sidecar.kubernetes.store import KubernetesStore

    try:
        access = await credentials.load(os.environ, tls_strict=settings.tls_strict)
    except credentials.ConfigurationError as error:
        raise UnusableError(str(error)) from None
    timeout_seconds = settings.renew_deadline
    store = await KubernetesStore.connect(access, settings.lease_namespace, in_force.lease(settings), tcp_timeout_seconds=timeout_seconds)
    return store, access


async def _beat(dog: watchdog.Watchdog, runner: Runner, clock: SystemClock, log_format: logs.LogFormat) -> None:
    """Tell the watcher that the election's loop turns in time, as `/livez` judges it; that asyncio's loop turns is not enough."""
    limit_seconds, status = stuck_seconds(runner.candidate), runner.status
    why = f"the loop is more than {limit_seconds:g} s late; a traceback of where it hangs follows"
    dog.arm(limit_seconds, logs.around_time(log_format, watchdog.__name__, "the loop hangs: exit code 1, nothing is released", why=why))
    while True:
        logs.catch_up(clock.wall_us() / 1e6)
        if clock.boottime_ns() - status.turns_by_ns < ns(watchdog.BEAT_SECONDS) and not dog.beat():
            why = "a hung loop no longer ends the process; only /livez shows it"
            logs.event(_log, logging.WARNING, "the watchdog has ended", why=why)
            return
        await clock.sleep(watchdog.BEAT_SECONDS)


def _take_sockets(
    settings: Settings, own_identity: str, stack: contextlib.AsyncExitStack
) -> tuple[list[str], list[socket.socket], list[socket.socket]]:
    """The faults found, a line each, and the sockets of both listeners. `stack` closes them and the identity's socket."""
    faults: list[str] = []
    bound: list[list[socket.socket]] = []
    try:
        identity_lock = identity.take(settings.lease_namespace, in_force.lease(settings), own_identity)
        if identity_lock is not None:
            stack.callback(identity_lock.close)
    except identity.IdentityLockError as error:
        faults.append(str(error))
    for setting, text in (("LEADER_LISTEN", settings.listen), ("LEADER_PROBE_LISTEN", settings.probe_listen)):
        beside = [each for sockets in bound for each in sockets]
        try:
            bound.append(listen.bind(parse_listen(text), settings.socket_mode, setting=setting, beside=beside))
        except listen.ListenError as error:
            bound.append([])
            faults.append(str(error))
        for listener in bound[-1]:
            stack.callback(listener.close)
    return faults, bound[0], bound[1]


def _say_start(settings: Settings, process: str, sockets: list[socket.socket]) -> None:
    shown = {field: value for field, value in in_force.shown(settings).items() if field not in {"listen", "probe_listen"}}
    where = ",".join(listen.name(listener) for listener in sockets)
    logs.move(_log, logging.INFO, "starting", version=__version__, process=process, listens=where, lease=in_force.lease(settings), **shown)


def _on_signals(runner: Runner, clock: SystemClock) -> None:
    loop = asyncio.get_running_loop()
    seen: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        again = bool(seen)
        seen.append(number)
        lives = runner.stop(now=again)
        waits = app_end.awaited(runner.situation(), clock.boottime_ns(), lives)
        if again:
            more = {"now": "ends at once and releases nothing"} if waits else {}
        else:
            more = {"waits_for": waits, "next": "a second signal ends the process at once and releases nothing"} if waits else {}
        logs.move(_log, logging.INFO, "told to stop", signal=number.name, again=again, **more)

    for number in STOPPING:
        loop.add_signal_handler(number, stop, number)


async def _serve(
    runner: Runner, clock: SystemClock, app_sockets: list[socket.socket], probe_sockets: list[socket.socket], served: asyncio.Event
) -> None:
    """Serve until cancelled. Then every waiting client gets the final state, and the listeners close last."""
    from sidecar.http.server import serving  # after the settings have been found good

    async with serving(runner, clock, app_sockets, probe_sockets):
        served.set()
        await asyncio.Event().wait()
