"""What the Dockerfile promises, as far as it shows without a build; tests/e2e runs what comes of it."""

import re
import tomllib
from pathlib import Path

import sidecar

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = re.sub(r"(?m)^#.*\n", "", (ROOT / "Dockerfile").read_text()).replace("\\\n", " ")
INSTRUCTIONS = [line.split(maxsplit=1) for line in DOCKERFILE.splitlines() if line.strip()]
_FINAL = max(number for number, (word, _) in enumerate(INSTRUCTIONS) if word == "FROM")
FINAL = INSTRUCTIONS[_FINAL:]


def of_final(word: str) -> list[str]:
    """The final stage's instructions of that kind."""
    return [rest for name, rest in FINAL if name == word]


def test_the_final_stage_is_what_was_put_together_and_nothing_else() -> None:
    """From scratch, nothing run in it: so neither shell nor pip nor compiler, but what image/root.py put there."""
    assert of_final("FROM") == ["scratch"]
    assert not of_final("RUN")
    assert {rest.split()[0] for rest in of_final("COPY")} == {"--from=build"}


def test_it_runs_as_a_number_that_is_not_root() -> None:
    """`runAsNonRoot` cannot judge a name."""
    assert of_final("USER") == ["65532:65532"]


def test_it_starts_without_a_shell() -> None:
    """The exec form, by an absolute path."""
    assert of_final("ENTRYPOINT") == ['["/opt/leader-sidecar/bin/leader-sidecar"]']
    assert not of_final("CMD")
    assert not of_final("HEALTHCHECK")


def test_python_imports_lazily_and_writes_nothing() -> None:
    """In the environment of whatever the image runs, exec probes too."""
    (environment,) = of_final("ENV")
    assert {"PYTHON_LAZY_IMPORTS=all", "PYTHONDONTWRITEBYTECODE=1", "HOME=/"} <= set(environment.split())


def test_whatever_is_installed_is_pinned_and_hashed() -> None:
    """From the index only by the locks; the sidecar itself, and what is installed in the end, from what lies there already."""
    installs = [
        command
        for word, rest in INSTRUCTIONS
        if word == "RUN"
        for command in rest.split("&&")
        if re.search(r"pip .*(install|wheel) ", command)
    ]
    assert len(installs) == 4
    for command in installs:
        from_lock = "--require-hashes" in command and "-r requirements/" in command
        assert from_lock or "--no-index" in command or ("--no-deps" in command and "--no-build-isolation" in command), command


def test_the_build_has_what_it_copies_and_no_more() -> None:
    """.dockerignore lets in just what the Dockerfile names."""
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {source for word, rest in INSTRUCTIONS if word == "COPY" and "--from" not in rest for source in rest.split()[:-1]}
    assert copied <= let_in | {"image/root.py"}
    assert all((ROOT / name).exists() for name in let_in)
    for name in let_in - {"image"}:
        assert name in copied


def test_its_version_is_the_sidecars() -> None:
    """The label says what runs."""
    assert f"VERSION={sidecar.__version__}" in of_final("ARG")


def test_every_build_argument_is_explained() -> None:
    """In docs/internals/image.md, with its default."""
    table = (ROOT / "docs/internals/image.md").read_text()
    for word, rest in INSTRUCTIONS:
        name, equals, default = rest.partition("=")
        if word == "ARG" and equals:
            assert f"`{name}`" in table
            assert f"`{default}`" in table


def test_the_image_needs_no_pin_that_pyproject_lacks() -> None:
    """The tools that make wheels are those of the group `build`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert {re.match(r"[\w-]+", need)[0] for need in project["dependency-groups"]["build"]} >= set(project["build-system"]["requires"])  # type: ignore[index]
