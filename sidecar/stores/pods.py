"""Pods of one namespace, read and watched by name: typed outcomes, never an exception."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sidecar.stores.answers import NOT_FOUND, OK, Answer, Target, decode, refusal
from sidecar.stores.credentials import one_line
from sidecar.stores.objects import Objects
from sidecar.stores.protocol import Busy, Closed, Denied, Missing, Unknown

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

    def __init__(self, objects: Objects, namespace: str) -> None:
        self._objects, self._namespace = objects, namespace
        self._collection = f"/api/v1/namespaces/{namespace}/pods"

    async def read(self, name: str, limit_seconds: float) -> PodOutcome:
        """A GET without a resourceVersion."""
        answer = await self._objects.ask("GET", f"{self._collection}/{name}", limit_seconds=limit_seconds)
        if isinstance(answer, Unknown):
            return Unknown(f"get pods: {answer.message}")
        return self._outcome(name, answer)

    def _outcome(self, name: str, answer: Answer) -> PodOutcome:
        if answer.status == OK:
            found = decode(answer.body)
            return Found(found) if named(found) == name else Unknown(one_line(f"get pods: the answer is not this Pod: {answer.reason}"))
        if answer.status == NOT_FOUND:
            reason = decode(answer.body)
            # An API server's own 404 names what it has looked for; a proxy's, or one for a wrong path, does not.
            told = isinstance(reason, dict) and reason.get("reason") == "NotFound" and "pods" in str(reason.get("message"))
            return Missing() if told else Unknown(one_line(f"get pods: {answer.reason}"))
        return refusal(Target(self._namespace, name, "pods"), "get", answer)

    async def watch(self, name: str) -> AsyncGenerator[PodEvent, None]:
        """One watch on a connection of its own."""
        why: Missing | Denied | Busy | Unknown | None = None
        path = f"{self._collection}?fieldSelector=metadata.name%3D{name}&watch=1&timeoutSeconds={WATCH_SECONDS}"
        async with aclosing(self._objects.watch(path)) as events:
            async for event in events:
                if isinstance(event, Unknown):
                    why = Unknown(f"watch pods: {event.message}")
                elif isinstance(event, Answer):
                    why = (
                        Unknown(f"watch pods: {event.reason}")
                        if event.status == NOT_FOUND
                        else refusal(Target(self._namespace, name, "pods"), "watch", event)
                    )
                elif not isinstance(event, dict) or named(event.get("object")) != name or event.get("type") == "ERROR":
                    why = Unknown(one_line(f"watch pods: not an event of this Pod: {event}", 300))
                elif event.get("type") in ("ADDED", "MODIFIED"):
                    yield Found(event["object"])
                elif event.get("type") == "DELETED":
                    yield Removed(event["object"])
                if why is not None:
                    break
        yield Closed(why)


def named(found: object) -> str | None:
    """The name of the Pod `found`; None where it is no Pod."""
    metadata = found.get("metadata") if isinstance(found, dict) and found.get("kind") == "Pod" else None
    name = metadata.get("name") if isinstance(metadata, dict) else None
    return name if isinstance(name, str) else None
