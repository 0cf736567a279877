"""Runs the credential plugin of a kubeconfig's `exec` (client.authentication.k8s.io), as client-go's plugin/pkg/client/auth/exec does.

Not by kubernetes_asyncio's ExecProvider: it has no time limit, tells no cluster information, looks only in the process's own folder, and a
plugin that writes much to stderr hangs it.
"""

import asyncio
import json
import os
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sidecar import child_processes
from sidecar.clock import Clock
from sidecar.kubernetes.credentials import ConfigurationError, one_line
from sidecar.kubernetes.kubeconfig_fields import Fields

LIMIT_SECONDS: Final = 30.0
"""A plugin that has not answered by then is killed: a cloud's plugin takes seconds, and nobody can answer its questions here."""
_REAPED_SECONDS: Final = 1.0
"""How long to wait for a killed plugin: a program that has left the process group may keep the pipe open for longer."""
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_VERSIONS: Final = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
_MODES: Final = ("Never", "IfAvailable", "Always")


@dataclass(frozen=True)
class Given:
    """The credentials that a plugin answered with."""

    token: str
    certificate: bytes | None
    key: bytes | None
    expires_us: int | None


class Plugin:
    """`users[…].user.exec`, checked. `cluster`: the information for a plugin with provideClusterInfo."""

    def __init__(self, fields: Fields, cluster: dict[str, Any], clock: Clock) -> None:
        self._fields = fields
        self._clock = clock
        command = fields.text("command")
        if not command or "\0" in command:
            raise fields.refused("command", "is needed: the program that gives the credentials")
        self._command = str(fields.resolve(command)) if "/" in command else command
        self._arguments = fields.texts("args")
        self._environment = _environment(fields)
        self._hint = one_line(fields.text("installHint"))
        self._version = fields.text("apiVersion")
        if self._version not in _VERSIONS:
            given = one_line(self._version) or "missing"
            raise fields.refused("apiVersion", f"is {given}: use {' and '.join(_VERSIONS)}")
        mode = fields.text("interactiveMode") or ("IfAvailable" if self._version.endswith("v1beta1") else "")
        if mode not in _MODES:
            raise fields.refused("interactiveMode", f"must be one of {', '.join(_MODES)}: Never is best here")
        if mode == "Always":
            raise fields.refused("interactiveMode", "is Always, but no user can answer a plugin's questions here: set Never or IfAvailable")
        self._told: dict[str, Any] = {"kind": "ExecCredential", "apiVersion": self._version, "spec": {"interactive": False}}
        if fields.flag("provideClusterInfo"):
            self._told["spec"]["cluster"] = cluster

    @property
    def name(self) -> str:
        """The plugin's name, for people."""
        return f"the credential plugin {one_line(self._command)} ({self._fields.name('command')})"

    async def run(self) -> Given:
        """Run the plugin; its credentials. Raises ConfigurationError, also where the plugin takes longer than LIMIT_SECONDS."""
        try:
            answer = json.loads(await self._output())
        except (ValueError, RecursionError):
            raise self._failed("printed no JSON") from None
        return self._given(answer)

    async def _output(self) -> bytes:
        try:
            # A process group of its own, so that every process that the plugin starts ends with it.
            process = await asyncio.create_subprocess_exec(
                self._command,
                *self._arguments,
                env=os.environ | self._environment | {"KUBERNETES_EXEC_INFO": json.dumps(self._told, separators=(",", ":"), default=str)},
                stdin=DEVNULL,
                stdout=PIPE,
                stderr=PIPE,
                process_group=0,
            )
        except (OSError, ValueError) as error:
            raise self._failed(f"cannot be run: {getattr(error, 'strerror', None) or error}", self._hint) from None
        child_processes.started(process.pid)
        try:
            async with self._clock.timeout(LIMIT_SECONDS):
                output, said = await process.communicate()
        except TimeoutError:
            raise self._failed(f"has not answered in {LIMIT_SECONDS:g} s and was killed") from None
        finally:
            # Also after the plugin's own end: it may have left processes behind in its group.
            child_processes.end(process.pid)
            with suppress(TimeoutError):
                async with self._clock.timeout(_REAPED_SECONDS):
                    await process.wait()
        if process.returncode != 0:
            raise self._failed(f"ended with exit code {process.returncode}", one_line(said.decode(errors="replace"), 200))
        return output

    def _given(self, answer: object) -> Given:
        if not isinstance(answer, dict) or answer.get("kind") != "ExecCredential":
            raise self._failed("printed no ExecCredential")
        if answer.get("apiVersion") != self._version:
            raise self._failed(f"answered in version {one_line(answer.get('apiVersion'))}, and apiVersion is {self._version}")
        status = answer.get("status")
        if not isinstance(status, dict):
            raise self._failed("gave no status")
        names = ("token", "clientCertificateData", "clientKeyData", "expirationTimestamp")
        token, certificate, key, expires = (status.get(name) or "" for name in names)
        for name, text in zip(names, (token, certificate, key, expires), strict=True):
            if not isinstance(text, str):
                raise self._failed(f"gave a status.{name} that is no string")
        if not token and not certificate and not key:
            raise self._failed("gave neither a token nor a client certificate")
        if bool(certificate) != bool(key):
            raise self._failed("gave only one of clientCertificateData and clientKeyData")
        if any(ord(char) < ord(" ") or char == "\x7f" for char in token):
            raise self._failed("gave a token with a line break or another control character")
        return Given(token, certificate.encode() or None, key.encode() or None, self._expires_us(expires) if expires else None)

    def _expires_us(self, text: str) -> int:
        try:
            return round((datetime.fromisoformat(text) - _EPOCH).total_seconds() * 1_000_000)
        except (ValueError, TypeError, OverflowError):
            raise self._failed("gave a status.expirationTimestamp that is no time (RFC 3339)") from None

    def _failed(self, why: str, more: str = "") -> ConfigurationError:
        return ConfigurationError(f"{self.name} {why}{': ' if more else ''}{more}")


def _environment(fields: Fields) -> dict[str, str]:
    found = {}
    for entry in fields.list_of("env"):
        name, value = entry.text("name"), entry.text("value")
        if not name or "=" in name or "\0" in name + value:
            raise entry.refused("name", "must be the name of a variable")
        found[name] = value
    return found
