"""The command line: what is not understood is told in a user's words, all of it; what is taken from others is ignored as told."""

import pytest

from sidecar.settings import legacy_flags, unknown
from sidecar.settings.declaration import NAMES, variable
from sidecar.settings.loading import checked, configured

GIVEN = ("--lease-name=web", "--lease-namespace=shop", "--identity=web-0_1")


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    """No setting of the machine's own, and any free ports: where there is a fault they are tried, and tests run beside each other."""
    for name in ("POD_NAME", "POD_UID", "POD_NAMESPACE", "KUBECONFIG", "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    for name in ("LEADER_LISTEN", "LEADER_PROBE_LISTEN"):
        monkeypatch.setenv(name, "127.0.0.1:0")


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    """What is said in place of a start, a line each."""
    assert checked([*GIVEN, *arguments]) == (b"", 2)
    lines = capsys.readouterr().err.splitlines()
    assert all(line.startswith("leader-sidecar: ") for line in lines)
    return [line.removeprefix("leader-sidecar: ") for line in lines]


@pytest.mark.parametrize("name", ["FOO", "TOKEN", "URL", "DEBUG", "HOST", "TIMEOUT_X", "REPLICAS", "X", "ELECTION_ID", ""])
def test_a_name_that_is_like_none_gets_no_far_fetched_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    """The prefix, which all have, makes no two alike."""
    monkeypatch.setenv(f"LEADER_{name}", "x")
    assert told(capsys) == [f"LEADER_{name} is not a setting; leader-sidecar --help lists all settings"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("LEADER_LEESE_NAME", "LEADER_LEASE_NAME"),
        ("LEADER_LISEN", "LEADER_LISTEN"),
        ("LEADER_LEASE_DURATON", "LEADER_LEASE_DURATION"),
        ("LEADER_DRAINTIMEOUT", "LEADER_DRAIN_TIMEOUT"),
        ("LEADER_EVENT", "LEADER_EVENTS"),
        ("leader_events", "LEADER_EVENTS"),
        ("LEADER_PROB_LISTEN", "LEADER_PROBE_LISTEN"),
    ],
)
def test_a_slip_is_told_with_what_was_meant(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, meant: str
) -> None:
    monkeypatch.setenv(name, "x")
    assert told(capsys) == [f"{name} is not a setting: did you mean {meant}?"]


@pytest.mark.parametrize("field", NAMES)
def test_each_setting_is_found_from_a_slip_in_it(field: str) -> None:
    """Its last letter but one left out."""
    name = variable(field)
    assert unknown.no_setting(name[:-2] + name[-1]).endswith(f"did you mean {name}?")


@pytest.mark.parametrize("word", ["start", "run", "help", "web", "-", "", "--"])
def test_a_stray_word_is_an_unknown_command(capsys: pytest.CaptureFixture[str], word: str) -> None:
    """Wherever it stands; after `--` everything is one."""
    (line,) = told(capsys, *(["--", "--rollout-handover"] if word == "--" else [word]))
    assert "is not a command: the only command is leader-sidecar probe; --help lists the flags" in line


@pytest.mark.parametrize(
    ("former", "today"), [("APP_ENDS_FIRST", "NATIVE_SIDECAR"), ("LEASE_UNIQUE_BY", "INSTANCE"), ("YIELD", "ROLLOUT_HANDOVER")]
)
def test_a_former_name_is_refused_with_the_one_of_today(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], former: str, today: str
) -> None:
    """As a variable and as a flag, whose value is no fault of its own."""
    monkeypatch.setenv(f"LEADER_{former}", "x")
    old, new = (f"--{name.lower().replace('_', '-')}" for name in (former, today))
    lines = told(capsys, old, "x", f"{old}=x")
    assert sorted(lines) == sorted([*[f"{old} is called {new}"] * 2, f"LEADER_{former} is called LEADER_{today}"])


@pytest.mark.parametrize("word", ["--foo", "-foo", "-foo=x", "-1", "---x", "--=x"])
def test_an_unknown_flag_is_told_as_it_is_written(capsys: pytest.CaptureFixture[str], word: str) -> None:
    assert told(capsys, word, "--retry-period=1s") == [f"{word} is not a flag; leader-sidecar --help lists all settings"]


def test_a_command_in_the_wrong_place_and_a_slip_in_one_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert told(capsys, "probe", "porbe") == [
        "probe is a command and must come first: leader-sidecar probe --help",
        "'porbe' is not a command: did you mean leader-sidecar probe?",
    ]


def test_every_fault_of_a_command_line_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Flags without a value among them, which a parser would stop at."""
    lines = told(capsys, "--retry-period", "--lisen=x", "stray", "--election", "--log-level=loud", "--app-health-failures", "-1")
    assert len(lines) == 6
    text = "\n".join(lines)
    assert "--retry-period needs a value: --retry-period=DURATION" in text
    assert "--election needs a value: --election=NAME" in text
    assert "--lisen=x is not a flag: did you mean --listen?" in text
    assert "'stray' is not a command" in text
    assert "LEADER_LOG_LEVEL='loud': allowed: debug, info, warning or error" in text
    assert "LEADER_APP_HEALTH_FAILURES='-1': allowed: whole numbers from 1 to 1000" in text


@pytest.mark.parametrize(
    "ignored",
    [
        ["--v=4", "--logtostderr"],
        ["-v=4", "-logtostderr=true"],
        ["-v", "4", "--alsologtostderr", "false"],
        ["-v4"],
        ["--stderrthreshold=INFO", "--vmodule", "a=1,b=2", "--log_dir=/tmp", "--log-backtrace-at=x.go:1"],
        ["--skip_headers", "--add-dir-header=false", "--one_output", "--log_file_max_size=1800"],
    ],
)
def test_glogs_flags_are_taken_and_ignored(ignored: list[str]) -> None:
    """As the older sidecars' Deployments have them: with `_` or `-`, one dash or two, with and without a value."""
    assert configured([*GIVEN, *ignored]) == configured(GIVEN)
    assert configured([*ignored, *GIVEN]) == configured(GIVEN)


def test_each_of_glogs_flags_is_taken_in_both_spellings() -> None:
    for name in legacy_flags.GLOG:
        for spelt in (name, name.replace("-", "_")):
            assert configured([*GIVEN, f"--{spelt}=1"]) == configured(GIVEN)


@pytest.mark.parametrize("word", ["true", "TRUE", "1", "t", "yes", "on"])
def test_a_switch_is_on_or_off_in_the_usual_words(word: str) -> None:
    assert configured([*GIVEN, f"--native-sidecar={word}"]).native_sidecar
    assert configured([*GIVEN, "--native-sidecar", word]).native_sidecar
    assert not configured([*GIVEN, "--native-sidecar", {"1": "0", "t": "f", "yes": "NO", "on": "off"}.get(word, "false")]).native_sidecar


def test_no_message_is_a_librarys(capsys: pytest.CaptureFixture[str]) -> None:
    """Each setting with values that no setting takes: none is told in pydantic's words, nor in argparse's."""
    for value in ("\udcff", "\n", "[]", "{}", "1e400", "null", "-", "\x00"):
        for field in NAMES:
            if checked([*GIVEN, f"--{field.replace('_', '-')}={value}"])[1]:
                said = capsys.readouterr().err
                assert said.count("\n") >= 1
                for word in ("Input should", "valid integer", "valid string", "pydantic", "argument --", "Traceback", "type="):
                    assert word not in said, (field, value, said)
