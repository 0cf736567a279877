"""From the command line and the environment to the settings in force, or to the faults that the user is told."""

import os
from collections.abc import Callable, Mapping, Sequence

from sidecar import __version__, standard_streams
from sidecar.kubernetes.in_cluster import service_account_namespace
from sidecar.settings import flags, legacy_flags
from sidecar.settings.declaration import Settings, flag, variable
from sidecar.settings.loading import foreign_variables, load
from sidecar.settings.resolved import EXIT_UNUSABLE, Resolved, Unusable


def checked(arguments: Sequence[str], taken: Callable[[Mapping[str, str]], list[str]] = lambda _: []) -> tuple[bytes, int]:
    """The settings, as `Resolved.of_json` reads them, and 0. Where they have faults: tell them; b"" and the exit code.

    `taken` finds the addresses that cannot be bound, as `http/listen.py` does.
    """
    try:
        return configured(arguments).to_json(), 0
    except Unusable as error:
        Unusable("\n".join([str(error), *taken(_listens(arguments))])).say()
        return b"", EXIT_UNUSABLE


def configured(arguments: Sequence[str]) -> Resolved:
    """The settings of flags and environment. Raises Unusable with every fault at once; ends the process for --help and --version."""
    line = flags.parsed(arguments)
    if line.shows:
        standard_streams.tell(f"leader-sidecar {__version__}\n" if line.shows == "version" else _help())
        raise SystemExit(0)
    given = _given(line)
    faults = [*line.faults, *map(flags.no_setting, foreign_variables())]
    settings, wrong = load(given, os.environ, service_account_namespace(os.environ))
    faults += wrong
    if settings is None or faults:
        raise Unusable("\n".join(faults))
    return settings


def _listens(arguments: Sequence[str]) -> dict[str, str]:
    """What the listeners are set to, checked or not, by the name of the setting."""
    given = _given(flags.parsed(arguments))
    fields = ("listen", "probe_listen")
    return {variable(each): given.get(each, os.environ.get(variable(each), Settings.model_fields[each].default)) for each in fields}


def _given(line: flags.Line) -> dict[str, str]:
    return legacy_flags.translated(line.given) | {field: text for field, text in line.given.items() if field in Settings.model_fields}


def _help() -> str:
    """The text of --help, made from the settings' docstrings."""
    import argparse  # noqa: PLC0415 - for this alone

    parser = argparse.ArgumentParser(
        prog="leader-sidecar",
        description="Contends for a Kubernetes Lease and answers on localhost who leads, until when, and what changed.",
        epilog="Each flag can stand in the environment: --lease-name is LEADER_LEASE_NAME. Durations: 15, 15s, 500ms, 2m, 1h, 1m30s. "
        "A command instead: leader-sidecar probe --help.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    for field, about in Settings.model_fields.items():
        text = " ".join((about.description or "").split()).replace("%", "%%")
        if about.annotation is bool:
            parser.add_argument(flag(field), dest=field, nargs="?", metavar="BOOL", help=text)
        else:
            parser.add_argument(flag(field), dest=field, metavar=field.rpartition("_")[2].upper(), help=text)
    group = parser.add_argument_group("flags of the older leader-elector sidecars, so that only the image need change")
    for name, field in legacy_flags.FLAGS.items():  # with one dash as well, as Go takes them
        means = "the three times in proportion, 15 to 10 to 2" if name == "ttl" else flag(field)
        group.add_argument(f"--{name}", f"-{name}", dest=name, metavar=name.upper(), help=means)
    for name in legacy_flags.IGNORED:
        group.add_argument(f"--{name}", f"-{name}", dest=name, nargs="?", metavar="VALUE", help="accepted, says nothing here")
    means = f"accepted, as all of glog's, says nothing here: {', '.join(legacy_flags.GLOG)}"
    group.add_argument("--v", "-v", dest="v", metavar="LEVEL", help=means)
    return parser.format_help()
