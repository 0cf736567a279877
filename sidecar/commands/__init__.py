"""Commands: clients of the sidecar's HTTP contract, for exec probes and people.

A kubelet may start one every few seconds in each Pod, so commands import no more than they need: no argparse, no asyncio, no library.
"""


def run(arguments: list[str]) -> int | None:
    """Run the command that the first argument names; its exit code, or None where the argument names no command."""
    if arguments[:1] == ["probe"]:
        from sidecar.commands import probe  # each command pays for itself alone

        return probe.main(arguments[1:])
    return None
