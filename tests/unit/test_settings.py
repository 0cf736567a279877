"""Settings: every fault at once, each with what is allowed; nothing unknown is accepted in silence."""

import uuid

import pytest

from sidecar.__main__ import configured, main
from sidecar.durations import parse_seconds
from sidecar.settings import Settings

UID = uuid.uuid4().hex
GOOD = {"LEADER_LEASE_NAME": "web", "LEADER_LEASE_NAMESPACE": "shop", "POD_NAME": "web-0", "POD_UID": UID}


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's own."""
    for name in ("POD_NAME", "POD_UID", "POD_NAMESPACE", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)


def configure(monkeypatch: pytest.MonkeyPatch, *flags: str, **environment: str | None) -> Settings:
    """The settings of that environment."""
    for name, value in {**GOOD, **environment}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    return configured(flags)


def refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *flags: str, **environment: str | None) -> list[str]:
    """What the user is told; the exit code is 2."""
    for name, value in {**GOOD, **environment}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert main(flags) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.splitlines()


def test_the_defaults_are_client_gos(monkeypatch: pytest.MonkeyPatch) -> None:
    """15 s, 10 s, 2 s; the identity is the Pod's name and uid."""
    settings = configure(monkeypatch)
    me = settings.candidate("instance", "place")
    assert (me.lease_duration_seconds, me.renew_deadline_seconds, me.retry_period_seconds) == (15, 10, 2)
    assert me.identity == f"web-0_{UID}"
    assert me.drain_timeout_seconds == 10
    assert settings.store == "kubernetes"
    assert settings.listen == "localhost:4040"


def test_a_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both spellings of a flag; a boolean flag needs no value."""
    settings = configure(monkeypatch, "--lease-name", "other", "--retry-period=500ms", "--app-ends-first", LEADER_RETRY_PERIOD="3s")
    assert (settings.lease_name, settings.retry_period, settings.app_ends_first) == ("other", 0.5, True)


def test_without_a_pod_uid_the_identity_is_random(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes never share one by accident."""
    one = configure(monkeypatch, POD_NAME=None, POD_UID=None).identity
    other = configure(monkeypatch, POD_NAME=None, POD_UID=None).identity
    assert one != other
    assert "_" in one


def test_every_fault_is_named_at_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A time out of bounds, an unknown name, a literal identity, a bad flag: one message, exit code 2."""
    lines = refused(
        monkeypatch, capsys, "--lisen=x",
        LEADER_RENEW_DEADLINE="20s", LEADER_LEESE_NAME="web", LEADER_IDENTITY="$(POD_NAME)", LEADER_STORE="locale",
        LEADER_DRAIN_TIMEOUT="soon",
    )  # fmt: skip
    text = "\n".join(lines)
    assert "LEADER_RENEW_DEADLINE is 20s: at most 12s is allowed" in text
    assert "LEADER_LEESE_NAME is no setting: did you mean LEADER_LEASE_NAME?" in text
    assert "LEADER_IDENTITY='$(POD_NAME)'" in text
    assert "--lisen=x is no flag: did you mean --listen?" in text
    assert "LEADER_STORE='locale': allowed are kubernetes and local:PATH" in text
    assert "LEADER_DRAIN_TIMEOUT='soon'" in text
    assert len(lines) == 6


@pytest.mark.parametrize(("name", "value", "said"), [
    ("LEADER_LEASE_NAME", "", "required"),
    ("LEADER_LEASE_NAME", None, "required"),
    ("LEADER_LEASE_NAME", "Web_1", "lower-case"),
    ("LEADER_LEASE_NAMESPACE", "a.b", "lower-case"),
    ("LEADER_LEASE_NAMESPACE", None, "POD_NAMESPACE"),
    ("LEADER_IDENTITY", "", "empty"),
    ("LEADER_IDENTITY", "a\nb", "printable"),
    ("LEADER_IDENTITY", "leader-sidecar_sentinel", "nobody"),
    ("LEADER_LISTEN", "", "no app"),
    ("POD_NAME", "", "empty"),
    ("POD_NAME", "$(POD_NAME)", "literal"),
    ("POD_UID", "$(POD_UID)", "literal"),
    ("LEADER_LEASE_DURATION", "15.5s", "whole seconds"),
    ("LEADER_LEASE_DURATION", "2h", "1h"),
    ("LEADER_LEASE_DURATION", "500ms", "whole seconds"),
    ("LEADER_RENEW_DEADLINE", "0", "above 0"),
    ("LEADER_RENEW_DEADLINE", "-1", "15s"),
    ("LEADER_RETRY_PERIOD", "9s", "below 8.33333s"),
    ("LEADER_RETRY_PERIOD", "0s", "above 0"),
    ("LEADER_RETRY_PERIOD", "nan", "duration"),
    ("LEADER_DRAIN_TIMEOUT", "2h", "at most 1h"),
    ("LEADER_LISTEN", "4040", "host:port"),
    ("LEADER_LISTEN", "localhost:99999", "host:port"),
    ("LEADER_LISTEN", "unix:relative", "absolute"),
    ("LEADER_STORE", "local:", "local:PATH"),
    ("LEADER_APP_ENDS_FIRST", "maybe", "LEADER_APP_ENDS_FIRST"),
    ("LEADER_SOCKET_MODE", "rw", "octal"),
    ("LEADER_SOCKET_MODE", "999", "octal"),
    ("LEADER_LOG_FORMAT", "xml", "'text' or 'json'"),
    ("LEADER_LOG_LEVEL", "loud", "'info'"),
])  # fmt: skip
def test_each_bound_is_checked_and_says_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str | None, said: str
) -> None:
    """One fault, one line, which names the setting."""
    lines = refused(monkeypatch, capsys, **{name: value})
    assert len(lines) == 1, lines
    assert name in lines[0]
    assert said in lines[0]


def test_the_value_of_an_unknown_flag_is_no_fault_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One mistake, one line."""
    lines = refused(monkeypatch, capsys, "--lease-nam", "web", "--retry-period", "1s")
    assert lines == ["leader-sidecar: --lease-nam is no flag: did you mean --lease-name?"]


