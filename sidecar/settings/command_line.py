"""The command line: the source of the settings that flags give, and --help, both made from the declaration."""

import argparse
from argparse import SUPPRESS, ArgumentParser
from collections.abc import Callable
from typing import Any, Final

from pydantic_settings import CliSettingsSource

from sidecar import __version__
from sidecar.settings import legacy_flags
from sidecar.settings.declaration import GROUPS, Missing, Settings
from sidecar.settings.described import allowed, default, description, metavar

_SWITCH: Final = "true|false"
_USAGE: Final = "leader-sidecar [--FLAG=VALUE ...]\n       leader-sidecar probe [--help]"
_ABOUT: Final = "Contends for a Kubernetes Lease and tells the application on localhost which Pod leads, until when, and each change."
_EPILOG: Final = """\
Each flag is also an environment variable: --lease-name is LEADER_LEASE_NAME. The flag wins. A switch without a value is true.
DURATION: 15, 15s, 500ms, 2m, 1h, 1m30s. ADDRESSES: localhost:4040, 10.0.0.7:4040, [::1]:4040, *:4041, unix:/path, several with commas.
All configuration errors, unknown LEADER_* variables included, are reported together at startup; exit code 2.

examples:
  leader-sidecar --lease-name=web                                      in a Pod, with the default times
  leader-sidecar --lease-name=web --native-sidecar --lease-duration=6s --renew-deadline=4s --retry-period=1s
  LEADER_STORE=local:/tmp/leases.db leader-sidecar --lease-name=web    on one machine, without a cluster
  leader-sidecar probe readyz                                          ask the sidecar on this host
"""


class _Parser(ArgumentParser):
    """Groups the settings' flags and names units; `lenient` takes a flag without its value, which the settings refuse."""

    def __init__(self, *, lenient: bool) -> None:
        self._lenient = lenient
        super().__init__(
            prog="leader-sidecar",
            usage=_USAGE,
            description=_ABOUT,
            epilog=_EPILOG,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        self._group = self.add_argument_group("help")
        self._group.add_argument("-h", "--help", action="store_true", help="show this and exit")
        self._group.add_argument("--version", action="store_true", help=f"show the version ({__version__}) and exit")

    def add_setting(self, *names: str, **options: Any) -> None:
        """Add the flag of a setting, as pydantic-settings calls argparse's add_argument: in the order of the declaration."""
        field = options["dest"]
        if options["help"] == SUPPRESS:
            return
        if field in GROUPS:
            self._group = self.add_argument_group(GROUPS[field])
        unit = metavar(field)
        values = [f"Allowed: {allowed(field)}."] if allowed(field) else []
        text = " ".join([description(field), *values, f"Default: {default(field)[0]}."])
        alone: dict[str, Any] = {"nargs": "?", "const": "true" if unit == _SWITCH else Missing()}
        more = alone if self._lenient or unit == _SWITCH else {}
        self._group.add_argument(*names, dest=field, default=SUPPRESS, metavar=unit, help=text.replace("%", "%%"), **more)


def parsed(words: list[str]) -> tuple[CliSettingsSource[Any], list[str], list[str]]:
    """Parse `words`, the output of `legacy_flags.rewritten`.

    Returns the source of the flags' values, the words that no flag has taken, and the words after `--`.
    """
    source, parser = _source(lenient=True)
    end = words.index("--") if "--" in words else len(words)
    found, rest = parser.parse_known_args(words[:end])
    source(parsed_args=vars(found))
    return source, rest, words[end + 1 :]


def help_text() -> str:
    """The text of --help."""
    _, parser = _source(lenient=False)
    group = parser.add_argument_group("flags of the older leader-elector sidecars, with one dash or two")
    for name, own in legacy_flags.FLAGS.items():
        means = "--lease-duration; sets --renew-deadline and --retry-period in proportion, 15 to 10 to 2" if name == "ttl" else f"--{own}"
        group.add_argument(f"--{name}", dest=name, metavar=name.upper(), help=f"same as {means}")
    for name in legacy_flags.IGNORED:
        group.add_argument(f"--{name}", dest=name, nargs="?", metavar="VALUE", help="accepted, has no effect")
    means = f"accepted, has no effect; so are the other flags of glog and klog: {', '.join(legacy_flags.GLOG)}"
    group.add_argument("--v", dest="v", metavar="LEVEL", help=means)
    return parser.format_help()


def _source(*, lenient: bool) -> tuple[CliSettingsSource[Any], _Parser]:
    parser = _Parser(lenient=lenient)
    add: Callable[..., Any] = _Parser.add_setting
    return CliSettingsSource[Any](Settings, root_parser=parser, add_argument_method=add), parser
