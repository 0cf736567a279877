"""What a request to the API server is about: one object, or all of a kind in one namespace."""

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

LEASES: Final = "leases.coordination.k8s.io"


@dataclass(frozen=True, slots=True)
class Resource:
    """Named as in the API reference."""

    group: str
    """"" for the core group."""
    version: str
    namespace: str
    plural: str
    name: str = ""
    """"" for all of them."""
    subresource: str = ""

    @property
    def path(self) -> str:
        """Kubernetes API concepts, "Resource URIs"."""
        root = f"/apis/{self.group}" if self.group else "/api"
        parts = [root, self.version, "namespaces", self.namespace, self.plural, quote(self.name), self.subresource]
        return "/".join(part for part in parts if part)

    @property
    def collection(self) -> "Resource":
        """All of its kind in its namespace: what a create, a list and a watch are sent to."""
        return replace(self, name="", subresource="")

    @property
    def rbac(self) -> str:
        """As a Role has it: resource, subresource and group."""
        resource = f"{self.plural}/{self.subresource}" if self.subresource else self.plural
        return f"{resource}.{self.group}" if self.group else resource

    def asked(self, verb: str) -> str:
        """The request in RBAC's words: what a Role must allow."""
        name = f' "{self.name}"' if self.name else ""
        return f'verb {verb} on {self.rbac}{name} in namespace "{self.namespace}"'


def lease(namespace: str, name: str) -> Resource:
    """A Lease."""
    return Resource("coordination.k8s.io", "v1", namespace, "leases", name)


def pod(namespace: str, name: str, subresource: str = "") -> Resource:
    """A Pod, or a part of one that has rights of its own."""
    return Resource("", "v1", namespace, "pods", name, subresource)


def events(namespace: str) -> Resource:
    """Events of the newer API."""
    return Resource("events.k8s.io", "v1", namespace, "events")