def test_a_flag_without_its_value_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Like any other fault."""
    lines = refused(monkeypatch, capsys, "--lease-name")
    assert len(lines) == 1
    assert "--lease-name" in lines[0]


def test_the_startup_line_shows_what_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults filled in, durations with their unit; each setting is there, and each duration can be read back."""
    settings = configure(monkeypatch, LEADER_RENEW_DEADLINE="8s", LEADER_RETRY_PERIOD="500ms")
    shown = settings.in_force()
    assert list(shown) == list(Settings.model_fields)
    assert (shown["renew_deadline"], shown["retry_period"], shown["drain_timeout"]) == ("8s", "0.5s", "8s")
    assert shown["log_format"] in {"text", "json"}
    assert None not in shown.values()


def test_what_kubernetes_injects_for_a_service_named_leader_is_no_unknown_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """LEADER_SERVICE_HOST and its like."""
    for name in ("LEADER_SERVICE_HOST", "LEADER_SERVICE_PORT", "LEADER_SERVICE_PORT_HTTP", "LEADER_PORT", "LEADER_PORT_80_TCP_ADDR",
                 "LEADER_API_SERVICE_HOST", "LEADER_API_PORT_4040_TCP"):  # fmt: skip
        monkeypatch.setenv(name, "10.0.0.1")
    assert configure(monkeypatch).lease_name == "web"


def test_in_a_pod_without_a_token_it_fails_loudly(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Never alone, never on a local store by itself: one line, exit code 2."""
    lines = refused(
        monkeypatch, capsys,
        KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT="1", LEADER_LISTEN="127.0.0.1:0", LEADER_PROBE_LISTEN="",
    )  # fmt: skip
    assert len(lines) == 1
    assert "token" in lines[0]


def test_outside_a_cluster_without_a_kubeconfig_it_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: object
) -> None:
    """One line, exit code 2."""
    lines = refused(monkeypatch, capsys, HOME=str(tmp_path), LEADER_LISTEN="127.0.0.1:0", LEADER_PROBE_LISTEN="")
    assert len(lines) == 1
    assert "KUBECONFIG" in lines[0]


def test_help_has_every_setting_with_its_reason(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """--help is made from the settings' own docstrings."""
    monkeypatch.setenv("COLUMNS", "200")
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    for field, about in Settings.model_fields.items():
        assert f"--{field.replace('_', '-')}" in said
        assert about.description
        assert " ".join(about.description.split())[:40] in said


@pytest.mark.parametrize(
    ("text", "seconds"), [("15", 15), ("15s", 15), ("500ms", 0.5), ("2m", 120), ("1h", 3600), ("1.5s", 1.5), ("1e9", 1e9)]
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    """Seconds without a unit."""
    assert parse_seconds(text) == seconds


def test_an_early_takeover_is_off_and_its_second_setting_is_refused_without_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """So is either with a local store, which knows of no Pods."""
    settings = configure(monkeypatch)
    assert not settings.early_takeover
    assert not settings.early_takeover_on_deletion
    assert configure(monkeypatch, "--early-takeover", "--early-takeover-on-deletion").early_takeover_on_deletion
    (said,) = refused(monkeypatch, capsys, LEADER_EARLY_TAKEOVER_ON_DELETION="true")
    assert "LEADER_EARLY_TAKEOVER is not" in said
    monkeypatch.delenv("LEADER_EARLY_TAKEOVER_ON_DELETION")
    (said,) = refused(monkeypatch, capsys, LEADER_EARLY_TAKEOVER="true", LEADER_STORE="local:web.sqlite")
    assert "local store" in said
