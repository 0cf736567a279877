"""Every image that is shown has a fixed tag: nobody is sent for `latest`, where nothing is published and nothing stays as it is."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar import __version__
from tests.support.texts import ROOT, YAML, manifests, texts, without_blocks

MANIFESTS = sorted((ROOT / "k8s").rglob("*.yaml"))
NAMED = re.compile(r"(?<![\w./-])((?:[\w-]+\.[\w.-]+(?::\d+)?/)(?:[\w-]+/)*leader-sidecar|curlimages/curl)(?::([\w.-]*\w))?")
"""An image in prose or a command, and its tag: the sidecar's with a registry, or a curl."""


def containers(document: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in it that says `image`."""
    if isinstance(document, list):
        for each in document:
            yield from containers(each)
    elif isinstance(document, dict):
        if isinstance(document.get("image"), str):
            yield document
        for each in document.values():
            yield from containers(each)


def replaced(document: Any) -> list[dict[str, str]]:
    """A kustomization's `images`."""
    return list(document.get("images", ())) if isinstance(document, dict) else []


def faults(document: Any) -> list[str]:
    """The images in it that have no fixed tag, not the sidecar's version, or are fetched anew at each start."""
    found = []
    for container in containers(document):
        name, _, tag = container["image"].rpartition(":")
        if not name or "/" in tag or tag == "latest":
            found.append(f"{container['image']} has no fixed tag")
        elif name.endswith("leader-sidecar") and tag != __version__:
            found.append(f"{container['image']} is not {__version__}")
        if container.get("imagePullPolicy") != "IfNotPresent":
            found.append(f"{container['image']} has no imagePullPolicy: IfNotPresent")
    return found + [f"{image} is not {__version__}" for image in replaced(document) if image.get("newTag") != __version__]


def test_every_image_in_the_yaml_of_the_texts_has_a_fixed_tag() -> None:
    """The sidecar's has this version."""
    assert [(str(block), fault) for block in manifests() for document in block.documents for fault in faults(document)] == []


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_image_in_a_manifest_has_a_fixed_tag(path: Path) -> None:
    """Likewise."""
    assert [fault for document in yaml.safe_load_all(path.read_text(encoding="utf-8")) for fault in faults(document)] == []


def test_every_image_in_the_prose_has_a_fixed_tag() -> None:
    """In a command that is to be copied, say."""
    found = [image for path in texts() for image in NAMED.findall(without_blocks(path.read_text(encoding="utf-8"), *YAML))]
    assert len(found) > 3
    for name, tag in found:
        assert tag == __version__ if name.endswith("/leader-sidecar") else tag not in {"", "latest"}, f"{name}:{tag}"


@pytest.mark.parametrize(
    "image", ["leader-sidecar", "leader-sidecar:latest", "registry.example:5000/leader-sidecar", "registry.example/leader-sidecar:0.0.9"]
)
def test_an_image_without_one_is_found(image: str) -> None:
    """In each of these forms."""
    assert faults({"spec": {"containers": [{"name": "x", "image": image, "imagePullPolicy": "IfNotPresent"}]}})
    assert faults({"images": [{"name": "leader-sidecar", "newName": image}]})
