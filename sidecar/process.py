"""The process from outside: settings, logging, listeners, signals, one TaskGroup, the exit code."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import TYPE_CHECKING, Final

from sidecar import __version__, child_processes, logs, preload, watchdog
from sidecar.clock import SystemClock, ns
from sidecar.election.store import Store
from sidecar.features.enabled import works
from sidecar.http import listen
from sidecar.runtime import identity, stopping
from sidecar.runtime.leadership import Leadership, Names
from sidecar.runtime.runner import Runner
from sidecar.runtime.status import stuck_seconds
from sidecar.settings import checking, in_force
from sidecar.settings.in_force import EXIT_UNUSABLE, Settings, Unusable
from sidecar.settings.listen import parse_listen

if TYPE_CHECKING:
    from sidecar.kubernetes.credentials import Access

_log: Final = logging.getLogger("sidecar")

EXIT_STOPPED: Final = 0
EXIT_BUG: Final = 1
GIVE_WAY_SECONDS: Final = 0.05
"""Pause before closing: a successor on this machine needs the CPU."""

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_THREADS: Final = "sidecar-look-up"
_MAX_THREADS: Final = 8
_THREAD_GRACE_SECONDS: Final = 0.05


class _Threads(ThreadPoolExecutor):
    """asyncio's threads, which look up names. A look-up that hangs cannot be cancelled, so the end of the process waits for none."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - its signature
        """Never wait for a thread, also where asyncio asks to."""
        super().shutdown(wait=False, cancel_futures=True)


def main(check: checking.Check, dog: watchdog.Watchdog) -> int:
    """Run the sidecar until it is told to stop; the exit code."""
    with _stoppable():
        code = dog.code = _to_the_end(check, dog)
        child_processes.end_all()
    _leave_hung_threads(code)
    return code


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Exit at once on SIGTERM or SIGINT, until the election handles them: nothing was written yet, so nothing is to be released.

    Without a handler the kernel ignores SIGTERM for PID 1.
    """

    def leave(_: int, __: FrameType | None) -> None:
        child_processes.end_at_once()
        with contextlib.suppress(OSError):
            os.write(2, b"leader-sidecar: told to stop before it contended\n")
        os._exit(EXIT_STOPPED)

    before = {number: signal.signal(number, leave) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_hung_threads(code: int) -> None:
    """Exit without the threads that still look up a name: the interpreter would wait for them. Everything else is closed by now."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(_THREADS)]
    for thread in threads:
        thread.join(_THREAD_GRACE_SECONDS)
    if any(thread.is_alive() for thread in threads):
        logging.shutdown()
        os._exit(code)


def _to_the_end(check: checking.Check, dog: watchdog.Watchdog) -> int:
    try:
        preload.load_ahead()
        settings = check.settings()
        if settings is None:
            return check.code
        logs.configure(settings.log_format, settings.log_level)
        asyncio.run(_run(settings, dog))
    except Unusable as error:
        error.say()
        return EXIT_UNUSABLE
    except (Exception, BaseExceptionGroup):  # noqa: BLE001 - the last resort before a user
        _log.exception("a bug: nothing is released, the answers end with their deadline")
        return EXIT_BUG
    return EXIT_STOPPED


async def _open_store(settings: Settings, clock: SystemClock) -> "tuple[Store, Access | None]":
    """The store, and the access to its API server for other objects (None for a local store). Sends nothing yet. Raises Unusable."""
    if settings.store.startswith("local:"):
        from sidecar.local.store import LocalStore, StoreUnusable  # noqa: PLC0415 - sqlite only where it is used

        try:
            return LocalStore(settings.store.removeprefix("local:"), settings.lease_namespace, in_force.lease(settings), clock), None
        except StoreUnusable as error:
            raise Unusable(str(error)) from None
    from sidecar.kubernetes import credentials  # noqa: PLC0415 - loaded ahead, while the settings were checked
    from sidecar.kubernetes.store import KubernetesStore  # noqa: PLC0415

    try:
        access = await credentials.load(os.environ, tls_strict=settings.tls_strict)
    except credentials.ConfigurationError as error:
        raise Unusable(str(error)) from None
    timeout_seconds = settings.renew_deadline
    store = await KubernetesStore.connect(access, settings.lease_namespace, in_force.lease(settings), tcp_timeout_seconds=timeout_seconds)
    return store, access


