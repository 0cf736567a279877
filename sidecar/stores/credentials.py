"""Where the API server is and who the sidecar is to it: the Pod's service account, else a kubeconfig.

Service account: Kubernetes documentation, "Accessing the Kubernetes API from a Pod". Kubeconfig: "Organizing Cluster Access Using
kubeconfig Files". Projected tokens and CA bundles are replaced while a Pod runs: what came from a file is followed there, by the file's
own change and by a refusal, never by a clock. kubernetes_asyncio reads kubeconfigs, and is imported for them alone: in a Pod nobody pays
for it.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from sidecar.stores import tls
from sidecar.stores.configuration import SERVICE_ACCOUNT, Configuration

_log = logging.getLogger(__name__)

Stamp = tuple[int, int, int, int] | None
"""What tells one state of a file from the next: device, inode, size, mtime in ns; None where there is no file."""


class ConfigurationError(Exception):
    """There is no telling where the API server is or who to be to it. One line for the user: what is wrong, what to do."""


def stamp(path: str | Path) -> Stamp:
    """The present state of a file, links followed (a projected volume swaps a link)."""
    try:
        found = os.stat(path)  # noqa: PTH116 - kubernetes_asyncio gives strings
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


class TokenFile:
    """A bearer token in a file that is replaced from time to time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read_at: Stamp = None

    def read(self, *, unchanged: bool = False) -> str | None:
        """The token; None where there is none to be had, or (unless `unchanged` is asked for as well) the file is as it was last read."""
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
    """The configuration in force (`Configuration`, or kubernetes_asyncio's with a kubeconfig), kept true to where it came from."""

    def __init__(
        self, configuration: Any, token_file: TokenFile | None = None, load_again: Callable[[], Awaitable[Any]] | None = None
    ) -> None:
        self.configuration = configuration
        self._token_file = token_file
        self._load_again = load_again
        self._loading: asyncio.Task[None] | None = None
        self.tls_strict = True
        """Whether certificates must be as RFC 5280 asks."""

    @property
    def shown(self) -> tuple[str | None, Stamp, Stamp]:
        """What a request shows of the sidecar: its token, its client certificate and key."""
        cert, key = self.configuration.cert_file, self.configuration.key_file
        return (self.configuration.api_key.get("BearerToken"), stamp(cert) if cert else None, stamp(key) if key else None)

    @property
    def authorization(self) -> dict[str, str]:
        """The header that says who asks; none where a client certificate alone does."""
        bearer = self.configuration.api_key.get("BearerToken")
        return {"Authorization": bearer} if bearer else {}

    def refresh(self) -> None:
        """Before each request: take up a token file that has changed. An empty or missing one leaves the token that was."""
        if self._token_file is not None:
            self._take(self._token_file.read())

    async def renew(self, shown: tuple[str | None, Stamp, Stamp]) -> bool:
        """After a 401: read anew, at once; whether there is now something else to show than what was refused."""
        if self._token_file is not None:
            self._take(self._token_file.read(unchanged=True))
        elif self._load_again is not None and self.shown == shown:
            # One at a time, and not ended by the caller's limit: a credential plugin may take longer than one request may.
            if self._loading is None or self._loading.done():
                self._loading = asyncio.create_task(self._reload(self._load_again))
            await asyncio.shield(self._loading)
        return self.shown != shown

    @property
    def tls_stamp(self) -> tuple[tuple[str, Stamp], ...]:
        """The state of the files that make up the TLS context."""
        files = (self.configuration.ssl_ca_cert, self.configuration.cert_file, self.configuration.key_file)
        return tuple((path, stamp(path)) for path in files if path)

    def tls_context(self) -> ssl.SSLContext:
        """A TLS context from those files as they are now; OSError (ssl.SSLError is one) where they are no good."""
        return tls.context(self.configuration, strict=self.tls_strict)

    def close(self) -> None:
        """Wait for no credential plugin."""
        if self._loading is not None:
            self._loading.cancel()

    def _take(self, token: str | None) -> None:
        bearer = f"Bearer {token}"
        if token is not None and bearer != self.configuration.api_key.get("BearerToken"):
            self.configuration.api_key["BearerToken"] = bearer
            _log.debug("the service account token has been read anew")

    async def _reload(self, load_again: Callable[[], Awaitable[Any]]) -> None:
        try:
            fresh = await load_again()
        except ConfigurationError as error:
            _log.debug("the credentials could not be loaded anew: %s", error)
            return
        for name in ("api_key", "ssl_ca_cert", "cert_file", "key_file"):
            setattr(self.configuration, name, getattr(fresh, name))


