"""Names an object of the API, or all objects of one kind in a namespace: its path, and the right that a Role must grant."""

from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import quote

LEASES: Final = "leases.coordination.k8s.io"


@dataclass(frozen=True, slots=True)
class Resource:
    """One object, or all of one kind in a namespace. The fields are named as in the API reference."""

    group: str
    """"" for the core group."""
    version: str
    namespace: str
    plural: str
    name: str = ""
    """"" for all objects of the kind."""
    subresource: str = ""

    @property
    def path(self) -> str:
        """The URL's path (Kubernetes API concepts, "Resource URIs")."""
        root = f"/apis/{self.group}" if self.group else "/api"
        parts = [root, self.version, "namespaces", self.namespace, self.plural, quote(self.name), self.subresource]
        return "/".join(part for part in parts if part)

    @property
    def collection(self) -> "Resource":
        """All objects of this kind in this namespace: a create, a list and a watch are sent there."""
        return replace(self, name="", subresource="")

    @property
    def rbac(self) -> str:
        """Resource, subresource and group, in the form in which RBAC's messages have them: `pods/status`, `leases.coordination.k8s.io`."""
        resource = f"{self.plural}/{self.subresource}" if self.subresource else self.plural
        return f"{resource}.{self.group}" if self.group else resource

    def asked(self, verb: str) -> str:
        """The right that a request with `verb` needs, for messages: what a Role must allow."""
        name = f' "{self.name}"' if self.name else ""
        return f'verb {verb} on {self.rbac}{name} in namespace "{self.namespace}"'


def lease(namespace: str, name: str) -> Resource:
    """A Lease."""
    return Resource("coordination.k8s.io", "v1", namespace, "leases", name)


def pod(namespace: str, name: str, subresource: str = "") -> Resource:
    """A Pod, or a subresource of a Pod (`status`), which has rights of its own."""
    return Resource("", "v1", namespace, "pods", name, subresource)


def events(namespace: str) -> Resource:
    """All Events of a namespace (events.k8s.io/v1, not the older core/v1)."""
    return Resource("events.k8s.io", "v1", namespace, "events")