async def _run(settings: Settings, dog: watchdog.Watchdog) -> None:
    """Run the election. The listeners and the identity's socket are bound before the first request is sent (S9)."""
    asyncio.get_running_loop().set_default_executor(_Threads(_MAX_THREADS, _THREADS))
    clock = SystemClock()
    pod = in_force.own_pod(settings)
    me = in_force.candidate(settings, identity.instance(), identity.place())
    async with contextlib.AsyncExitStack() as stack:
        faults, app_sockets, probe_sockets = _take_sockets(settings, me.identity, stack)
        try:
            store, access = await _open_store(settings, clock)
        except Unusable as error:
            raise Unusable("\n".join([*faults, str(error)])) from None
        stack.push_async_callback(store.close)
        if faults:
            raise Unusable("\n".join(faults))
        names = Names(me.identity, in_force.lease(settings), settings.lease_namespace, me.instance[:8])
        runner = Runner(store, clock, Leadership(clock, names), me)
        _say_start(settings, me.instance, [*app_sockets, *probe_sockets])
        async with asyncio.TaskGroup() as group:
            served = asyncio.Event()
            server = group.create_task(_serve(runner, clock, app_sockets, probe_sockets, served))
            await served.wait()
            _on_signals(runner, clock)
            loops, last = await works(settings, pod=pod, runner=runner, access=access, stack=stack)
            beside = [group.create_task(work) for work in loops]
            gc.freeze()  # the objects made so far stay: no collection has to visit them again
            beats = group.create_task(_beat(dog, runner, clock, settings.log_format))
            await runner.run()
            beats.cancel()
            dog.end()
            await asyncio.gather(runner.finish(), *(finish() for finish in last), clock.sleep(0 if runner.left else GIVE_WAY_SECONDS))
            for task in (*beside, server):
                task.cancel()
    logs.move(_log, logging.INFO, "stopped")


async def _beat(dog: watchdog.Watchdog, runner: Runner, clock: SystemClock, log_format: logs.LogFormat) -> None:
    """Tell the watcher that the election's loop turns in time, as `/livez` judges it; that asyncio's loop turns is not enough."""
    limit_seconds, status = stuck_seconds(runner.candidate), runner.status
    why = f"the election should have turned over {limit_seconds:g} s ago: where it stands follows"
    dog.arm(limit_seconds, logs.around_time(log_format, watchdog.__name__, "the loop hangs: exiting, nothing is released", why=why))
    while True:
        logs.catch_up(clock.wall_us() / 1e6)
        if clock.boottime_ns() - status.turns_by_ns < ns(watchdog.BEAT_SECONDS) and not dog.beat():
            logs.event(_log, logging.WARNING, "nobody watches the loop any longer", why="the process that did has ended")
            return
        await clock.sleep(watchdog.BEAT_SECONDS)


def _take_sockets(
    settings: Settings, own_identity: str, stack: contextlib.AsyncExitStack
) -> tuple[list[str], list[socket.socket], list[socket.socket]]:
    """The faults found, a line each, and the sockets of both listeners. `stack` closes them and the identity's socket."""
    faults: list[str] = []
    bound: list[list[socket.socket]] = []
    try:
        guard = identity.take(settings.lease_namespace, in_force.lease(settings), own_identity)
        if guard is not None:
            stack.callback(guard.close)
    except identity.CannotGuard as error:
        faults.append(str(error))
    for setting, text in (("LEADER_LISTEN", settings.listen), ("LEADER_PROBE_LISTEN", settings.probe_listen)):
        beside = [each for sockets in bound for each in sockets]
        try:
            bound.append(listen.bind(parse_listen(text), settings.socket_mode, setting=setting, beside=beside))
        except listen.CannotListen as error:
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
        waits = stopping.awaited(runner.situation(), clock.boottime_ns(), lives)
        if again:
            more = {"now": "leaves at once, releasing nothing"} if waits else {}
        else:
            more = {"waits_for": waits, "next": "a second signal leaves at once, releasing nothing"} if waits else {}
        logs.move(_log, logging.INFO, "told to stop", signal=number.name, again=again, **more)

    for number in _STOPPING:
        loop.add_signal_handler(number, stop, number)


async def _serve(
    runner: Runner, clock: SystemClock, app_sockets: list[socket.socket], probe_sockets: list[socket.socket], served: asyncio.Event
) -> None:
    """Serve until cancelled. Then every waiting client gets the final state, and the listeners close last."""
    from sidecar.http.server import serving  # noqa: PLC0415 - after the settings have been found good

    async with serving(runner, clock, app_sockets, probe_sockets):
        served.set()
        await asyncio.Event().wait()
