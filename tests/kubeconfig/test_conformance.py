"""Each kubeconfig of the table by kubectl and by the sidecar, against the same server: the same identity, or a refusal in words."""

import base64
import json
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

import pytest

from sidecar.kubernetes import credentials
from sidecar.kubernetes.store import KubernetesStore
from tests.binaries.build import ensure
from tests.kubeconfig.echo import Echo, Seen, echoing
from tests.kubeconfig.table import ROWS, V1, Row


@pytest.fixture(scope="module", name="echo")
def serve() -> Iterator[Echo]:
    with echoing("localhost", "kubernetes.example") as echo:
        yield echo


@dataclass
class Place:
    """A row's files, and the environment in which they are used: from a folder that is not theirs."""

    echo: Echo
    folder: Path
    names: dict[str, str]
    environ: dict[str, str]

    @property
    def elsewhere(self) -> Path:
        """Where both are run."""
        return self.folder / "elsewhere"

    def kubectl(self) -> subprocess.CompletedProcess[str]:
        """A GET by kubectl, which nobody answers questions of."""
        return subprocess.run(
            [ensure("kubectl")["kubectl"], "get", "--raw", "/api/x"],
            env=self.environ, cwd=self.elsewhere, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip

    async def sidecar(self) -> None:
        """A GET by the sidecar's store. Raises ConfigurationError."""
        store = await KubernetesStore.connect(await credentials.load(self.environ), "shop", "web")
        try:
            await store.read()
        finally:
            await store.close()


def place(row: Row, echo: Echo, folder: Path) -> Place:
    (folder / "elsewhere").mkdir()
    echo.issue("me", folder / "me.pem", folder / "me.key")
    (folder / "ca.pem").write_bytes(echo.authority.cert_pem.bytes())
    (folder / "token").write_text("from-file\n")
    pem = {"CA": "ca.pem", "ME": "me.pem", "KEY": "me.key"}
    names = {name: base64.b64encode((folder / file).read_bytes()).decode() for name, file in pem.items()}
    names |= {f"{name}_PEM": (folder / file).read_text() for name, file in pem.items()}
    names |= {
        "HTTPS": echo.https,
        "HTTP": echo.http,
        "PROXY": echo.proxy,
        "HERE": str(folder),
        "CAPITALS": echo.https.replace("https", "HTTPS"),
    }
    names["BY_NAME"] = echo.https.replace("127.0.0.1", "localhost")
    certificate = {"clientCertificateData": names["ME_PEM"], "clientKeyData": names["KEY_PEM"]}
    for file, fields in (("certificate.json", certificate), ("both.json", certificate | {"token": "p"})):
        (folder / file).write_text(json.dumps({"apiVersion": V1, "kind": "ExecCredential", "status": fields}))
    for file, content in row.files.items():
        write(folder / file, content, names)
    inherited = {name: value for name, value in os.environ.items() if name in ("PATH", "LANG", "TMPDIR")}
    return Place(echo, folder, names, inherited | {"HOME": str(folder / "home"), "KUBECONFIG": Template(row.kubeconfig).substitute(names)})


def write(path: Path, content: Any, names: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    text = content if isinstance(content, str) else json.dumps(content)
    program = text.startswith("#!")
    path.write_text(text if program else Template(text).substitute(names))
    if program:
        path.chmod(0o755)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_the_sidecar_shows_what_kubectl_shows_or_says_which_field_of_which_file_it_refuses(
    row: Row, echo: Echo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = place(row, echo, tmp_path)
    echo.take()
    done = here.kubectl()
    assert echo.take() == ([row.kubectl] if row.kubectl else []), f"kubectl: {done.stdout}{done.stderr}"
    monkeypatch.chdir(here.elsewhere)
    if not row.refused:
        await here.sidecar()
        assert echo.take() == [row.kubectl]
        return
    with pytest.raises(credentials.ConfigurationError) as error:
        await here.sidecar()
    assert echo.take() == [], "nothing is asked with what is refused"
    said = str(error.value)
    assert "\n" not in said
    for words in (str(tmp_path), *row.refused):
        assert Template(words).substitute(here.names) in said


def test_no_row_is_there_twice_and_each_shows_somebody_or_is_refused() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert all(row.refused or row.kubectl is not None for row in ROWS)
    assert Seen() in [row.kubectl for row in ROWS], "nobody at all is a row as well"
