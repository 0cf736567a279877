"""Addresses to listen on: what may be written, and what a busy one says."""

import errno
import os
import socket
from pathlib import Path

import pytest

from sidecar.http import listen
from sidecar.http.listen import ListenError, bind
from sidecar.settings.listen import Address, named_twice, parse_listen


def free_ports(count: int) -> list[int]:
    """Nobody listens there at this moment."""
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in held]
    close(held)
    return ports


def close(sockets: list[socket.socket]) -> None:
    """All of them."""
    for each in sockets:
        each.close()


@pytest.mark.parametrize(("text", "addresses"), [
    ("localhost:4040", [Address("localhost", 4040)]),
    ("*:4041", [Address("*", 4041)]),
    ("10.0.0.7:0", [Address("10.0.0.7", 0)]),
    ("[::1]:4040", [Address("::1", 4040)]),
    ("LOCALHOST:4040", [Address("localhost", 4040)]),
    ("[FE80::1%eth0]:4040", [Address("fe80::1%eth0", 4040)]),
    ("[::ffff:10.0.0.7]:1", [Address("::ffff:10.0.0.7", 1)]),
    ("web-0.web.shop.svc.:80", [Address("web-0.web.shop.svc.", 80)]),
    ("unix:/run/leader.sock", [Address("", 0, "/run/leader.sock")]),
    (" localhost:1 , unix:/a:b ", [Address("localhost", 1), Address("", 0, "/a:b")]),
    ("", []),
])  # fmt: skip
def test_what_may_be_written(text: str, addresses: list[Address]) -> None:
    """Several with commas; none in an empty text."""
    assert parse_listen(text) == addresses


@pytest.mark.parametrize(
    "text",
    ["4040", ":4040", "localhost", "localhost:", "localhost:65536", "localhost:-1", "localhost:٣", "::1:4040", "a:1,", "unix:a", "unix:",
     "[::1:4040", "::1]:4040", "[[::1]]:4040", "[*]:1", "[localhost]:1", "[127.0.0.1]:1", "[]:1", "[::1%]:1", "[::g]:1", "localhost:1_0",
     "1_0:1", "localhost:+1", "localhost: 1", "local host:1", "http://localhost:4040", "user@localhost:1", "localhost/x:1", "*.*:1", "**:1",
     "256.0.0.1:1", "127.1:1", "1:1", "0:4040", "0x7f000001:1", "127.0.0.1.5:1", "-a:1", "a-:1", "a..b:1", ".:1", "ü:1", "a" * 64 + ":1"],
)  # fmt: skip
def test_what_may_not_and_why(text: str) -> None:
    """The message shows the part and what is allowed."""
    with pytest.raises(ValueError, match="unix"):
        parse_listen(text)


def test_a_unix_path_that_no_socket_can_have_is_refused_at_once() -> None:
    """unix(7): 107 bytes."""
    parse_listen("unix:/" + "x" * 106)
    with pytest.raises(ValueError, match="107"):
        parse_listen("unix:/" + "ü" * 54)


