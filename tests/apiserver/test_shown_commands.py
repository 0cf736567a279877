"""The kubectl commands that a text shows are run as they stand on a real API server, page by page, in a namespace of the page's own."""

import os
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.apiserver.server import ApiServer
from tests.support.texts import ROOT, Block, blocks

PAGES: dict[str, list[Block]] = {}
for _block in blocks():
    if _block.mark.startswith("run: cluster"):
        PAGES.setdefault(_block.file, []).append(_block)


def ours(command: str, namespace: str) -> str:
    """The command in our namespace. What is the whole cluster's is tried without being kept: all tests share the API server."""
    command = re.sub(r"(-n|--namespace)[ =][a-z0-9-]+", f"-n {namespace}", command)
    return command.replace("kubectl apply -k k8s/guard", "kubectl apply --dry-run=server -k k8s/guard")


def test_the_texts_show_commands_for_a_cluster() -> None:
    """What takes them out of the texts finds them."""
    assert "README.md" in PAGES


@pytest.mark.parametrize("page", sorted(PAGES))
def test_the_commands_of_a_page_work_on_a_cluster(apiserver: ApiServer, tmp_path: Path, page: str) -> None:
    """A command without a namespace goes to ours: it is the context's."""
    namespace = apiserver.namespace()
    config = yaml.safe_load(apiserver.admin_kubeconfig.read_text(encoding="utf-8"))
    for context in config["contexts"]:
        context["context"]["namespace"] = namespace
    (tmp_path / "config").write_text(yaml.safe_dump(config), encoding="utf-8")
    (tmp_path / "kubectl").symlink_to(apiserver.kubectl_program)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "KUBECONFIG": str(tmp_path / "config")}
    for block in PAGES[page]:
        for command, _ in block.commands:
            arguments = ["bash", "-eo", "pipefail", "-c", ours(command, namespace)]
            done = subprocess.run(arguments, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=False)
            assert done.returncode == 0, f"{block}: {command}\n{done.stdout}{done.stderr}"