async def load(environ: Mapping[str, str], service_account: Path = SERVICE_ACCOUNT, *, tls_strict: bool = True) -> Access:
    """In a Pod its service account, else the kubeconfig that kubectl would take. Raises ConfigurationError."""
    in_cluster = bool(environ.get("KUBERNETES_SERVICE_HOST"))
    access = _in_cluster(environ, service_account) if in_cluster else await _kubeconfig(environ)
    access.tls_strict = tls_strict
    if not access.configuration.host.startswith("http://"):
        try:
            access.tls_context()
        except (OSError, ValueError) as error:
            files = ", ".join(path for path, _ in access.tls_stamp) or "the system's CA certificates"
            raise ConfigurationError(
                one_line(f"cannot use {files} for TLS: {error}; a PEM file is needed that may be read here")
            ) from error
    return access


def one_line(text: object, limit: int = 400) -> str:
    """`text` for a log line: no line breaks, no control characters, of bounded length. The end is kept: the cause often stands there."""
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
    paths = _kubeconfig_paths(environ)

    async def load_all() -> tuple[Any, TokenFile | None]:
        try:
            return await _load_kubeconfig(paths)
        except ConfigurationError:
            raise
        except Exception as error:  # the library meets junk with whatever exception comes of it
            raise ConfigurationError(f"cannot use the kubeconfig {', '.join(map(str, paths))}: {_complaint(error)}") from error

    async def load_again() -> Any:
        return (await load_all())[0]

    configuration, token_file = await load_all()
    return Access(configuration, token_file, load_again)


def _kubeconfig_paths(environ: Mapping[str, str]) -> list[Path]:
    """The files that are there of those that kubectl would merge."""
    named = environ.get("KUBECONFIG", "")
    home = environ.get("HOME")
    candidates = [Path(part).expanduser() for part in named.split(os.pathsep) if part]
    if not candidates:
        candidates = [(Path(home) if home else Path.home()) / ".kube" / "config"]
    paths = [path for path in candidates if stamp(path) is not None]
    if paths:
        return paths
    looked = ", ".join(map(str, candidates))
    if named:
        raise ConfigurationError(f"KUBECONFIG names no file that is there: {looked}; correct or unset it")
    raise ConfigurationError(
        f"this is no Pod (KUBERNETES_SERVICE_HOST is not set), and there is no kubeconfig at {looked}: "
        "set KUBECONFIG, or use --store local:PATH to elect without a cluster"
    )


async def _load_kubeconfig(paths: list[Path]) -> tuple[Any, TokenFile | None]:
    from kubernetes_asyncio.client.configuration import Configuration as LibraryConfiguration  # noqa: PLC0415 - see the top
    from kubernetes_asyncio.config.kube_config import KubeConfigLoader, KubeConfigMerger  # noqa: PLC0415

    where = ", ".join(map(str, paths))
    merger = KubeConfigMerger(os.pathsep.join(map(str, paths)))
    # kubectl: the first file that sets it wins; the library's merger takes the last.
    context = next((found for file in merger.config_files.values() if (found := file.get("current-context"))), None)
    if not context:
        raise ConfigurationError(f"the kubeconfig {where} sets no current-context: kubectl config use-context NAME sets one")
    merged: Any = merger.config
    loader = KubeConfigLoader(merged, active_context=context, config_base_path=None)
    selected = merged["contexts"].get_with_name(context)["context"]
    server = str(merged["clusters"].get_with_name(selected["cluster"])["cluster"].safe_get("server"))
    if not server.startswith(("https://", "http://")):
        raise ConfigurationError(f"the kubeconfig {where} gives no server for its current-context {context}: an http(s) URL is needed")
    name = selected.safe_get("user")
    entry = merged["users"].get_with_name(name, safe=True) if name else None
    if entry is None and server.startswith("https://"):
        raise ConfigurationError(f"the kubeconfig {where} has no user for its current-context {context}: an entry of users is needed")
    # No default host: the library's own is http://localhost, and nobody means that.
    configuration = LibraryConfiguration(host="")
    await loader.load_and_set(configuration)
    return configuration, _user_token_file(entry["user"], configuration) if entry is not None else None


def _user_token_file(user: Any, configuration: Any) -> TokenFile | None:
    """The user's tokenFile: it goes before a token beside it, as in client-go, and it is followed."""
    path = user.safe_get("tokenFile")
    if not path or "exec" in user or "auth-provider" in user:
        return None
    token_file = TokenFile(Path(user.path).parent / path)
    token = token_file.read()
    if token is None:
        raise ConfigurationError(f"the kubeconfig's tokenFile {path} is empty or cannot be read: it must hold a bearer token")
    configuration.api_key["BearerToken"] = f"Bearer {token}"
    return token_file


def _complaint(error: Exception) -> str:
    """What the library says is wrong, without what it quotes: that may be a whole user entry, secrets included."""
    text = one_line(error)
    if text.startswith("Invalid kube-config file."):
        return text.split(" in ", maxsplit=1)[0] + "; kubectl config view shows what kubectl makes of it"
    if text.startswith(("exec:", "oidc:", "File does not exist")) or isinstance(error, OSError):
        return text
    if mark := getattr(error, "problem_mark", None):
        return f"it is not YAML (line {mark.line + 1})"
    return f"its structure is not a kubeconfig's ({type(error).__name__}); kubectl config view shows what kubectl makes of it"
