"""Settings: every fault at once, each with what is allowed; nothing unknown is accepted in silence."""

import json
import re
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from sidecar.__main__ import main
from sidecar.election.record import HolderPod
from sidecar.runtime.identity import Pod
from sidecar.settings import command_line, declaration, described, in_force
from sidecar.settings.declaration import NAMES, Settings
from sidecar.settings.in_force import follows, own_pod
from sidecar.settings.loading import checked, configured

ROOT = Path(__file__).resolve().parents[3]
UID = uuid.uuid4().hex
GOOD = {"LEADER_LEASE_NAME": "web", "LEADER_LEASE_NAMESPACE": "shop", "POD_NAME": "web-0", "POD_UID": UID}
FREE = {"LEADER_LISTEN": "127.0.0.1:0", "LEADER_PROBE_LISTEN": "127.0.0.1:0"}


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
    """What the user is told; the exit code is 2. The ports that are tried meanwhile are any free ones: tests run beside each other."""
    for name, value in {**GOOD, **FREE, **environment}.items():
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert checked(flags) == (b"", 2)
    said = capsys.readouterr().err
    assert "Traceback" not in said
    return said.splitlines()


def test_the_defaults_are_client_gos(monkeypatch: pytest.MonkeyPatch) -> None:
    """15 s, 10 s, 2 s; the identity is the Pod's name and uid."""
    settings = configure(monkeypatch)
    me = in_force.candidate(settings, "process", "place")
    assert (me.lease_duration_seconds, me.renew_deadline_seconds, me.retry_period_seconds) == (15, 10, 2)
    assert me.identity == f"web-0_{UID}"
    assert me.drain_timeout_seconds == 10
    assert settings.store == "kubernetes"
    assert settings.listen == "localhost:4040"


def test_a_flag_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both spellings of a flag; a boolean flag needs no value."""
    settings = configure(monkeypatch, "--lease-name", "other", "--retry-period=500ms", "--native-sidecar", LEADER_RETRY_PERIOD="3s")
    assert (settings.lease_name, settings.retry_period, settings.native_sidecar) == ("other", 0.5, True)


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
    assert "LEADER_LEESE_NAME is not a setting: did you mean LEADER_LEASE_NAME?" in text
    assert "LEADER_IDENTITY='$(POD_NAME)'" in text
    assert "--lisen=x is not a flag: did you mean --listen?" in text
    assert "LEADER_STORE='locale': allowed: kubernetes or local:PATH" in text
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
    ("LEADER_IDENTITY", "leader-sidecar_placeholder", "placeholder holder"),
    ("LEADER_LISTEN", "", "could not ask"),
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
    ("LEADER_NATIVE_SIDECAR", "maybe", "allowed: true or false"),
    ("LEADER_SOCKET_MODE", "rw", "octal"),
    ("LEADER_SOCKET_MODE", "999", "octal"),
    ("LEADER_APP_HEALTH_URL", "https://localhost:8080/", "http://"),
    ("LEADER_APP_HEALTH_URL", "http://app.example/healthz", "localhost or an IP address"),
    ("LEADER_APP_HEALTH_URL", "http://$(POD_IP):8080/", "IP address"),
    ("LEADER_APP_HEALTH_URL", "http://user@localhost/", "http://"),
    ("LEADER_APP_HEALTH_URL", "http://localhost:99999/", "http://"),
    ("LEADER_APP_HEALTH_URL", "localhost:8080", "http://"),
    ("LEADER_APP_HEALTH_PERIOD", "0", "100ms"),
    ("LEADER_APP_HEALTH_TIMEOUT", "2h", "1h"),
    ("LEADER_APP_HEALTH_FAILURES", "0", "allowed: whole numbers from 1 to 1000"),
    ("LEADER_APP_HEALTH_FAILURES", "1_0", "whole numbers"),
    ("LEADER_APP_HEALTH_FAILURES", "1.0", "whole numbers"),
    ("LEADER_APP_HEALTH_FAILURES", "+3", "whole numbers"),
    ("LEADER_APP_HEALTH_FAILURES", "1001", "whole numbers"),
    ("LEADER_APP_HEALTH_SUCCESSES", "many", "whole numbers"),
    ("LEADER_ROLLOUT_HANDOVER", "perhaps", "allowed: true or false"),
    ("LEADER_TLS_STRICT", "", "allowed: true or false"),
    ("LEADER_LISTEN", "[::1:4040", "not an address"),
    ("LEADER_LISTEN", "localhost:1_0", "not an address"),
    ("LEADER_LOG_FORMAT", "xml", "allowed: text or json"),
    ("LEADER_LOG_LEVEL", "loud", "allowed: debug, info, warning or error"),
])  # fmt: skip
def test_each_bound_is_checked_and_says_what_is_allowed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str | None, said: str
) -> None:
    """One fault, one line, which names the setting."""
    lines = refused(monkeypatch, capsys, **{name: value})
    assert len(lines) == 1, lines
    assert name in lines[0]
    assert said in lines[0]


FOLLOWING = ("LEADER_POD_LABEL", "LEADER_POD_CONDITION", "LEADER_EVENTS")
ASKING = (*FOLLOWING, "LEADER_ROLLOUT_HANDOVER", "LEADER_EARLY_TAKEOVER")


@pytest.mark.parametrize("setting", FOLLOWING)
def test_what_follows_the_answer_is_off_until_it_is_set(monkeypatch: pytest.MonkeyPatch, setting: str) -> None:
    """And then the Pod is known by the downward API."""
    field = setting.removeprefix("LEADER_").lower()
    off = configure(monkeypatch)
    assert (getattr(off, field), follows(off)) == (False, False)
    on = configure(monkeypatch, POD_NAMESPACE="shop", **{setting: "true"})
    assert (getattr(on, field), follows(on)) == (True, True)
    assert own_pod(on) == Pod("shop", "web-0", UID)
    monkeypatch.setattr(declaration, "service_account_namespace", lambda _: "from-the-token")
    assert own_pod(configure(monkeypatch, POD_NAMESPACE=None)).namespace == "from-the-token"


@pytest.mark.parametrize("setting", ASKING)
@pytest.mark.parametrize(
    ("missing", "value"), [("POD_NAMESPACE", None), ("POD_NAME", None), ("POD_UID", None), ("POD_UID", ""), ("POD_NAME", "a/b")]
)
def test_what_asks_for_pods_needs_to_know_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str, missing: str, value: str | None
) -> None:
    """One line, which names the setting and what is missing."""
    given = {"POD_NAMESPACE": "shop", "LEADER_IDENTITY": "me", setting: "true", missing: value}
    (line,) = refused(monkeypatch, capsys, **given)
    assert missing in line
    assert setting in line
    assert ("lower-case" if value else "downward API") in line


@pytest.mark.parametrize("setting", ASKING)
def test_a_local_store_has_no_pod_to_mark(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], setting: str) -> None:
    (line,) = refused(monkeypatch, capsys, POD_NAMESPACE="shop", LEADER_STORE="local:/tmp/x", **{setting: "true"})
    assert "LEADER_STORE=local:/tmp/x" in line
    assert setting in line


def test_yielding_needs_an_identity_that_names_the_pod(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A successor is named by its Pod, and knows itself by its identity."""
    (line,) = refused(monkeypatch, capsys, POD_NAMESPACE="shop", LEADER_ROLLOUT_HANDOVER="true", LEADER_IDENTITY="somebody")
    assert "LEADER_ROLLOUT_HANDOVER needs an identity that names the Pod" in line


