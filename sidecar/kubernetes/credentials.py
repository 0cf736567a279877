"""Where the API server is, and as which user the sidecar asks it: the Pod's service account, else a kubeconfig.

Service account: Kubernetes documentation, "Accessing the Kubernetes API from a Pod". Kubeconfig: "Organizing Cluster Access Using
kubeconfig Files". Projected tokens and CA bundles are replaced while a Pod runs: credentials from a file are read anew when the file
changes, and after a refusal. Credentials from a kubeconfig's text, a credential plugin or an issuer are loaded anew after a refusal, after
a failed handshake, and when they end. The modules that read kubeconfigs are imported only for them: they cost a Pod no memory.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Final

from sidecar.clock import Clock, SystemClock, ns
from sidecar.kubernetes import tls
from sidecar.kubernetes.in_cluster import SERVICE_ACCOUNT, Configuration

_log = logging.getLogger(__name__)

PATIENCE_SECONDS: Final = 2.0
"""How long a request waits for credentials that are loaded anew: less than the request's own limit."""
REST_SECONDS: Final = 10.0
"""Between two loads that no 401 asked for: a plugin may give credentials that have already ended."""

Stamp = tuple[int, int, int, int] | None
"""Distinguishes one state of a file from the next: device, inode, size, mtime in ns; None where there is no file."""


class ConfigurationError(Exception):
    """Nothing says where the API server is, or with which credentials to ask it. One line for the user: what is wrong, what to do."""


def stamp(path: str | Path) -> Stamp:
    """The present state of a file; links are followed (a projected volume swaps a link)."""
    try:
        found = os.stat(path)  # noqa: PTH116 - a configuration has strings
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class TokenFile:
    """A bearer token in a file that is replaced from time to time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: Stamp = None

    def read(self, *, unchanged: bool = False) -> str | None:
        """The token; None where it cannot be read, or where the file has not changed since (with `unchanged` also then the token)."""
        now = stamp(self._path)
        if now == self._read_at and not unchanged:
            return None
        try:
            token = self._path.read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            return None
        if not token or any(char.isspace() or not char.isprintable() for char in token):
            return None
        self._read_at = now
        return token


class Access:
    """The configuration in force, kept up to date with its source.

    `load_again` loads it anew, for the same context and server, or raises ConfigurationError. `busy`: what a load may have to wait for.
    """

    def __init__(
        self,
        configuration: Configuration,
        token_file: TokenFile | None = None,
        load_again: Callable[[], Awaitable[Configuration]] | None = None,
        *,
        busy: str = "",
        clock: Clock | None = None,
    ) -> None:
        self.configuration = configuration
        self._token_file = token_file
        self._load_again = load_again
        self._busy = busy
        self._clock = clock or SystemClock()
        self._loading: asyncio.Task[None] | None = None
        self._failed = ""
        self._rests_until_ns = 0
        self._tls: tuple[tuple[object, ...], ssl.SSLContext] | None = None
        """What the TLS context was made of, and it."""
        self.tls_strict = True
        """Whether certificates must be as RFC 5280 asks."""

    @property
    def shown(self) -> tuple[object, ...]:
        """The credentials that a request shows: token, client certificate and key."""
        return (self.configuration.api_key.get("BearerToken"), *self.tls_stamp)

    @property
    def headers(self) -> list[tuple[str, str]]:
        """The headers that name the user, and the user to act as; none where a client certificate alone does."""
        bearer = self.configuration.api_key.get("BearerToken")
        return [*([("Authorization", bearer)] if bearer else []), *self.configuration.headers]

    @property
    def trouble(self) -> str:
        """Why the credentials may have become useless; "" while nothing is wrong."""
        if self._loading is not None and not self._loading.done() and self._busy:
            return f"waiting for {self._busy}"
        return self._failed

    async def refresh(self) -> None:
        """Before each request: read a token file that has changed, and load anew credentials that have ended, but wait only for a while.

        Where the token file is empty or missing, the former token stays.
        """
        if self._token_file is not None:
            self._take(self._token_file.read())
        ends_us = self.configuration.expires_us
        if ends_us is not None and self._clock.wall_us() >= ends_us and self._clock.boottime_ns() >= self._rests_until_ns:
            await self._load()

    async def renew(self, shown: tuple[object, ...]) -> bool:
        """After a 401: read the credentials anew at once; whether they are now others than `shown`, which was refused."""
        if self._token_file is not None:
            self._take(self._token_file.read(unchanged=True))
        if self.shown == shown:
            await self._load()
        return self.shown != shown

    def distrust(self) -> None:
        """After a failed handshake: load anew in the background, once in REST_SECONDS at most."""
        if self._clock.boottime_ns() >= self._rests_until_ns:
            self._begin()

    @property
    def tls_stamp(self) -> tuple[tuple[str, object], ...]:
        """The state of the files and data that the TLS context is made of."""
        made = self.configuration
        data = (("certificate-authority-data", made.ca_data), ("client certificate", made.cert_data), ("client key", made.key_data))
        files = (made.ssl_ca_cert, made.cert_file, made.key_file)
        return (*((path, stamp(path)) for path in files if path), *((name, content) for name, content in data if content))

    def tls_context(self, *, anew: bool = False) -> ssl.SSLContext:
        """A TLS context from those, as they are now. Raises OSError (ssl.SSLError is one) where they cannot be used."""
        made_of = (self.tls_strict, self.tls_stamp)
        if anew or self._tls is None or self._tls[0] != made_of:
            self._tls = (made_of, tls.context(self.configuration, strict=self.tls_strict))
        return self._tls[1]

    async def close(self) -> None:
        """End a load under way: its credential plugin is killed."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait({self._loading})

    def _take(self, token: str | None) -> None:
        bearer = f"Bearer {token}"
        if token is not None and bearer != self.configuration.api_key.get("BearerToken"):
            self.configuration.api_key["BearerToken"] = bearer
            _log.debug("the service account token has been read again")

    async def _load(self) -> None:
        """Load anew, or wait for the load under way, but only for a while: the request has a limit, and tells what it waits for."""
        if (task := self._begin()) is not None:
            await asyncio.wait({task}, timeout=PATIENCE_SECONDS)

    def _begin(self) -> "asyncio.Task[None] | None":
        """Begin a load, if none is under way. A request's limit does not end it: a plugin may take longer than a request may."""
        if self._load_again is not None and (self._loading is None or self._loading.done()):
            self._loading = asyncio.create_task(self._reload(self._load_again))
        return self._loading

    async def _reload(self, load_again: Callable[[], Awaitable[Configuration]]) -> None:
        try:
            fresh = await load_again()
        except ConfigurationError as error:
            if (said := str(error)) != self._failed:
                _log.warning("cannot reload the credentials; the previous ones stay in use: %s", said)
            self._failed = said
        else:
            self._failed = ""
            if self._token_file is not None:
                fresh.api_key = self.configuration.api_key
            self.configuration = fresh
        finally:
            self._rests_until_ns = self._clock.boottime_ns() + ns(REST_SECONDS)


