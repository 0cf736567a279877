"""Kubeconfigs, read as kubectl reads them (client-go tools/clientcmd: loader.go, merge.go, validation.go), or refused by file and field.

Not by kubernetes_asyncio's loader: it takes an empty field for a value, ignores `as`, resolves paths against one folder, keeps certificates
in temporary files, and stops at an empty file. The YAML itself is parsed by the library that kubernetes_asyncio uses as well.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml  # kubernetes_asyncio brings it

from sidecar.kubernetes.credentials import ConfigurationError, one_line, stamp
from sidecar.kubernetes.kubeconfig_fields import Fields

_Parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class _Loader(_Parser):  # type: ignore[misc]  # it has been looked for by name
    """YAML as kubectl reads it: a date, or 1:30, is a string."""

    yaml_implicit_resolvers: Final = {
        first: [(tag, pattern) for tag, pattern in found if not tag.endswith((":timestamp", ":int"))]
        for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:int", re.compile(r"[-+]?(?:0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]+|[0-9][0-9_]*)$"), list("-+0123456789")
)


@dataclass(frozen=True)
class Selected:
    """The context in use, with its cluster and user."""

    files: tuple[Path, ...]
    context: str
    cluster: Fields
    user: Fields | None
    """None where the context names no user: then requests carry no credentials."""


def paths(environ: Mapping[str, str]) -> list[Path]:
    """The files that kubectl would merge, as far as they exist. Raises ConfigurationError where none does."""
    named = environ.get("KUBECONFIG", "")
    home = environ.get("HOME")
    candidates = [Path(part).expanduser() for part in dict.fromkeys(named.split(os.pathsep)) if part]
    if not candidates:
        candidates = [(Path(home) if home else Path.home()) / ".kube" / "config"]
    found = [path for path in candidates if stamp(path) is not None]
    if found:
        return found
    looked = ", ".join(map(str, candidates))
    if named:
        raise ConfigurationError(f"KUBECONFIG names no file that is there: {one_line(looked)}; correct or unset it")
    raise ConfigurationError(
        f"this is no Pod (KUBERNETES_SERVICE_HOST is not set), and there is no kubeconfig at {looked}: "
        "set KUBECONFIG, or use --store local:PATH to elect without a cluster"
    )


def select(files: list[Path], context: str = "") -> Selected:
    """Cluster and user of `context`, else of the current-context; of several files the first that has an entry counts.

    Raises ConfigurationError.
    """
    contents = [_read(file) for file in files]
    current = next((content for content in contents if content.text("current-context")), contents[0])
    context = context or current.text("current-context")
    where = one_line(", ".join(map(str, files)))
    if not context:
        raise ConfigurationError(f"the kubeconfig {where} sets no current-context: kubectl config use-context NAME sets one")
    chosen = _first(contents, "contexts", "context", context)
    if chosen is None:
        raise current.refused("current-context", f"is {one_line(context)}, and no entry of contexts has the name {one_line(context)}")
    name = chosen.text("cluster")
    cluster = _first(contents, "clusters", "cluster", name) if name else None
    if cluster is None:
        raise chosen.refused("cluster", f"is {one_line(name)}, and no entry of clusters has that name" if name else "is missing")
    name = chosen.text("user")
    user = _first(contents, "users", "user", name) if name else None
    if user is None and name:
        raise chosen.refused("user", f"is {one_line(name)}, and there is no user of that name: an entry of users is needed")
    return Selected(tuple(files), context, cluster, user)


def _first(contents: list[Fields], section: str, content: str, name: str) -> Fields | None:
    # Look through each file, also after the entry is found: any of them may hold something that kubectl refuses.
    found = [entries[name] for file in contents if name in (entries := file.entries(section, content))]
    return found[0] if found else None


def _read(file: Path) -> Fields:
    """The top-level fields of a file; an empty file has none."""
    try:
        raw = file.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot read the kubeconfig {one_line(file)}: {error.strerror}") from None
    content = Fields(_parsed(file, raw), file, "")
    for field, only in (("kind", "Config"), ("apiVersion", "v1")):
        if content.text(field) not in ("", only):
            raise content.refused(field, f"is {one_line(content.text(field))}: a kubeconfig's is {only}")
    return content


def _parsed(file: Path, raw: bytes) -> Any:
    if raw.lstrip()[:1] == b"{":
        # JSON may be indented by tabs, which YAML does not allow; a text that is no JSON after all is read as YAML.
        try:
            return json.loads(raw)
        except (ValueError, RecursionError):
            pass
    try:
        loader = _Loader(raw)
        try:
            return loader.get_data() if loader.check_data() else None
        finally:
            loader.dispose()
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise ConfigurationError(f"cannot use the kubeconfig {one_line(file)}: it is not YAML{line}") from None