def test_localhost_is_every_loopback_address_that_is_up_on_one_port() -> None:
    """127.0.0.1 and, where IPv6 is up, ::1."""
    sockets = bind([Address("localhost", 0)])
    names = [listen.name(each) for each in sockets]
    close(sockets)
    port = names[0].rpartition(":")[2]
    assert names in ([f"127.0.0.1:{port}"], [f"127.0.0.1:{port}", f"[::1]:{port}"])


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT])
def test_ipv6_that_is_off_is_no_fault(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """127.0.0.1 alone then."""
    four = socket.socket()
    four.bind(("127.0.0.1", 0))

    def only_ipv4(host: str, port: int) -> socket.socket:
        if ":" in host:
            raise ListenError(host) from OSError(number, os.strerror(number))
        assert (host, port) == ("127.0.0.1", 0)
        return four

    monkeypatch.setattr(listen, "_bind", only_ipv4)
    assert bind([Address("localhost", 0)]) == [four]
    four.close()


def test_ipv4_that_is_off_is_no_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    """[::1] alone then, on the port that was asked for."""
    six = socket.socket()

    def only_ipv6(host: str, port: int) -> socket.socket:
        if ":" not in host:
            raise ListenError(host) from OSError(errno.EADDRNOTAVAIL, "not available")
        assert (host, port) == ("::1", 4040)
        return six

    monkeypatch.setattr(listen, "_bind", only_ipv6)
    assert bind([Address("localhost", 4040)]) == [six]
    six.close()


def test_a_machine_with_neither_is_told_of_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sidecar that nobody can ask is none."""

    def neither(host: str, port: int) -> socket.socket:
        raise ListenError(f"cannot listen on {host}:{port}") from OSError(errno.EADDRNOTAVAIL, "not available")

    monkeypatch.setattr(listen, "_bind", neither)
    with pytest.raises(ListenError, match=r"127\.0\.0\.1:4040"):
        bind([Address("localhost", 4040)])


def test_a_port_that_is_taken_on_ipv6_alone_is_a_fault_and_leaves_nothing_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else half of the clients would speak to somebody else."""
    four = socket.socket()
    four.bind(("127.0.0.1", 0))

    def taken_on_ipv6(host: str, _: int) -> socket.socket:
        if ":" in host:
            raise ListenError(f"cannot listen on {host}") from OSError(errno.EADDRINUSE, "in use")
        return four

    monkeypatch.setattr(listen, "_bind", taken_on_ipv6)
    with pytest.raises(ListenError, match="::1"):
        bind([Address("localhost", 0)])
    assert four.fileno() == -1


def test_a_busy_port_says_which_and_what_to_do() -> None:
    """And what was bound before it is closed again."""
    with socket.socket() as taken, socket.socket() as free:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        free.bind(("127.0.0.1", 0))
        spare, port = free.getsockname()[1], taken.getsockname()[1]
        free.close()
        with pytest.raises(ListenError, match=rf"127\.0\.0\.1:{port}.*LEADER_LISTEN"):
            bind([Address("127.0.0.1", spare), Address("127.0.0.1", port)])
    close(bind([Address("127.0.0.1", spare)]))


def test_a_unix_socket_of_a_dead_process_is_replaced(tmp_path: Path) -> None:
    """Its file stays behind a kill -9; owner and group alone may use the new one."""
    path = tmp_path / "leader.sock"
    close(bind([Address("", 0, str(path))]))
    assert path.exists()
    sockets = bind([Address("", 0, str(path))])
    assert path.stat().st_mode & 0o777 == 0o660
    close(sockets)


def test_a_unix_socket_that_somebody_listens_on_is_never_taken_away(tmp_path: Path) -> None:
    """Another sidecar's, for another Lease: it goes on to answer, also while it is too busy to accept."""
    path = str(tmp_path / "leader.sock")
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(path)
        other.listen(0)
        for _ in range(3):
            with pytest.raises(ListenError, match="LEADER_LISTEN"):
                bind([Address("", 0, path)])
        other.settimeout(5)
        other.accept()[0].close()
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(5)
            client.connect(path)


def test_a_file_that_is_no_socket_is_never_removed(tmp_path: Path) -> None:
    """A mistyped path costs nobody a file."""
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ListenError, match="no socket"):
        bind([Address("", 0, str(path))])
    assert path.read_text() == "data"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    """With what has to be so."""
    with pytest.raises(ListenError, match=r"none/leader\.sock.*folder"):
        bind([Address("", 0, str(tmp_path / "none" / "leader.sock"))])


def test_a_unix_socket_has_its_mode_before_anybody_can_connect(tmp_path: Path) -> None:
    """By default its owner and group; whatever was set otherwise."""
    for mode, path in ((0o660, tmp_path / "default"), (0o606, tmp_path / "set")):
        made = bind([Address("", 0, str(path))]) if mode == 0o660 else bind([Address("", 0, str(path))], mode)
        assert path.stat().st_mode & 0o777 == mode
        made[0].close()