@pytest.mark.parametrize("url", ["http://localhost:8080/healthz", "http://127.0.0.1/", "http://[::1]:8080/up?x=1", "http://10.2.3.4:80"])
def test_the_app_is_asked_in_its_own_pod(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """And the candidate knows that it is; with no URL it does not."""
    assert in_force.candidate(configure(monkeypatch, LEADER_APP_HEALTH_URL=url), "i", "p").app_has_health
    assert not in_force.candidate(configure(monkeypatch, LEADER_APP_HEALTH_URL=""), "i", "p").app_has_health


def test_yielding_is_a_flag_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert configure(monkeypatch, "--rollout-handover", POD_NAMESPACE="shop").rollout_handover
    assert not configure(monkeypatch).rollout_handover


def test_the_value_of_an_unknown_flag_is_no_fault_of_its_own(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """One mistake, one line."""
    lines = refused(monkeypatch, capsys, "--lease-nam", "web", "--retry-period", "1s")
    assert lines == ["leader-sidecar: --lease-nam is not a flag: did you mean --lease-name?"]


def test_a_flag_without_its_value_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Like any other fault."""
    lines = refused(monkeypatch, capsys, "--lease-name")
    assert len(lines) == 1
    assert "--lease-name" in lines[0]


def test_the_startup_line_shows_what_is_in_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """Defaults filled in, durations with their unit; each setting is there, and each duration can be read back."""
    settings = configure(monkeypatch, LEADER_RENEW_DEADLINE="8s", LEADER_RETRY_PERIOD="500ms")
    shown = in_force.shown(settings)
    assert list(shown) == list(NAMES)
    assert (shown["renew_deadline"], shown["retry_period"], shown["drain_timeout"]) == ("8s", "0.5s", "8s")
    assert shown["log_format"] in {"text", "json"}
    assert None not in shown.values()


def test_what_kubernetes_injects_for_a_service_named_leader_is_no_unknown_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """LEADER_SERVICE_HOST and its like."""
    for name in ("LEADER_SERVICE_HOST", "LEADER_SERVICE_PORT", "LEADER_SERVICE_PORT_HTTP", "LEADER_PORT", "LEADER_PORT_80_TCP_ADDR",
                 "LEADER_API_SERVICE_HOST", "LEADER_API_PORT_4040_TCP"):  # fmt: skip
        monkeypatch.setenv(name, "10.0.0.1")
    assert configure(monkeypatch).lease_name == "web"


def started(tmp_path: Path, **environment: str) -> list[str]:
    """What a process of these settings says and ends with exit code 2 for."""
    settings = {**GOOD, "LEADER_LISTEN": "127.0.0.1:0", "LEADER_PROBE_LISTEN": "", "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    command = [sys.executable, "-m", "sidecar"]
    done = subprocess.run(command, env=settings | environment, capture_output=True, text=True, timeout=60, cwd=tmp_path, check=False)
    assert done.returncode == 2
    return done.stderr.splitlines()


def test_in_a_pod_without_a_token_it_fails_loudly(tmp_path: Path) -> None:
    """Never alone, never on a local store by itself: one line, exit code 2."""
    lines = started(tmp_path, KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT="1")
    assert len(lines) == 1
    assert "token" in lines[0]


def test_outside_a_cluster_without_a_kubeconfig_it_says_so(tmp_path: Path) -> None:
    """One line, exit code 2."""
    lines = started(tmp_path)
    assert len(lines) == 1
    assert "KUBECONFIG" in lines[0]


def test_help_has_every_setting_with_its_reason(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """--help is made from the settings' own docstrings."""
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(sys, "argv", ["leader-sidecar", "--help"])
    assert main() == 0
    said = " ".join(capsys.readouterr().out.split())
    for field in NAMES:
        about = Settings.model_fields[field]
        assert f"--{field.replace('_', '-')}" in said
        assert about.description
        assert " ".join(about.description.split())[:40] in said


def test_help_is_grouped_and_names_units_bounds_and_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is the Pod's by the downward API is no flag."""
    monkeypatch.setenv("COLUMNS", "100")
    text = command_line.help_text()
    titles = re.findall(r"^([^ \n].*):$", text, re.MULTILINE)
    assert titles[:-2] == ["help", "lease", "times", "listeners", "Pod", "early takeover", "application", "logs"]
    assert titles[-1] == "examples"
    for field in NAMES:
        assert f"{declaration.flag(field)} {described.metavar(field)}" in text.replace("[", "").replace("]", "")
    said = " ".join(text.split())
    for bound in ("1s to 1h", "100ms to 1h", "1 to 1000", "above 0s", "0s to 1h", "DURATION: 15, 15s, 500ms"):
        assert bound in said
    assert "POD-NAME" not in text
    assert "--pod-name" not in text


def test_what_is_the_pods_is_no_flag(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = refused(monkeypatch, capsys, "--pod-name=x", "--POD-UID", "x")
    assert one.startswith("leader-sidecar: --pod-name=x is not a flag")
    assert other.startswith("leader-sidecar: --POD-UID is not a flag")


def test_the_process_that_stays_has_what_was_checked_and_cannot_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the names of the declaration, without its library."""
    checked_here = configure(monkeypatch, "--pod-label", "--socket-mode=600", POD_NAMESPACE="shop", LEADER_RETRY_PERIOD="1500ms")
    found, code = checked(["--pod-label", "--socket-mode=600"])
    stays = in_force.Settings(**json.loads(found))
    assert code == 0
    assert vars(stays) == vars(checked_here)
    assert in_force.shown(stays) == in_force.shown(checked_here)
    assert in_force.candidate(stays, "p", "place").pod == HolderPod("web-0", UID)
    with pytest.raises(AttributeError, match="lease_name"):
        setattr(stays, "lease_name", "other")  # noqa: B010 - mypy sees that it is frozen


def test_no_fault_of_the_times_hides_another(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A default is measured by what is set, and what is set by the default."""
    lines = refused(monkeypatch, capsys, LEADER_LEASE_DURATION="10s", LEADER_RETRY_PERIOD="660")
    assert [line.split()[1] for line in lines] == ["LEADER_RENEW_DEADLINE", "LEADER_RETRY_PERIOD"]


@pytest.mark.parametrize("name", ["POD_NAME", "POD_UID", "POD_NAMESPACE"])
def test_what_is_no_text_in_an_unused_variable_does_no_harm(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Of the Pod nothing is asked for, and the identity is given."""
    configure(monkeypatch, LEADER_IDENTITY="me", **{name: "\udcff"})
    found, code = checked([])
    assert (json.loads(found)[name.lower()], code) == ("\udcff", 0)


def test_a_name_in_small_letters_is_not_the_pods(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names in the environment are in capitals."""
    monkeypatch.setenv("pod_uid", "another")
    assert configure(monkeypatch).identity == f"web-0_{UID}"


def test_an_early_takeover_is_off_and_its_second_setting_is_refused_without_the_first(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = configure(monkeypatch)
    assert not settings.early_takeover
    assert not settings.early_takeover_on_deletion
    assert configure(monkeypatch, "--early-takeover", "--early-takeover-on-deletion", POD_NAMESPACE="shop").early_takeover_on_deletion
    (said,) = refused(monkeypatch, capsys, LEADER_EARLY_TAKEOVER_ON_DELETION="true")
    assert "LEADER_EARLY_TAKEOVER is not" in said
