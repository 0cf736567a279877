"""Reads an entry of a kubeconfig field by field: each has its type, as in kubectl's decoder, or is refused by file and field."""

import base64
import binascii
from pathlib import Path
from typing import Any

from sidecar.kubernetes.credentials import ConfigurationError, one_line


class Fields:
    """A mapping in a kubeconfig. An absent field, an empty one and null are the same, as they are for kubectl.

    `where`: the file and the way to the mapping, such as `/home/web/.kube/config: users[web].user`.
    """

    def __init__(self, found: object, file: Path, where: str) -> None:
        self.file = file
        self.where = where
        if found is not None and not isinstance(found, dict):
            raise ConfigurationError(f"{self.name()} must be a mapping, not {_kind(found)}")
        self._found: dict[Any, Any] = found or {}

    def name(self, field: str = "") -> str:
        """The file and the field, for people."""
        way = f"{self.where}.{field}" if self.where and field else self.where or field
        return one_line(f"kubeconfig {self.file}: {way}" if way else f"kubeconfig {self.file}")

    def refused(self, field: str, why: str) -> ConfigurationError:
        """What to raise where `field` cannot be used."""
        return ConfigurationError(f"{self.name(field)} {why}")

    def raw(self, field: str) -> Any:
        """The field's value, of any type."""
        return self._found.get(field)

    def text(self, field: str) -> str:
        """A string."""
        return self._of(field, str, "a string") or ""

    def flag(self, field: str) -> bool:
        """A boolean."""
        return self._of(field, bool, "true or false") or False

    def texts(self, field: str) -> list[str]:
        """A list of strings."""
        found: list[Any] = self._of(field, list, "a list of strings") or []
        if not all(isinstance(text, str) for text in found):
            raise self.refused(field, "must be a list of strings: quote what looks like a number")
        return found

    def header(self, field: str, text: str) -> str:
        """`text` if it can stand in a header: kubectl sends none that a line break would end (RFC 9110 section 5.5)."""
        if any(ord(char) < ord(" ") or char == "\x7f" for char in text):
            raise self.refused(field, "holds a line break or another control character, which no HTTP header can")
        return text

    def data(self, field: str) -> bytes | None:
        """Base64 (RFC 4648 section 4) as bytes; None for none."""
        text = self.text(field)
        try:
            return base64.b64decode("".join(text.split()), validate=True) or None
        except (binascii.Error, ValueError):
            raise self.refused(field, "is not base64") from None

    def path(self, field: str) -> str | None:
        """A file's path, relative to the kubeconfig that names it; None where none is given. Refused where the file cannot be read."""
        text = self.text(field)
        if not text:
            return None
        path = self.resolve(text)
        try:
            with path.open("rb") as file:
                file.read(1)
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or error
            raise self.refused(field, f"names a file that cannot be read: {one_line(path)}: {why}") from None
        return str(path)

    def resolve(self, text: str) -> Path:
        """The path `text`; a relative one is relative to the folder of the kubeconfig that names it."""
        return self.file.absolute().parent / text

    def names(self) -> list[str]:
        """The names of the fields in this mapping."""
        return [str(name) for name in self._found]

    def within(self, field: str) -> "Fields | None":
        """The mapping in a field of this one; None where there is none."""
        found = self._found.get(field)
        return None if found is None else Fields(found, self.file, f"{self.where}.{field}" if self.where else field)

    def entries(self, field: str, content: str) -> "dict[str, Fields]":
        """By name, the `content` of each entry of a list such as `clusters`. As by kubectl, a name that stands twice is refused."""
        found: dict[str, Fields] = {}
        for entry in self.list_of(field):
            name = entry.text("name")
            if name in found:
                raise self.refused(field, f"has the name {one_line(name)!r} twice")
            way = f"{field}[{name}].{content}"
            found[name] = Fields(entry.raw(content), self.file, f"{self.where}.{way}" if self.where else way)
        return found

    def list_of(self, field: str) -> "list[Fields]":
        """A list of mappings."""
        listed: list[Any] = self._of(field, list, "a list") or []
        way = f"{self.where}.{field}" if self.where else field
        return [Fields(entry, self.file, f"{way}[{place}]") for place, entry in enumerate(listed)]

    def _of(self, field: str, kind: type, words: str) -> Any:
        found = self._found.get(field)
        if found is not None and not isinstance(found, kind):
            raise self.refused(field, f"must be {words}, not {_kind(found)}")
        return found


def _kind(found: object) -> str:
    """The kind of a value in words, and not the value, which may be secret."""
    kinds = ((bool, "true or false"), (int, "a number"), (float, "a number"), (str, "a string"), (list, "a list"), (dict, "a mapping"))
    return next((words for kind, words in kinds if isinstance(found, kind)), "something else")
