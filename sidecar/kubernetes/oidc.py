"""Kubeconfigs with an id-token (OpenID Connect Core 1.0): the token is shown while it is valid, then the refresh-token gets a new one.

kubernetes_asyncio asks the issuer; it is loaded when an id-token has ended. The TLS context is ours: without an idp-certificate-authority
the library would verify no certificate. The new tokens are kept in memory: unlike kubectl, the sidecar writes to no kubeconfig.
"""

import base64
import binascii
import json
import ssl
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote_plus

from sidecar.clock import NS_PER_SECOND, Clock
from sidecar.kubernetes.credentials import ConfigurationError, one_line
from sidecar.kubernetes.kubeconfig_fields import Fields

LIMIT_SECONDS: Final = 30.0
_US: Final = NS_PER_SECOND // 1000
_EARLY_US: Final = 10 * _US
"""So long before its end an id-token counts as ended, as in client-go."""

_kept: Final[dict[str, tuple[str, str]]] = {}
"""By a kubeconfig's refresh-token: the id-token that the issuer gave for it, and the next refresh-token."""


async def id_token(config: Fields, clock: Clock) -> tuple[str, int]:
    """A valid id-token, and when it ends, in microseconds since the Unix epoch. Raises ConfigurationError."""
    for needed in ("idp-issuer-url", "client-id"):
        if not config.text(needed):
            raise config.refused(needed, "is needed, as kubectl needs it")
    refresh_token = config.text("refresh-token")
    kept, next_refresh_token = _kept.get(refresh_token, ("", refresh_token))
    for valid in (config.text("id-token"), kept):
        ends_us = _ends_us(valid, config, "id-token") if valid else 0
        if ends_us > clock.wall_us():
            return valid, ends_us
    if not refresh_token:
        raise config.refused("id-token", "is missing or has ended, and there is no refresh-token: log in again, as for kubectl")
    answer = await _refresh(config, next_refresh_token, clock)
    token = answer.get("id_token")
    if not isinstance(token, str):
        raise config.refused("idp-issuer-url", "gave no id_token for the refresh-token: log in again, with the scope openid")
    following = answer.get("refresh_token")
    _kept[refresh_token] = (token, following if isinstance(following, str) and following else next_refresh_token)
    return token, _ends_us(token, config, "idp-issuer-url")


def _ends_us(token: str, config: Fields, field: str) -> int:
    """The end of a JWT by its claim `exp` (RFC 7519 section 4.1.4), less _EARLY_US."""
    config.header(field, token)
    try:
        _, payload, _ = token.split(".")
        claims = json.loads(base64.b64decode(payload + "=" * (-len(payload) % 4), altchars=b"-_", validate=True))
        return int(float(claims.get("exp") or 0) * _US) - _EARLY_US
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError, binascii.Error):
        raise config.refused(field, "holds or gives an id-token that is no JWT") from None


async def _refresh(config: Fields, refresh_token: str, clock: Clock) -> dict[str, Any]:
    import aiohttp
    from kubernetes_asyncio.config.openid import OpenIDRequestor

    trusted = _trusted(config)
    client = {"client_id": config.text("client-id"), "client_secret": config.text("client-secret")}
    named = base64.b64encode(":".join(map(quote_plus, client.values())).encode()).decode()

    def session(**headers: str) -> aiohttp.ClientSession:
        # As the library's session: a proxy in the environment counts for the issuer, as it does for kubectl.
        connector = aiohttp.TCPConnector(ssl=trusted)
        return aiohttp.ClientSession(
            headers={"Accept": "application/json"} | headers, connector=connector, raise_for_status=True, trust_env=True
        )

    class Requestor(OpenIDRequestor):
        def _client_session(self) -> aiohttp.ClientSession:
            return session(Authorization=f"Basic {named}")

        async def _post(self, known: aiohttp.ClientSession, url: str, data: dict[str, str]) -> Any:
            """Send client name and secret in the header, else in the body (RFC 6749 section 2.3.1), there without a missing secret."""
            try:
                return await super()._post(known, url, data=data)
            except aiohttp.ClientResponseError as error:
                if error.status > HTTPStatus.FORBIDDEN:
                    raise
            async with session() as unknown:
                return await super()._post(unknown, url, data=data | {name: value for name, value in client.items() if value})

    requestor = Requestor(client["client_id"], client["client_secret"], config.text("idp-issuer-url"))
    try:
        async with clock.timeout(LIMIT_SECONDS):
            answer = await requestor.refresh_token(refresh_token)
    except Exception as error:  # the library meets junk with whatever exception comes of it
        why = "no answer in time" if isinstance(error, TimeoutError) else one_line(error, 200) or type(error).__name__
        raise config.refused("idp-issuer-url", f"gives no id-token for the refresh-token: {why}") from error
    if not isinstance(answer, dict):
        raise config.refused("idp-issuer-url", "gives no id-token for the refresh-token: its answer is no object")
    return answer


def _trusted(config: Fields) -> ssl.SSLContext:
    data, file = config.data("idp-certificate-authority-data"), config.path("idp-certificate-authority")
    try:
        return ssl.create_default_context(cafile=None if data else file, cadata=data.decode("ascii", "replace") if data else None)
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{config.name('idp-certificate-authority')} cannot be used: {one_line(error)}") from error
