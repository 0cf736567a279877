"""The flags of the older leader-elector sidecars: a Deployment changes its image, and nothing else."""

import re
import sys
from pathlib import Path

import pytest

from sidecar.__main__ import main
from sidecar.settings import legacy_flags
from sidecar.settings.loading import checked, configured


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's own."""
    for name in ("POD_NAME", "POD_UID", "POD_NAMESPACE", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    "flags",
    [
        ["--election=web", "--election-namespace=shop", "--id=web-0", "--http=0.0.0.0:4040", "--ttl=30s"],
        ["-election", "web", "-election-namespace", "shop", "-id", "web-0", "-http", "0.0.0.0:4040", "-ttl", "30s"],
        ["--election=web", "--election-namespace=shop", "--id=web-0", "--http=0.0.0.0:4040", "--ttl=30s", "--use-cluster-credentials"],
        ["--election=web", "--election-namespace=shop", "--id=web-0", "--http=0.0.0.0:4040", "--ttl=30s", "-use-cluster-credentials=true"],
    ],
    ids=["two dashes", "one dash, as Go takes them", "contrib's switch", "contrib's switch with its value"],
)
def test_contribs_and_its_forks_flags_are_taken_as_they_are(flags: list[str]) -> None:
    """The three times keep the defaults' proportion."""
    settings = configured(flags)
    assert (settings.lease_name, settings.lease_namespace, settings.identity) == ("web", "shop", "web-0")
    assert settings.listen == "0.0.0.0:4040"
    assert (settings.lease_duration, settings.renew_deadline, settings.retry_period) == (30, 20, 4)


def test_naiss_flags_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """As its platform injects them; the identity is the Pod's."""
    monkeypatch.setenv("POD_NAME", "web-0")
    monkeypatch.setenv("POD_UID", "u1")
    settings = configured(
        [
            "--election=web",
            "--election-namespace=shop",
            "--http=localhost:4040",
            "--probe-address=0.0.0.0:4041",
            "--metrics-address=0.0.0.0:4042",
            "--log-format=json",
        ]
    )
    assert (settings.lease_name, settings.identity, settings.listen) == ("web", "web-0_u1", "localhost:4040")
    assert (settings.probe_listen, settings.log_format, settings.lease_duration) == ("0.0.0.0:4041", "json", 15)


def test_an_address_without_a_host_is_every_address_as_go_has_it() -> None:
    settings = configured(["--election=web", "--election-namespace=shop", "--id=web-0", "--http=:4040", "--probe-address=:4041"])
    assert (settings.listen, settings.probe_listen) == ("*:4040", "*:4041")


@pytest.mark.parametrize("ttl", ["1s", "10s", "10", "1h", "7s"])
def test_every_whole_ttl_gives_usable_times(ttl: str) -> None:
    settings = configured(["--election=web", "--election-namespace=shop", "--id=web-0", f"--ttl={ttl}"])
    assert settings.lease_duration == pytest.approx(settings.renew_deadline * 1.5, rel=0.01)
    assert settings.lease_duration == pytest.approx(settings.retry_period * 7.5, rel=0.01)


def test_an_own_flag_wins_over_an_older_one() -> None:
    settings = configured(
        ["--election=web", "--lease-name=other", "--election-namespace=shop", "--id=web-0", "--ttl=30s", "--retry-period=1s"]
    )
    assert (settings.lease_name, settings.retry_period, settings.renew_deadline) == ("other", 1, 20)


@pytest.mark.parametrize(
    ("flag", "said"),
    [
        ("--ttl=soon", "LEADER_LEASE_DURATION='soon'"),
        ("--ttl=2h", "allowed: whole seconds from 1s to 1h"),
        ("--id=$(hostname)", "literal $(…)"),
        ("--election=Web", "lower-case letters"),
        ("--http=4040", "not an address to listen on"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_is_allowed(capsys: pytest.CaptureFixture[str], flag: str, said: str) -> None:
    """The literal of openshift's image, with which every replica led, among it."""
    assert checked(["--election=web", "--election-namespace=shop", "--id=web-0", flag]) == (b"", 2)
    assert said in capsys.readouterr().err


def test_help_names_them_apart_with_what_they_mean(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["leader-sidecar", "--help"])
    assert main() == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "flags of the older leader-elector sidecars" in said
    assert "--election ELECTION same as --lease-name" in said


def test_the_docs_list_each_flag() -> None:
    text = (Path(__file__).parents[3] / "docs" / "guides" / "migrating.md").read_text()
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `--")]
    listed = {name for row in rows for name in re.findall(r"`--([a-z-]+)`", row)}
    assert {*legacy_flags.FLAGS, *legacy_flags.IGNORED} <= listed
    assert listed - {*legacy_flags.FLAGS, *legacy_flags.IGNORED} <= {*legacy_flags.GLOG}
