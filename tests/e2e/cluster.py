"""What the tests say to a cluster: kubectl, and the waits that end when what they wait for has happened.

`Cluster` is any cluster that kubectl reaches; `node` is there where the tests have made it, and is what they kill and stop.
"""

import json
import secrets
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import yaml

from tests.e2e.node import Node

JSON = dict[str, Any]
Found = TypeVar("Found")


def until(what: str, found: Callable[[], Found | None], limit_seconds: float = 90, every_seconds: float = 0.1) -> Found:
    """Look until something is found. AssertionError, with what was waited for, where the limit is reached: far above what it takes."""
    end = time.monotonic() + limit_seconds
    while not (seen := found()):
        assert time.monotonic() < end, f"not within {limit_seconds:.0f} s: {what}"
        time.sleep(every_seconds)
    return seen


@dataclass(frozen=True)
class Cluster:
    """A cluster, the image under test as its Pods name it, and the image that the application runs in."""

    command: tuple[str, ...]
    """How a kubectl command line begins."""
    image: str
    app_image: str
    node: Node | None
    guarded: bool
    """Whether the cluster has the admission policies of k8s/guard: then every application of the tests is under them."""

    def kubectl(self, *arguments: str, stdin: str | None = None, limit_seconds: float = 120) -> str:
        """What kubectl prints. AssertionError with what it said where it fails."""
        done = self.attempt(*arguments, stdin=stdin, limit_seconds=limit_seconds)
        assert done.returncode == 0, f"kubectl {' '.join(arguments)}: {done.stderr}"
        return done.stdout

    def attempt(self, *arguments: str, stdin: str | None = None, limit_seconds: float = 120) -> subprocess.CompletedProcess[str]:
        """Run kubectl once, whatever comes of it."""
        return subprocess.run([*self.command, *arguments], input=stdin, capture_output=True, text=True, timeout=limit_seconds, check=False)

    def get(self, *arguments: str) -> JSON:
        """An object, or a list of them."""
        found = json.loads(self.kubectl("get", *arguments, "-o", "json"))
        assert isinstance(found, dict)
        return found

    def apply(self, *manifests: JSON, namespace: str = "default") -> None:
        """`kubectl apply` of these objects."""
        self.kubectl("apply", "--namespace", namespace, "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def apply_kustomization(self, folder: Path, namespace: str) -> None:
        """`kubectl apply -k` of a folder."""
        self.kubectl("apply", "--namespace", namespace, "-k", str(folder))

    def namespace(self, **labels: str) -> str:
        """A new namespace."""
        name = f"e2e-{secrets.token_hex(3)}"
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}})
        return name

    def the_node(self) -> Node:
        """The node, for a test that has asked for it by the fixture `node`."""
        assert self.node is not None
        return self.node


def container_id(pod: JSON, container: str) -> str:
    """The id of a Pod's container as the container runtime has it; empty where none has been made."""
    status = pod["status"]
    for entry in [*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())]:
        if entry["name"] == container:
            return str(entry.get("containerID", "")).rpartition("/")[2]
    return ""


def runs(pod: JSON) -> bool:
    """Whether every container of a Pod that is to run does, and nothing is ending."""
    status = pod["status"]
    entries = [*status.get("containerStatuses", ()), *status.get("initContainerStatuses", ())]
    return bool(entries) and "deletionTimestamp" not in pod["metadata"] and all("running" in entry["state"] for entry in entries)