def test_every_address_that_is_taken_is_told_at_once_each_by_its_name() -> None:
    """And nothing stays open."""
    ports = free_ports(3)
    taken = bind([Address("127.0.0.1", ports[0]), Address("127.0.0.1", ports[1])])
    with pytest.raises(ListenError) as refused:
        bind([Address("127.0.0.1", port) for port in ports], setting="LEADER_PROBE_LISTEN")
    assert str(refused.value).splitlines() == [
        f"cannot listen on 127.0.0.1:{port}: Address already in use by another process: stop that process, or set another address "
        "(LEADER_PROBE_LISTEN)"
        for port in ports[:2]
    ]
    close(bind([Address("127.0.0.1", ports[2])]))
    close(taken)


@pytest.mark.skipif(not socket.has_ipv6, reason="this machine has no IPv6")
def test_every_address_in_brackets_serves_both_families_as_the_star_does() -> None:
    """As a Go program's [::] does; with 0.0.0.0 beside it each has its own."""
    (port,) = free_ports(1)
    for wanted in ([Address("::", port)], [Address("*", port)], [Address("::", port), Address("0.0.0.0", port)]):  # noqa: S104 - as a setting may say
        sockets = bind(wanted)
        for host in ("127.0.0.1", "::1"):
            socket.create_connection((host, port), timeout=5).close()
        close(sockets)


@pytest.mark.parametrize(
    ("app", "probes", "said"),
    [
        ("localhost:4040", "localhost:4040", "LEADER_LISTEN and LEADER_PROBE_LISTEN name localhost:4040 twice"),
        ("localhost:4040", "*:4040", "LEADER_LISTEN and LEADER_PROBE_LISTEN name localhost:4040 and *:4040"),
        ("127.0.0.1:4040", "[::]:4040", "LEADER_LISTEN and LEADER_PROBE_LISTEN name 127.0.0.1:4040 and [::]:4040"),
        ("*:4040", "[::1]:4040", "LEADER_LISTEN and LEADER_PROBE_LISTEN name *:4040 and [::1]:4040"),
        ("localhost:4040,[::1]:4040", "", "LEADER_LISTEN names localhost:4040 and [::1]:4040"),
        ("unix:/a,unix:/a", "", "LEADER_LISTEN names unix:/a twice"),
        ("localhost:0,localhost:0", "*:0", ""),
        ("127.0.0.1:4040", "[::1]:4040,10.0.0.7:4040", ""),
        ("0.0.0.0:4040,[::]:4040", "localhost:4041", ""),
        ("localhost:4040", "*:4041", ""),
    ],
)
def test_an_address_that_a_sidecar_names_twice_is_its_own_fault(app: str, probes: str, said: str) -> None:
    """Told before anything is bound, and blamed on no other process."""
    faults = named_twice({"LEADER_LISTEN": app, "LEADER_PROBE_LISTEN": probes})
    assert faults == ([f"{said}: an address can be used once; remove one, or use another port"] if said else [])


def test_two_names_of_one_address_are_not_blamed_on_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """What no setting shows: the look-up does."""
    (port,) = free_ports(1)
    real = socket.getaddrinfo

    def resolve(host: str, *more: object, **named: object) -> object:
        return real("127.0.0.1" if host == "web.example" else host, *more, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    with pytest.raises(ListenError) as refused:
        bind([Address("127.0.0.1", port), Address("web.example", port)])
    assert str(refused.value) == (
        f"cannot listen on web.example:{port}: this sidecar already listens there: remove one of the two addresses (LEADER_LISTEN)"
    )


def test_an_address_that_is_not_this_machines_is_told_as_it_is_written() -> None:
    with pytest.raises(ListenError, match=r"\[2001:db8::1\]:4040: .*this machine has no such address|Address family"):
        bind([Address("2001:db8::1", 4040)])