async def load(environ: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT, *, tls_strict: bool = True) -> Access:
    """The access of a Pod's service account; outside a Pod of the kubeconfig that kubectl would take. Raises ConfigurationError."""
    in_cluster = bool(environ.get("KUBERNETES_SERVICE_HOST"))
    access = _in_cluster(environ, service_account) if in_cluster else await _kubeconfig(environ)
    access.tls_strict = tls_strict
    if not access.configuration.host.startswith("http://"):
        try:
            access.tls_context()
        except (OSError, ValueError) as error:
            files = ", ".join(path for path, _ in access.tls_stamp) or "the system's CA certificates"
            raise ConfigurationError(
                one_line(f"cannot use {files} for TLS: {error}; each must be a PEM file that this process may read")
            ) from error
    return access


def one_line(text: object, limit: int = 400) -> str:
    """`text` for a log line: without line breaks and control characters, of bounded length. The end stays: it often names the cause."""
    whole = str(text)
    if len(whole) > 4 * limit:
        whole = whole[: 2 * limit] + whole[-2 * limit :]
    line = " ".join("".join(char if char.isprintable() else " " for char in whole).split())
    half = limit // 2
    return line if len(line) <= limit else f"{line[: half - 3]} … {line[-half:]}"


def _in_cluster(environ: Mapping[str, str], service_account: Path) -> Access:
    path = service_account / "token"
    if stamp(path) is None:
        raise ConfigurationError(
            f"this is a Pod (KUBERNETES_SERVICE_HOST is set), but there is no token at {path}: mount a projected service-account token "
            "into the sidecar's container (see k8s/), or unset KUBERNETES_SERVICE_HOST to use a kubeconfig"
        )
    token_file = TokenFile(path)
    token = token_file.read()
    if token is None:
        raise ConfigurationError(
            f"the token at {path} is empty or cannot be read: it must be a projected service-account token that user {os.getuid()} may read"
        )
    host, port = environ["KUBERNETES_SERVICE_HOST"], environ.get("KUBERNETES_SERVICE_PORT")
    ca = service_account / "ca.crt"
    if not port or stamp(ca) is None:
        missing = f"there is no {ca}" if port else "KUBERNETES_SERVICE_PORT is not set"
        raise ConfigurationError(
            f"cannot use the Pod's service account in {service_account}: {missing}; needed: token, ca.crt, KUBERNETES_SERVICE_PORT"
        )
    server = f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}"
    return Access(Configuration(server, str(ca), {"BearerToken": f"Bearer {token}"}), token_file)


async def _kubeconfig(environ: Mapping[str, str]) -> Access:
    from sidecar.kubernetes.kubeconfig import paths, select
    from sidecar.kubernetes.kubeconfig_cluster import configuration
    from sidecar.kubernetes.kubeconfig_user import User

    files, clock = paths(environ), SystemClock()

    def described(context: str = "") -> tuple[Configuration, User | None, str]:
        selected = select(files, context)
        made = configuration(selected.cluster)
        if selected.user is None and made.host.startswith("https://"):
            where = one_line(", ".join(map(str, files)))
            raise ConfigurationError(f"the kubeconfig {where} has no user for its current-context {selected.context}: one is needed")
        return made, User(selected.user, selected.cluster, made, clock) if selected.user is not None else None, selected.context

    made, user, context = described()
    if user is not None:
        await user.show()

    async def load_again() -> Configuration:
        # The context stays: a user who turns to another cluster at the terminal does not mean a sidecar that leads in this one.
        fresh, user, _ = described(context)
        if fresh.host != made.host:
            raise ConfigurationError(f"the kubeconfig's context {one_line(context)} now names another server: restart to use it")
        if user is not None:
            await user.show()
        return fresh

    busy = user.plugin.name if user is not None and user.plugin is not None else ""
    return Access(made, user.token_file if user is not None else None, load_again, busy=busy, clock=clock)
