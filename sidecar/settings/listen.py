"""What LEADER_LISTEN and LEADER_PROBE_LISTEN may be (`addresses.py` reads one address); `http/listen.py` binds them."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sidecar import addresses

_PAIRS: Final = {
    "localhost": ("127.0.0.1", "::1"),
    "*": ("0.0.0.0", "::"),  # noqa: S104 - the probe listener's default
    "::": ("::", "0.0.0.0"),  # noqa: S104 - likewise, as where a socket serves both families
}


@dataclass(frozen=True)
class Address:
    """One address: a host and port, or the path of a unix socket."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        """The address as settings write it."""
        return f"unix:{self.path}" if self.path else shown(self.host, self.port)


def parse_listen(text: str) -> list[Address]:
    """The addresses in `text`; none in an empty one. Raises ValueError."""
    return [Address(*each) for each in addresses.parse(text)]


def named_twice(settings: Mapping[str, str]) -> list[str]:
    """Faults of addresses that ask for the same place, a line for each later one; `settings` by name. Raises ValueError."""
    asked: list[tuple[str, Address, frozenset[tuple[str, int]]]] = []
    faults = []
    for setting, text in settings.items():
        wanted = parse_listen(text)
        for address in wanted:
            places = _places(address, wanted)
            for other, former, taken in asked:
                if overlap(places, taken):
                    where = f"{setting} names" if setting == other else f"{other} and {setting} name"
                    both = f"{former} and {address}" if former != address else f"{address} twice"
                    faults.append(f"{where} {both}: an address can be used once; remove one, or use another port")
                    break
            asked.append((setting, address, places))
    return faults


def _places(address: Address, wanted: Iterable[Address]) -> frozenset[tuple[str, int]]:
    """The places that an address binds: pairs of host and port, or a path with 0. None where the port is any free one."""
    if address.path:
        return frozenset({(address.path, 0)})
    return frozenset((host, address.port) for host in hosts(address, wanted) if address.port)


def overlap(one: frozenset[tuple[str, int]], other: frozenset[tuple[str, int]]) -> bool:
    """Whether a socket on a place of `one` takes a place of `other`, or the other way round."""

    def hits(host: str, port: int) -> bool:
        every = "::" if ":" in host else "0.0.0.0"  # noqa: S104 - compared
        return (host, port) in other or (every, port) in other

    def covers(host: str, port: int) -> bool:
        return host in ("::", "0.0.0.0") and any(  # noqa: S104 - compared
            each_port == port and (":" in each) == (":" in host) for each, each_port in other
        )

    return any(hits(*place) or covers(*place) for place in one)


def hosts(address: Address, wanted: Iterable[Address]) -> tuple[str, ...]:
    """The hosts to bind: both families for `localhost`, `*` and `[::]`; IPv6 alone for a `[::]` that stands beside 0.0.0.0."""
    if address.host == "::" and Address("0.0.0.0", address.port) in wanted:  # noqa: S104 - as it was set
        return ("::",)
    return _PAIRS.get(address.host, (address.host,))


def shown(host: str, port: int) -> str:
    """An address in writing: IPv6 in brackets (RFC 3986 3.2.2)."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
