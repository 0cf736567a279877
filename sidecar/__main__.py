"""`leader-sidecar` and `python -m sidecar`: runs the command that is named, without importing anything heavy; else the sidecar itself."""

import sys
from collections.abc import Mapping

from sidecar import __version__, commands, standard_streams


def main() -> int:
    """Run the command, or the sidecar; the exit code."""
    standard_streams.stand()
    return standard_streams.end(_run())


def _run() -> int:
    code = commands.run(sys.argv[1:])
    if code is not None:
        return code
    if asked := commands.asked(sys.argv[1:]):
        standard_streams.tell(f"leader-sidecar {__version__}\n" if asked == "version" else _help())
        return 0
    from sidecar import open_files

    open_files.raise_limit()
    if why := open_files.too_few():
        sys.stderr.write(f"leader-sidecar: cannot start: {why}\n")
        return 2
    from sidecar import watchdog  # no command needs it, and the watcher needs none of the later imports

    dog = watchdog.Watchdog()
    try:
        dog.begin()
        from sidecar.settings import checking

        check = checking.begin(sys.argv[1:], _taken)
    except OSError as error:
        why = f"two more processes are needed, to check the settings and to watch the loop: {error.strerror}; raise the limit on processes"
        standard_streams.complain(f"leader-sidecar: cannot start: {why}\n")
        return 1
    from sidecar import process  # most of the loading, while the settings are checked

    return process.main(check, dog)


def _help() -> str:
    from sidecar.settings import checking

    return checking.help_text()


def _taken(settings: Mapping[str, str]) -> list[str]:
    """Faults of addresses that cannot be bound; loaded where settings have other faults."""
    from sidecar.http import listen

    return listen.taken(settings)


if __name__ == "__main__":
    sys.exit(main())
