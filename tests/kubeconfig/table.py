"""The table: a kubeconfig, what reaches the server when kubectl asks with it, and what the sidecar must do: the same, or refuse in words.

`$NAME` stands for what a run has: $HTTPS, $HTTP, $PROXY (URLs), $CA, $ME, $KEY (PEM in base64), $HERE (the row's folder).
"""

# ruff: noqa: E501 - a row is a line where it can be

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tests.kubeconfig.echo import Seen

NOBODY = Seen()
ME = Seen(certificate="me")
T = Seen("Bearer t")
V1 = "client.authentication.k8s.io/v1"


@dataclass(frozen=True)
class Row:
    """One kubeconfig. `kubectl` is None where kubectl itself lets nothing reach the server."""

    name: str
    files: Mapping[str, Any]
    """By name; what begins with `#!` is a program."""
    kubectl: Seen | None
    refused: tuple[str, ...] = ()
    """What the sidecar says at the start, file and field among it; empty where it must show what kubectl shows."""
    kubeconfig: str = "$HERE/config"


def config(cluster: Any = None, user: Any = None, **top: Any) -> dict[str, Any]:
    """A kubeconfig whose cluster and user are good but for what is given; None takes a field away."""
    clusters = {"server": "$HTTPS", "certificate-authority-data": "$CA"} | (cluster or {})
    users = {"token": "t"} if user is None else user
    whole = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {key: value for key, value in clusters.items() if value is not None}}],
        "users": [{"name": "u", "user": users}],
    } | {key.replace("_", "-"): value for key, value in top.items()}
    return {key: value for key, value in whole.items() if value is not None}


def of(name: str, shown: Seen | None, *refused: str, cluster: Any = None, user: Any = None, **top: Any) -> Row:
    """A row with one file."""
    return Row(name, {"config": config(cluster, user, **top)}, shown, refused)


def status(version: str = V1, given: str = "p", **fields: Any) -> str:
    """A plugin that gives this token and these."""
    answer = json.dumps({"apiVersion": version, "kind": "ExecCredential", "status": {"token": given} | fields})
    return f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n"


