"""From the command line and the environment to the settings in force, or to what a user is told in their place."""

import argparse
import difflib
import itertools
import os
from collections.abc import Sequence

from sidecar import __version__, older
from sidecar.loading import foreign_variables, load
from sidecar.resolved import EXIT_UNUSABLE, Resolved, Unusable
from sidecar.settings import Settings, flag, variable
from sidecar.stores.configuration import service_account_namespace


def checked(arguments: Sequence[str]) -> tuple[bytes, int]:
    """The settings as `Resolved.of_json` reads them and 0; where they have faults, which are said, b"" and the exit code."""
    try:
        return configured(arguments).to_json(), 0
    except Unusable as error:
        error.say()
        return b"", EXIT_UNUSABLE


def configured(arguments: Sequence[str]) -> Resolved:
    """The settings of flags and environment. Raises Unusable with every fault at once; ends the process for --help and --version."""
    given, rest = _parsed(arguments) if arguments else ({}, [])
    flags = older.translated(given) | {field: text for field, text in given.items() if field in Settings.model_fields}
    known_flags = [flag(field) for field in Settings.model_fields]
    known_variables = [variable(field) for field in Settings.model_fields]
    values = {word for flag_, word in itertools.pairwise(rest) if flag_.startswith("-") and "=" not in flag_ and not word.startswith("-")}
    faults = [f"{word} is no flag{_nearest(word.split('=')[0], known_flags)}" for word in rest if word not in values]
    faults += [f"{name} is no setting{_nearest(name, known_variables)}" for name in foreign_variables()]
    settings, wrong = load(flags, os.environ, service_account_namespace(os.environ))
    faults += wrong
    if settings is None or faults:
        raise Unusable("\n".join(faults))
    return settings


def _parsed(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """What each flag was given, and what is left over."""
    try:
        found, rest = _parser().parse_known_args(arguments)
    except argparse.ArgumentError as error:
        raise Unusable(f"{error}; --help lists the flags") from None
    return {name: text for name, text in vars(found).items() if text is not None}, rest


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="leader-sidecar",
        description="Contends for a Kubernetes Lease and answers on localhost who leads, until when, and what changed.",
        epilog="Each flag can stand in the environment: --lease-name is LEADER_LEASE_NAME. Durations: 15, 15s, 500ms, 2m, 1h, 1m30s. "
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
