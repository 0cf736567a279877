"""How many descriptors this process may have (RLIMIT_NOFILE, getrlimit(2)). Imports next to nothing: the watcher keeps it in memory."""

import resource

WANTED = 8192
"""More descriptors than the sidecar opens at once."""
RESERVED = 36
"""Descriptors that clients do not get: some 18 are always open (listeners, log, loop, watcher, store), the others are for connections to
the API server, look-ups of names, the application's health, and files that are read."""
LEAST = 48
"""With fewer descriptors the sidecar could serve hardly any client."""


def limit() -> int:
    """The soft limit in force."""
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return WANTED if soft == resource.RLIM_INFINITY else soft


def raise_limit() -> None:
    """Raise the soft limit: a thousand waiting polls and their like need more than the usual 1,024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def too_few() -> str:
    """What to tell the user where the limit in force is too low; "" where it is not."""
    if limit() >= LEAST:
        return ""
    return f"the limit on open files is {limit()}, at least {LEAST} are needed: raise it (ulimit -n, LimitNOFILE=, --ulimit nofile=)"
