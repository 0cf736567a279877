"""Commands: clients of the sidecar's HTTP contract, for exec probes and people.

A kubelet may start one every few seconds in each Pod, so commands import no more than they need: no argparse, no asyncio, no library.
"""

from collections.abc import Sequence

NAMES = ("probe",)


def asked(arguments: Sequence[str]) -> str:
    """`help` or `version`, if a word before `--` is that flag, with one dash or two; else "". Called where no command is named."""
    for word in arguments:
        if word == "--":
            break
        name = word.removeprefix("-").removeprefix("-").partition("=")[0]
        if word.startswith("-") and name in ("h", "help", "version"):
            return "version" if name == "version" else "help"
    return ""


def run(arguments: list[str]) -> int | None:
    """Run the command that the first argument names; its exit code, or None where the argument names no command."""
    if arguments[:1] == ["probe"]:
        from sidecar.commands import probe  # each command pays for itself alone

        return probe.main(arguments[1:])
    return None
