"""`leader-sidecar` and `python -m sidecar`: a command where one is named, before anything heavy is imported; else the sidecar itself."""

import sys

from sidecar import commands


def main() -> int:
    """Run what the command line asks for; the exit code."""
    code = commands.run(sys.argv[1:])
    if code is not None:
        return code
    from sidecar import process  # noqa: PLC0415 - most of the start, which no command pays for

    return process.main()


if __name__ == "__main__":
    sys.exit(main())
