"""How many descriptors this process may have (RLIMIT_NOFILE, getrlimit(2)). Imports next to nothing: the watcher's process keeps it."""

import resource

WANTED = 8192
"""More than all that may be open at once."""
RESERVED = 36
"""Those that are not for clients: some 18 are open in any case (listeners, log, loop, watcher, store), the others are for the API server's
connections, look-ups of names, the application's health, and files that are read."""
LEAST = 48
"""With fewer the sidecar could serve next to nobody."""


def limit() -> int:
    """The soft limit in force."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return WANTED if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> None:
    """A thousand parked polls and their like need more than the usual soft limit of 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def too_few() -> str:
    """What to tell the user where the limit in force is too low to work with; "" where it is not."""
    if limit() >= LEAST:
        return ""
    return f"the limit on open files is {limit()}, at least {LEAST} are needed: raise it (ulimit -n, LimitNOFILE=, --ulimit nofile=)"
