"""A kubeconfig's user: the credentials to show, in kubectl's order (client-go clientcmd, rest and transport)."""

import base64
from typing import Final
from urllib.parse import quote

from sidecar.clock import Clock
from sidecar.kubernetes import tls
from sidecar.kubernetes.credentials import TokenFile, one_line
from sidecar.kubernetes.exec_plugin import Plugin
from sidecar.kubernetes.in_cluster import Configuration
from sidecar.kubernetes.kubeconfig_cluster import info
from sidecar.kubernetes.kubeconfig_fields import Fields
from sidecar.kubernetes.oidc import id_token

_IN_A_HEADERS_NAME: Final = "!#$&'*+^`|"
"""Not escaped in a header's name, beside letters, digits, `_.-~`: RFC 9110's tchar but for `%` (client-go, headerKeyEscape)."""


class User:
    """`users[…].user`, checked: faults of the file are told before a plugin runs or an issuer is asked. Raises ConfigurationError."""

    def __init__(self, user: Fields, cluster: Fields, configuration: Configuration, clock: Clock) -> None:
        self._user = user
        self._clock = clock
        self._configuration = configuration
        self._secure = configuration.host.startswith("https://")
        configuration.headers = _impersonation(user)
        self._certificate()
        self._basic = self._username_and_password()
        self._token = user.header("token", user.text("token"))
        token_path = user.path("tokenFile")
        self.token_file = TokenFile(user.resolve(token_path)) if token_path else None
        if self._basic and (self._token or self.token_file):
            raise user.refused("username", "and a token are both given: give only one, as for kubectl")
        run, provider = user.within("exec"), user.within("auth-provider")
        if run and provider:
            raise user.refused("exec", "and auth-provider are both given: give only one, as for kubectl")
        self.plugin = Plugin(run, info(cluster, configuration), clock) if run else None
        self._oidc = _oidc(provider) if provider else None
        if not self._secure:
            # As kubectl: no credentials over plain HTTP, where anyone on the way could read them.
            self.plugin, self.token_file, self._oidc, self._basic, self._token = None, None, None, "", ""
            configuration.cert_file = configuration.key_file = configuration.cert_data = configuration.key_data = None
        elif self._basic or self._token or self.token_file or configuration.cert_data or configuration.cert_file:
            # kubectl runs a plugin only where there is nothing else to show.
            self.plugin = None
        elif not self.plugin and not self._oidc:
            raise user.refused("", "gives no credentials: a token, a client certificate, exec or the like is needed")

    async def show(self) -> None:
        """Put the credentials into the configuration, and run the plugin for that. Raises ConfigurationError."""
        shown = self._basic or (f"Bearer {self._token}" if self._token else "")
        if self.token_file is not None:
            token = self.token_file.read()
            if token is None:
                raise self._user.refused("tokenFile", f"names a file that holds no token: {one_line(self._user.text('tokenFile'))}")
            shown = f"Bearer {token}"
        if self._oidc is not None and not shown:
            token, self._configuration.expires_us = await id_token(self._oidc, self._clock)
            shown = f"Bearer {token}"
        if self.plugin is not None:
            given = await self.plugin.run()
            self._configuration.cert_data, self._configuration.key_data = given.certificate, given.key
            self._configuration.expires_us = given.expires_us
            shown = f"Bearer {given.token}" if given.token else ""
            if problem := tls.unusable(self._configuration):
                raise self._user.refused("exec", f"gave a client certificate or key that cannot be used: {one_line(problem, 200)}")
        if shown:
            self._configuration.api_key["BearerToken"] = shown

    def _certificate(self) -> None:
        made, user = self._configuration, self._user
        for kind in ("certificate", "key"):
            file, data = user.path(f"client-{kind}"), user.data(f"client-{kind}-data")
            if file and data:
                raise user.refused(f"client-{kind}-data", f"and client-{kind} are both given: give only one, as for kubectl")
            if kind == "certificate":
                made.cert_file, made.cert_data = file, data
            else:
                made.key_file, made.key_data = file, data
        if not (made.cert_file or made.cert_data):
            made.key_file = made.key_data = None
        elif not (made.key_file or made.key_data):
            raise user.refused("client-key", "or client-key-data is needed for the client certificate")
        elif problem := tls.unusable(made):
            field = "client-certificate-data" if made.cert_data else "client-certificate"
            raise user.refused(field, f"and its client-key cannot be used: {one_line(problem, 200)}")

    def _username_and_password(self) -> str:
        """The header's value by RFC 7617; "" without a user name."""
        name, password = self._user.text("username"), self._user.text("password")
        if (name or password) and self._user.text("token"):
            raise self._user.refused("username", "and a token are both given: give only one, as for kubectl")
        return f"Basic {base64.b64encode(f'{name}:{password}'.encode()).decode()}" if name else ""


def _oidc(provider: Fields) -> Fields:
    name = provider.text("name")
    if name != "oidc":
        raise provider.refused("name", f"is {one_line(name) or 'missing'}: kubectl supports only oidc here; use an exec plugin for others")
    config = provider.within("config")
    if config is None:
        raise provider.refused("config", "is needed")
    return config


def _impersonation(user: Fields) -> tuple[tuple[str, str], ...]:
    """The headers for the user to act as (Kubernetes documentation, "User impersonation")."""
    name, uid, groups, extra = user.text("as"), user.text("as-uid"), user.texts("as-groups"), user.within("as-user-extra")
    headers = [("Impersonate-User", user.header("as", name))]
    if uid:
        headers.append(("Impersonate-Uid", user.header("as-uid", uid)))
    headers += [("Impersonate-Group", user.header("as-groups", group)) for group in groups]
    for key in extra.names() if extra else ():
        escaped = quote(key, safe=_IN_A_HEADERS_NAME)
        headers += [(f"Impersonate-Extra-{escaped}", extra.header(key, value)) for value in extra.texts(key)] if extra else []
    if name:
        return tuple(headers)
    if len(headers) > 1:
        raise user.refused("as", "is needed with as-uid, as-groups and as-user-extra: it names the user")
    return ()
