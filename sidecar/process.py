"""The process's edge: settings, logging, listeners, signals, one TaskGroup, the exit code."""

import argparse
import asyncio
import contextlib
import difflib
import gc
import itertools
import logging
import os
import resource
import signal
import socket
import sys
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import FrameType
from typing import TYPE_CHECKING, Final

from sidecar import __version__, identity, listen, logs, older
from sidecar.beside import works
from sidecar.clock import SystemClock
from sidecar.elector import Elector
from sidecar.leadership import Leadership, Names
from sidecar.loading import foreign_variables, holder_pod, load, own_pod
from sidecar.settings import Settings, flag, variable
from sidecar.stores.protocol import Store

if TYPE_CHECKING:
    from sidecar.stores.credentials import Access

_log: Final = logging.getLogger("sidecar")

EXIT_STOPPED: Final = 0
EXIT_BUG: Final = 1
EXIT_UNUSABLE: Final = 2
"""What an edit of the Pod heals: never for what heals by itself."""
OPEN_FILES: Final = 8192

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
_THREADS: Final = "sidecar-look-up"
_MAX_THREADS: Final = 8
_THREAD_GRACE_SECONDS: Final = 0.05


class Unusable(Exception):  # noqa: N818 - said to the user
    """It cannot start; an edit of the Pod heals it. Each line is one fault."""


class _Threads(ThreadPoolExecutor):
    """asyncio's threads: the look-ups of names. One that hangs cannot be cancelled; nobody waits for it at the end."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - its signature
        """Never wait, whatever asyncio asks for."""
        super().shutdown(wait=False, cancel_futures=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the sidecar until it is told to stop; the exit code."""
    with _stoppable():
        code = _to_the_end(arguments)
    _leave_hung_threads(code)
    return code


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Leave at once on a signal, until the election has them: nothing was written yet, and what is half imported is not to be unwound.

    For PID 1 the system itself does nothing on SIGTERM.
    """

    def leave(_: int, __: FrameType | None) -> None:
        os.write(2, b"leader-sidecar: told to stop before it contended\n")
        os._exit(EXIT_STOPPED)

    before = {number: signal.signal(number, leave) for number in _STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_hung_threads(code: int) -> None:
    """Everything is closed by now; the interpreter would still wait for each thread, for as long as a look-up hangs."""
    threads = [thread for thread in threading.enumerate() if thread.name.startswith(_THREADS)]
    for thread in threads:
        thread.join(_THREAD_GRACE_SECONDS)
    if any(thread.is_alive() for thread in threads):
        logging.shutdown()
        os._exit(code)


def _to_the_end(arguments: Sequence[str] | None) -> int:
    try:
        settings = configured(sys.argv[1:] if arguments is None else list(arguments))
        logs.configure(settings.effective_log_format, settings.log_level)
        _raise_open_files()
        asyncio.run(_run(settings))
    except Unusable as error:
        for line in str(error).splitlines():
            print(f"leader-sidecar: {line}", file=sys.stderr)  # noqa: T201 - before there is a log, or in place of a traceback
        return EXIT_UNUSABLE
    except (Exception, BaseExceptionGroup):  # noqa: BLE001 - the last resort before a user
        _log.exception("a bug: nothing is released, the answers end with their deadline")
        return EXIT_BUG
    return EXIT_STOPPED


def configured(arguments: Sequence[str]) -> Settings:
    """The settings of flags and environment. Raises Unusable with every fault at once; ends the process for --help and --version."""
    parser = _parser()
    try:
        found, rest = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise Unusable(f"{error}; --help lists the flags") from None
    given = {name: text for name, text in vars(found).items() if text is not None}
    flags = older.translated(given) | {field: text for field, text in given.items() if field in Settings.model_fields}
    known_flags = [flag(field) for field in Settings.model_fields]
    known_variables = [variable(field) for field in Settings.model_fields]
    values = {word for flag_, word in itertools.pairwise(rest) if flag_.startswith("-") and "=" not in flag_ and not word.startswith("-")}
    faults = [f"{word} is no flag{_nearest(word.split('=')[0], known_flags)}" for word in rest if word not in values]
    faults += [f"{name} is no setting{_nearest(name, known_variables)}" for name in foreign_variables()]
    settings, wrong = load(flags, os.environ, _service_account_namespace())
    faults += wrong
    if settings is None or faults:
        raise Unusable("\n".join(faults))
    return settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="leader-sidecar",
        description="Contends for a Kubernetes Lease and answers on localhost who leads, until when, and what changed.",
        epilog="Each flag can stand in the environment: --lease-name is LEADER_LEASE_NAME. Durations: 15, 15s, 500ms, 2m, 1h. "
        "A command instead: leader-sidecar probe --help.",
        allow_abbrev=False,
        exit_on_error=False,
    )
    parser.add_argument("--version", action="version", version=f"leader-sidecar {__version__}")
    for field, about in Settings.model_fields.items():
        text = " ".join((about.description or "").split()).replace("%", "%%")
        if about.annotation is bool:
            parser.add_argument(flag(field), dest=field, nargs="?", const="true", metavar="BOOL", help=text)
        else:
            parser.add_argument(flag(field), dest=field, metavar=field.rpartition("_")[2].upper(), help=text)
    group = parser.add_argument_group("flags of the older leader-elector sidecars, so that only the image need change")
    for name, field in older.FLAGS.items():  # with one dash as well, as Go takes them
        means = "the three times in proportion, 15 to 10 to 2" if name == "ttl" else flag(field)
        group.add_argument(f"--{name}", f"-{name}", dest=name, metavar=name.upper(), help=means)
    for name in older.IGNORED:
        group.add_argument(f"--{name}", f"-{name}", dest=name, nargs="?", const="true", metavar="BOOL", help="accepted, says nothing here")
    return parser


def _nearest(name: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
    return f": did you mean {near[0]}?" if near else f": known are {', '.join(known)}"


def _service_account_namespace() -> str | None:
    from sidecar.stores.credentials import in_cluster_namespace  # noqa: PLC0415 - its library is heavy

    return in_cluster_namespace() if "KUBERNETES_SERVICE_HOST" in os.environ else None


def _raise_open_files() -> None:
    """A thousand parked polls and their like need more than the usual soft limit of 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def _open_store(settings: Settings, clock: SystemClock) -> "tuple[Store, Access | None]":
    """The store, and what other objects of its API server are reached with; sends nothing yet. Raises Unusable."""
    if settings.store.startswith("local:"):
        from sidecar.stores.local import LocalStore, StoreUnusable  # noqa: PLC0415 - sqlite only where it is used

        try:
            return LocalStore(settings.store.removeprefix("local:"), settings.lease_namespace, settings.lease, clock), None
        except StoreUnusable as error:
            raise Unusable(str(error)) from None
    from sidecar.stores import credentials  # noqa: PLC0415 - 36 MB, not for a local store
    from sidecar.stores.kubernetes import KubernetesStore  # noqa: PLC0415

    try:
        access = await credentials.load(os.environ, tls_strict=settings.tls_strict)
    except credentials.ConfigurationError as error:
        raise Unusable(str(error)) from None
    timeout_seconds = settings.renew_deadline
    store = await KubernetesStore.connect(access, settings.lease_namespace, settings.lease, tcp_timeout_seconds=timeout_seconds)
    return store, access