def jwt(claims: Mapping[str, Any]) -> str:
    """Unsigned, as nobody verifies it here."""
    payload = base64.urlsafe_b64encode(json.dumps(claims, ensure_ascii=False).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def plugin(name: str, shown: Seen | None, script: str, *refused: str, user: Any = None, cluster: Any = None, **fields: Any) -> Row:
    """A row with a plugin beside the file."""
    run = {"apiVersion": V1, "interactiveMode": "Never", "command": "./tok.sh"} | fields
    run = {key: value for key, value in run.items() if value is not None}
    return Row(name, {"config": config(cluster, {"exec": run} | (user or {})), "tok.sh": script}, shown, refused)


def oidc(name: str, shown: Seen | None, *refused: str, **fields: Any) -> Row:
    """A row with an id-token."""
    given = {"client-id": "k", "idp-issuer-url": "https://127.0.0.1:1"} | fields
    return of(name, shown, *refused, user={"auth-provider": {"name": "oidc", "config": {k: v for k, v in given.items() if v is not None}}})


BOTH = "both given"
CERTIFICATE = {"client-certificate-data": "$ME", "client-key-data": "$KEY"}
AGENT = {"as": "system:serviceaccount:shop:web"}
ACTS = (("impersonate-user", "system:serviceaccount:shop:web"),)
LONG = jwt({"exp": 9999999999, "name": "þ?ÿ>~"})
assert {"_", "-"} & set(LONG.split(".")[1]), "an id-token whose payload is base64url and not base64"

WHO = [
    of("a token", T),
    of("basic auth", Seen("Basic " + base64.b64encode(b"web:p:w").decode()), user={"username": "web", "password": "p:w"}),
    of("a user name alone", Seen("Basic " + base64.b64encode(b"web:").decode()), user={"username": "web"}),
    of("basic auth and a token", None, "users[u].user.username", BOTH, user={"username": "web", "password": "p", "token": "t"}),
    of("a client certificate", ME, user=CERTIFICATE),
    of("a client certificate and a token", Seen("Bearer t", certificate="me"), user=CERTIFICATE | {"token": "t"}),
    of("a certificate's file beside empty data", ME, user={"client-certificate": "me.pem", "client-key": "me.key", "client-certificate-data": "", "client-key-data": ""}),
    of("a certificate's data and a key's file", ME, user={"client-certificate-data": "$ME", "client-key": "me.key"}),
    of("a certificate's file and its data", None, "users[u].user.client-certificate-data", BOTH, user=CERTIFICATE | {"client-certificate": "me.pem"}),
    of("a certificate without its key", None, "users[u].user.client-key", user={"client-certificate": "me.pem", "token": "t"}),
    of("a key without its certificate", T, user={"client-key": "me.key", "token": "t"}),
    of("a certificate that is none", None, "users[u].user.client-certificate-data", user={"client-certificate-data": "anVuaw==", "client-key-data": "anVuaw=="}),
    of("data that is no base64", None, "users[u].user.client-certificate-data", "not base64", user={"client-certificate-data": "%%%", "client-key-data": "%%%"}),
    of("a certificate's file that is not there", None, "users[u].user.client-certificate", "gone.pem", user={"client-certificate": "gone.pem", "client-key": "me.key"}),
    of("a tokenFile", Seen("Bearer from-file"), user={"tokenFile": "token"}),
    of("a tokenFile and a token", Seen("Bearer from-file"), user={"tokenFile": "token", "token": "t"}),
    of("a tokenFile that is not there", None, "users[u].user.tokenFile", "gone", user={"tokenFile": "gone"}),
    of("a tokenFile that is not there and a token", T, "users[u].user.tokenFile", "gone", user={"tokenFile": "gone", "token": "t"}),
    of("a token with a line break", None, "users[u].user.token", user={"token": "t\nX-Remote-User: admin"}),
    of("a token that is a number", None, "users[u].user.token", "must be a string", user={"token": 12345}),
    of("a user that shows nothing", None, "users[u].user", "gives no credentials", user={}),
]  # fmt: skip
AS = [
    of("as", Seen("Bearer t", ACTS), user={"token": "t"} | AGENT),
    of("as, with a client certificate", Seen("", ACTS, "me"), user=CERTIFICATE | AGENT),
    of(
        "as, as-uid, as-groups, as-user-extra",
        Seen(
            "Bearer t",
            tuple(
                sorted([
                    *ACTS, ("impersonate-uid", "7"), ("impersonate-group", "a"), ("impersonate-group", "b c"),
                    ("impersonate-extra-scopes", "x"), ("impersonate-extra-scopes", "y"), ("impersonate-extra-a%2fb%25%c3%a9", "z"),
                ])
            ),
        ),
        user={"token": "t", "as-uid": "7", "as-groups": ["a", "b c"], "as-user-extra": {"scopes": ["x", "y"], "a/b%é": ["z"]}} | AGENT,
    ),
    of("as-groups alone", None, "users[u].user.as", user={"token": "t", "as-groups": ["system:masters"]}),
    of("as-uid alone", None, "users[u].user.as", user={"token": "t", "as-uid": "7"}),
    of("as-user-extra alone", None, "users[u].user.as", user={"token": "t", "as-user-extra": {"a": ["b"]}}),
    of("as-groups that are no list", None, "users[u].user.as-groups", user={"token": "t", "as-groups": "system:masters"} | AGENT),
    of("as with a line break", None, "users[u].user.as", user={"token": "t", "as": "web\nadmin"}),
    of("as, empty", T, user={"token": "t", "as": "", "as-groups": [], "as-uid": "", "as-user-extra": {}}),
]  # fmt: skip
WHERE = [
    of("a CA's file beside empty data", T, cluster={"certificate-authority": "ca.pem", "certificate-authority-data": ""}),
    of("a CA's file and its data", None, "clusters[c].cluster.certificate-authority-data", BOTH, cluster={"certificate-authority": "ca.pem"}),
    of("a CA that is none", None, "clusters[c].cluster.certificate-authority-data", cluster={"certificate-authority-data": "anVuaw=="}),
    of("a CA's file that is not there", None, "clusters[c].cluster.certificate-authority", "gone.pem",
       cluster={"certificate-authority": "gone.pem", "certificate-authority-data": None}),
    of("insecure-skip-tls-verify", T, cluster={"certificate-authority-data": None, "insecure-skip-tls-verify": True}),
    of("insecure-skip-tls-verify and a CA", None, "clusters[c].cluster.insecure-skip-tls-verify", cluster={"insecure-skip-tls-verify": True}),
    of("insecure-skip-tls-verify as a string", None, "clusters[c].cluster.insecure-skip-tls-verify", cluster={"insecure-skip-tls-verify": "true"}),
    of("tls-server-name", T, cluster={"server": "$BY_NAME", "tls-server-name": "127.0.0.1"}),
    of("another tls-server-name", T, cluster={"tls-server-name": "kubernetes.example"}),
    of("a server with a path", Seen("Bearer t", path="/k8s/clusters/c-1"), cluster={"server": "$HTTPS/k8s/clusters/c-1/"}),
    of("a server's scheme in capitals", T, cluster={"server": "$CAPITALS"}),
    of("a server without a scheme", None, "clusters[c].cluster.server", "http(s) URL", cluster={"server": "127.0.0.1:1"}),
    of("no server", None, "clusters[c].cluster.server", cluster={"server": None}),
    of("a server of another scheme", None, "clusters[c].cluster.server", cluster={"server": "ftp://127.0.0.1"}),
    of("an HTTP proxy", Seen("Bearer t", by_proxy=True), cluster={"proxy-url": "$PROXY"}),
    of("a SOCKS proxy", None, "clusters[c].cluster.proxy-url", "socks5 is not supported", cluster={"proxy-url": "socks5://127.0.0.1:1"}),
    of("a proxy that is no URL", None, "clusters[c].cluster.proxy-url", cluster={"proxy-url": "127.0.0.1:3128"}),
    of("a proxy of another scheme", None, "clusters[c].cluster.proxy-url", cluster={"proxy-url": "ftp://127.0.0.1:21"}),
    of("disable-compression", T, cluster={"disable-compression": True}),
    of("a token over plain HTTP", NOBODY, cluster={"server": "$HTTP", "certificate-authority-data": None}),
    of("a client certificate and basic auth over plain HTTP", NOBODY, cluster={"server": "$HTTP"}, user={"username": "web", "password": "p"} | CERTIFICATE),
    of("as over plain HTTP", Seen("", ACTS), cluster={"server": "$HTTP", "certificate-authority-data": None}, user={"token": "t"} | AGENT),
    of("no user over plain HTTP", NOBODY, cluster={"server": "$HTTP"}, users=None, contexts=[{"name": "x", "context": {"cluster": "c"}}]),
    plugin("a plugin over plain HTTP", NOBODY, status(), cluster={"server": "$HTTP", "certificate-authority-data": None}),
]  # fmt: skip
FILES = [
    Row("an empty file first", {"empty": "", "config": config()}, T, kubeconfig="$HERE/empty:$HERE/config"),
    Row("an empty file last", {"empty": "# nothing\n", "config": config()}, T, kubeconfig="$HERE/config:$HERE/empty"),
    Row("a file of nulls first", {"null": {"apiVersion": "v1", "kind": "Config", "clusters": None, "users": None, "contexts": None, "current-context": "",
                                           "preferences": None}, "config": config()}, T, kubeconfig="$HERE/null:$HERE/config"),
    Row("a file that is not there first", {"config": config()}, T, kubeconfig="$HERE/gone:$HERE/config:"),
    Row("the first that has a name wins", {"config": config(user={"token": "second"}, clusters=[]),
                                           "first": {"users": [{"name": "u", "user": {"token": "first"}}]},
                                           "last": config(user={"token": "third"}, current_context="y")},
        Seen("Bearer first"), kubeconfig="$HERE/first:$HERE/config:$HERE/last"),
    Row("the first wins whole", {"first": config(user={"as": "web"}), "last": config(user={"token": "t"})}, None,
        ("users[u].user", "gives no credentials"), kubeconfig="$HERE/first:$HERE/last"),
    Row("cluster and user in two folders", {
        "a/config": config({"certificate-authority-data": None, "certificate-authority": "here.pem"}, users=None), "a/here.pem": "$CA_PEM",
        "b/config": {"users": [{"name": "u", "user": {"client-certificate": "who.pem", "client-key": "keys/who.key"}}]},
        "b/who.pem": "$ME_PEM", "b/keys/who.key": "$KEY_PEM"}, ME, kubeconfig="$HERE/a/config:$HERE/b/config"),
    Row("a relative KUBECONFIG", {"config": config(user={"tokenFile": "token"})}, Seen("Bearer from-file"), kubeconfig="../config"),
    Row("a name twice in one file", {"config": config(users=[{"name": "u", "user": {"token": "t"}}, {"name": "u", "user": {"token": "s"}}])}, None, ("users", "twice")),
    Row("extensions and preferences", {"config": config(preferences={"colors": True, "extensions": []}, extensions=[{"name": "m", "extension": {"x": [1]}}], junk=7)}, T),
    Row("tabs in JSON", {"config": json.dumps(config(), indent="\t")}, T),
    Row("YAML with anchors", {"config": "base: &b {token: t}\ncurrent-context: x\ncontexts: [{name: x, context: {cluster: c, user: u}}]\n"
                                        "clusters:\n- name: c\n  cluster: {server: $HTTPS, certificate-authority-data: $CA}\nusers:\n- name: u\n  user: *b\n"}, T),
    Row("names that look like numbers and dates", {"config": "current-context: 2024-01-01\ncontexts: [{name: 2024-01-01, context: {cluster: '1', user: 10:30}}]\n"
        "clusters: [{name: '1', cluster: {server: $HTTPS, certificate-authority-data: $CA}}]\nusers: [{name: 10:30, user: {token: t}}]\n"}, T),
    Row("a name that is a number", {"config": "current-context: 7\n"}, None, ("current-context", "must be a string")),
    Row("no file", {}, None, ("$HERE/config", "names no file")),
    Row("a folder", {"config/x": ""}, None, ("$HERE/config", "cannot read")),
    Row("junk", {"config": "{{{ : -"}, None, ("$HERE/config", "not YAML")),
    Row("a list", {"config": "[1, 2]"}, None, ("$HERE/config", "must be a mapping")),
    Row("junk beside a good one", {"config": config(), "junk": "a: b: c"}, None, ("$HERE/junk", "not YAML"), kubeconfig="$HERE/config:$HERE/junk"),
    Row("another kind", {"config": config() | {"kind": "Pod"}}, None, ("$HERE/config", "kind")),
    Row("another version", {"config": config() | {"apiVersion": "v9"}}, None, ("$HERE/config", "apiVersion")),
    of("no current-context", None, "current-context", current_context=None),
    of("a current-context that is not there", None, "current-context", "gone", current_context="gone"),
    of("a cluster that is not there", None, "contexts[x].context.cluster", "gone", contexts=[{"name": "x", "context": {"cluster": "gone", "user": "u"}}]),
    of("a user that is not there", None, "contexts[x].context.user", "gone", contexts=[{"name": "x", "context": {"cluster": "c", "user": "gone"}}]),
    of("clusters that are no list", None, "clusters", "must be a list", clusters={"c": {}}),
]  # fmt: skip
PLUGIN = [
    plugin("a plugin by a relative path", Seen("Bearer p"), status()),
    plugin("a plugin's client certificate", ME, "#!/bin/sh\n" + 'cat "$(dirname "$0")/certificate.json"\n'),
    plugin("a plugin's certificate and token", Seen("Bearer p", certificate="me"), "#!/bin/sh\n" + 'cat "$(dirname "$0")/both.json"\n'),
    plugin("arguments and variables", Seen("Bearer a b-v"), '#!/bin/sh\necho "{\\"apiVersion\\":\\"' + V1 + '\\",\\"kind\\":\\"ExecCredential\\",\\"status\\":{\\"token\\":\\"$1-$V\\"}}"\n',
           args=["a b"], env=[{"name": "V", "value": "v"}]),
    plugin("provideClusterInfo", Seen("Bearer 111"), "#!/bin/sh\n" 'g() { printf %s "$KUBERNETES_EXEC_INFO" | grep -c "$1"; }\n'
           'echo "{\\"apiVersion\\":\\"' + V1 + '\\",\\"kind\\":\\"ExecCredential\\",\\"status\\":{\\"token\\":'
           '\\"$(g \'"server":\')$(g \'"certificate-authority-data":\')$(g \'"config":{"audience":"x"}\')\\"}}"\n',
           provideClusterInfo=True, cluster={"extensions": [{"name": "client.authentication.k8s.io/exec", "extension": {"audience": "x"}}]}),
    plugin("no provideClusterInfo", Seen("Bearer 0"), "#!/bin/sh\n" 'echo "{\\"apiVersion\\":\\"' + V1 + '\\",\\"kind\\":\\"ExecCredential\\",\\"status\\":{\\"token\\":'
           '\\"$(printf %s "$KUBERNETES_EXEC_INFO" | grep -c cluster)\\"}}"\n'),
    plugin("v1beta1, which needs no interactiveMode", Seen("Bearer p"), status(V1 + "beta1", given="p"), apiVersion=V1 + "beta1", interactiveMode=None),
    plugin("v1alpha1", None, status(V1 + "alpha1", given="p"), "users[u].user.exec.apiVersion", "v1alpha1", apiVersion=V1 + "alpha1"),
    plugin("no apiVersion", None, status(), "users[u].user.exec.apiVersion", apiVersion=None),
    plugin("v1 without interactiveMode", None, status(), "users[u].user.exec.interactiveMode", interactiveMode=None),
    plugin("interactiveMode: IfAvailable", Seen("Bearer p"), status(), interactiveMode="IfAvailable"),
    plugin("interactiveMode: Always", None, status(), "users[u].user.exec.interactiveMode", "Always", interactiveMode="Always"),
    plugin("another interactiveMode", None, status(), "users[u].user.exec.interactiveMode", interactiveMode="never"),
    plugin("another version in the answer", None, status(V1 + "beta1", given="p"), "users[u].user.exec.command", "answered in version"),
    plugin("a plugin that fails", None, "#!/bin/sh\necho log in first >&2; exit 3\n", "users[u].user.exec.command", "exit code 3", "log in first"),
    plugin("a plugin that is not there", None, "", "users[u].user.exec.command", "cannot be run", "brew install it", command="no-such-plugin", installHint="brew install it"),
    plugin("a plugin that may not be run", None, "no program", "users[u].user.exec.command", "cannot be run"),
    plugin("a plugin that prints junk", None, "#!/bin/sh\necho hello\n", "users[u].user.exec.command", "no JSON"),
    plugin("a plugin that gives nothing", None, status(given=""), "users[u].user.exec.command", "neither a token nor"),
    plugin("a plugin that gives half a pair", None, status(given="", clientCertificateData="x"), "users[u].user.exec.command", "only one of"),
    plugin("no command", None, "", "users[u].user.exec.command", command=None),
    plugin("an argument that is a number", None, status(), "users[u].user.exec.args", args=[7]),
    plugin("a variable without a name", None, status(), "users[u].user.exec.env", env=[{"value": "v"}]),
    plugin("a plugin beside a token", T, status(), user={"token": "t"}),
    plugin("a plugin beside a client certificate", ME, status(), user=CERTIFICATE),
    plugin("a plugin beside an auth-provider", None, status(), "users[u].user.exec", BOTH, user={"auth-provider": {"name": "oidc"}}),
    plugin("a plugin that says much on stderr", Seen("Bearer p"), status() + "head -c 300000 /dev/zero | tr '\\0' x >&2\n"),
]  # fmt: skip
OIDC = [
    oidc("an id-token with _ and -", Seen(f"Bearer {LONG}"), **{"id-token": LONG}),
    oidc("an id-token and a client-secret", Seen(f"Bearer {LONG}"), **{"id-token": LONG, "client-secret": "s"}),
    oidc("an id-token that has ended", None, "auth-provider.config.id-token", "has ended", **{"id-token": jwt({"exp": 1})}),
    oidc("an id-token without an end", None, "auth-provider.config.id-token", **{"id-token": jwt({})}),
    oidc("an id-token that is none", None, "auth-provider.config.id-token", **{"id-token": "a.b"}),
    oidc("an issuer that does not answer", None, "auth-provider.config.idp-issuer-url", **{"refresh-token": "r"}),
    oidc("no issuer", None, "auth-provider.config.idp-issuer-url", **{"id-token": LONG, "idp-issuer-url": None}),
    oidc("no client-id", None, "auth-provider.config.client-id", **{"id-token": LONG, "client-id": None}),
    of("an auth-provider that is gone", None, "users[u].user.auth-provider.name", "gcp", user={"auth-provider": {"name": "gcp", "config": {"access-token": "t"}}}),
    of("an auth-provider beside a token", T, user={"token": "t", "auth-provider": {"name": "oidc", "config": {"client-id": "k", "idp-issuer-url": "https://x"}}}),
]  # fmt: skip
ROWS = [*WHO, *AS, *WHERE, *FILES, *PLUGIN, *OIDC]
