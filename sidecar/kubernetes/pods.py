"""Pods of one namespace, read and watched by name: typed outcomes, never an exception."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sidecar.election.store import Busy, Closed, Denied, Missing, Unknown
from sidecar.kubernetes import resource
from sidecar.kubernetes.client import Client
from sidecar.kubernetes.credentials import one_line
from sidecar.kubernetes.responses import Conflicted, NotFound, Received

WATCH_SECONDS: Final = 300
"""How long the server keeps a watch open; its callers give up sooner."""


@dataclass(frozen=True, slots=True)
class Found:
    """The Pod's JSON."""

    pod: Any


@dataclass(frozen=True, slots=True)
class Removed:
    """The Pod was removed; its JSON in its last state."""

    pod: Any


PodOutcome = Found | Missing | Denied | Busy | Unknown
PodEvent = Found | Removed | Closed


class Pods(Protocol):
    """Pods by name, one at a time. `watch` has no time limit: its caller closes the generator."""

    async def read(self, name: str, limit_seconds: float) -> PodOutcome:
        """A quorum read; Unknown where there is no answer in time."""

    def watch(self, name: str) -> AsyncGenerator[PodEvent, None]:
        """The present state, then each change, until Closed. May be late, never made up."""


class KubernetesPods(Pods):
    """The Pods of one namespace of a cluster."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace

    async def read(self, name: str, limit_seconds: float) -> PodOutcome:
        """A quorum read."""
        match found := await self._client.request("get", resource.pod(self._namespace, name), limit_seconds=limit_seconds):
            case Received(shown, answer):
                told = Unknown(one_line(f"get pods: the answer is not this Pod: {answer.reason}"))
                return Found(shown) if named(shown) == name else told
            case NotFound(named=True):
                return Missing()
            case NotFound() | Conflicted() | Unknown():
                return Unknown(one_line(f"get pods: {found.message}"))
        return found

    async def watch(self, name: str) -> AsyncGenerator[PodEvent, None]:
        """One watch on a connection of its own."""
        why: Missing | Denied | Busy | Unknown | None = None
        query = {"fieldSelector": f"metadata.name={name}", "timeoutSeconds": str(WATCH_SECONDS)}
        async with aclosing(self._client.watch(resource.pod(self._namespace, name), query)) as events:
            async for event in events:
                match event:
                    case NotFound(message) | Conflicted(message) | Unknown(message):
                        why = Unknown(f"watch pods: {message}")
                    case Denied() | Busy():
                        why = event
                    case {"type": "ADDED" | "MODIFIED", "object": shown} if named(shown) == name:
                        yield Found(shown)
                    case {"type": "DELETED", "object": shown} if named(shown) == name:
                        yield Removed(shown)
                    case {"type": kind, "object": shown} if kind != "ERROR" and named(shown) == name:
                        pass
                    case _:
                        why = Unknown(one_line(f"watch pods: not an event of this Pod: {event}", 300))
                if why is not None:
                    break
        yield Closed(why)


def named(found: object) -> str | None:
    """The name of the Pod `found`; None where it is no Pod."""
    metadata = found.get("metadata") if isinstance(found, dict) and found.get("kind") == "Pod" else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else None