async def _run(settings: Settings) -> None:
    """Listeners and the identity's socket first, then the first request (S9)."""
    asyncio.get_running_loop().set_default_executor(_Threads(_MAX_THREADS, _THREADS))
    clock = SystemClock()
    pod = own_pod(os.environ, _service_account_namespace())
    me = settings.candidate(identity.instance(), identity.place(), holder_pod(settings, pod))
    async with contextlib.AsyncExitStack() as stack:
        app_sockets, probe_sockets = _take_sockets(settings, me.identity, stack)
        store, access = await _open_store(settings, clock)
        stack.push_async_callback(store.close)
        names = Names(me.identity, settings.lease, settings.lease_namespace, me.instance[:8])
        elector = Elector(store, clock, Leadership(clock, names), me)
        _say_start(settings, me.instance, [*app_sockets, *probe_sockets])
        async with asyncio.TaskGroup() as group:
            served = asyncio.Event()
            server = group.create_task(_serve(elector, clock, app_sockets, probe_sockets, served))
            await served.wait()
            _on_signals(elector)
            loops, last = await works(settings, pod=pod, elector=elector, store=store, clock=clock, access=access, stack=stack)
            beside = [group.create_task(work) for work in loops]
            gc.freeze()  # what start-up made stays: no collection needs to look at it again
            await elector.run()
            await asyncio.gather(*(finish() for finish in last))
            for task in (*beside, server):
                task.cancel()
    logs.event(_log, logging.INFO, "stopped")


def _take_sockets(
    settings: Settings, own_identity: str, stack: contextlib.AsyncExitStack
) -> tuple[list[socket.socket], list[socket.socket]]:
    """The identity's socket and both listeners, closed with `stack`. Raises Unusable."""
    try:
        guard = identity.take(settings.lease_namespace, settings.lease, own_identity)
        if guard is not None:
            stack.callback(guard.close)
        bound = []
        for text in (settings.listen, settings.probe_listen):
            bound.append(listen.bind(listen.parse_listen(text), settings.socket_mode))
            for listener in bound[-1]:
                stack.callback(listener.close)
    except (identity.CannotGuard, listen.CannotListen) as error:
        raise Unusable(str(error)) from None
    return bound[0], bound[1]


def _say_start(settings: Settings, instance: str, sockets: list[socket.socket]) -> None:
    shown = {field: value for field, value in settings.in_force().items() if field not in {"listen", "probe_listen"}}
    shown = {field.rstrip("_"): value for field, value in shown.items()}
    where = ",".join(listen.name(listener) for listener in sockets)
    logs.event(_log, logging.INFO, "starting", version=__version__, instance=instance, listens=where, lease=settings.lease, **shown)


def _on_signals(elector: Elector) -> None:
    loop = asyncio.get_running_loop()
    seen: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        logs.event(_log, logging.INFO, "told to stop", signal=number.name, again=bool(seen))
        elector.stop(now=bool(seen))
        seen.append(number)

    for number in _STOPPING:
        loop.add_signal_handler(number, stop, number)


async def _serve(
    elector: Elector, clock: SystemClock, app_sockets: list[socket.socket], probe_sockets: list[socket.socket], served: asyncio.Event
) -> None:
    """Serve until cancelled; then every waiter gets the final state, and the listeners close last."""
    from sidecar.http.serve import serving  # noqa: PLC0415 - after the settings have been found good

    async with serving(elector, clock, app_sockets, probe_sockets):
        served.set()
        await asyncio.Event().wait()
