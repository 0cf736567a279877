"""A real kube-apiserver on a real etcd, on loopback, with real RBAC and a certificate of a CA of its own."""

import csv
import itertools
import json
import os
import secrets
import signal
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import trustme
import yaml

from tests.apiserver.ports import free_port
from tests.binaries.build import ensure

USERS = 400
JSON = dict[str, Any]


class ApiServer:
    """etcd and kube-apiserver as processes. Users `sidecar-0` … have tokens and no right until `bind` gives them one."""

    def __init__(self, *, audit: bool = False, flags: Sequence[str] = ()) -> None:
        """With `audit` each request on a Lease leaves a line in `audit_log`, when it is answered (a watch: when it begins as well).

        `flags`: more of kube-apiserver's.
        """
        programs = ensure("kube-apiserver", "etcd", "kubectl")
        self._apiserver, self._etcd, self.kubectl_program = (str(programs[name]) for name in ("kube-apiserver", "etcd", "kubectl"))
        self._folder = tempfile.TemporaryDirectory(prefix="leader-sidecar-apiserver-")
        self.folder = Path(self._folder.name)
        self.port = free_port()
        self._etcd_port, self._peer_port = free_port(), free_port()
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._users = itertools.count()  # fields are made side by side
        self._namespaces = 0
        self._tokens = [secrets.token_hex(16) for _ in range(USERS)]
        self._admin_token = secrets.token_hex(16)
        self.audit_log = self.folder / "audit.jsonl"
        self._audits = audit
        self._flags = flags
        self._write_files()

    def _write_files(self) -> None:
        authority = trustme.CA()
        authority.cert_pem.write_to_path(self.folder / "ca.crt")
        certificate = authority.issue_cert("127.0.0.1", "localhost", "::1")
        certificate.private_key_pem.write_to_path(self.folder / "tls.key")
        certificate.private_key_and_cert_chain_pem.write_to_path(self.folder / "tls.crt")
        authority.issue_cert("service-accounts.test").private_key_pem.write_to_path(self.folder / "sa.key")
        with (self.folder / "tokens.csv").open("w", newline="") as file:
            rows = csv.writer(file)
            rows.writerow([self._admin_token, "admin", "admin", "system:masters"])
            rows.writerows([token, f"sidecar-{number}", f"sidecar-{number}"] for number, token in enumerate(self._tokens))
        leases = {"level": "Metadata", "resources": [{"group": "coordination.k8s.io", "resources": ["leases"]}]}
        policy: JSON = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "omitStages": ["RequestReceived"]}
        policy["rules"] = [leases, {"level": "None"}]
        (self.folder / "audit.yaml").write_text(yaml.safe_dump(policy), encoding="utf-8")
        self.ssl = ssl.create_default_context(cafile=str(self.folder / "ca.crt"))
        self.admin_kubeconfig = self.kubeconfig(self._admin_token, self.folder / "admin.kubeconfig")

    # ---- processes ----------------------------------------------------------------------------------------------------------------

    def start(self) -> "ApiServer":
        """Start both and wait until the API server is ready."""
        client, peer = f"http://127.0.0.1:{self._etcd_port}", f"http://127.0.0.1:{self._peer_port}"
        self._run(
            "etcd", self._etcd, f"--data-dir={self.folder}/etcd", f"--listen-client-urls={client}", f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}", f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}", "--unsafe-no-fsync",
        )  # fmt: skip
        self.start_apiserver()
        return self

    def start_apiserver(self) -> None:
        """Start kube-apiserver, on the port it always has."""
        self._run(
            "kube-apiserver", self._apiserver, f"--etcd-servers=http://127.0.0.1:{self._etcd_port}", f"--cert-dir={self.folder}",
            f"--secure-port={self.port}", "--bind-address=127.0.0.1", "--service-cluster-ip-range=10.96.0.0/16",
            f"--tls-cert-file={self.folder}/tls.crt", f"--tls-private-key-file={self.folder}/tls.key",
            "--service-account-issuer=https://kubernetes.default.svc", f"--service-account-key-file={self.folder}/sa.key",
            f"--service-account-signing-key-file={self.folder}/sa.key", "--authorization-mode=RBAC",
            f"--token-auth-file={self.folder}/tokens.csv", "--disable-admission-plugins=ServiceAccount", "--endpoint-reconciler-type=none",
            "--shutdown-delay-duration=0s",
            *([f"--audit-policy-file={self.folder}/audit.yaml", f"--audit-log-path={self.audit_log}"] if self._audits else []),
            *self._flags,
        )  # fmt: skip
        end = time.monotonic() + 60
        while not self._ready():
            if self._processes["kube-apiserver"].poll() is not None or time.monotonic() > end:
                tail = (self.folder / "kube-apiserver.log").read_text(encoding="utf-8")[-3000:]
                raise RuntimeError(f"kube-apiserver did not get ready:\n{tail}")
            time.sleep(0.1)

    def _ready(self) -> bool:
        try:
            return self.request("GET", "/readyz", limit_seconds=2)[0] == 200
        except OSError:
            return False

    def _run(self, name: str, *command: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            self._processes[name] = subprocess.Popen(command, stdout=log, stderr=log, cwd=self.folder)

    @property
    def apiserver_pid(self) -> int:
        """The process id of kube-apiserver."""
        return self._processes["kube-apiserver"].pid

    def pause(self) -> None:
        """Stop the API server's process in its tracks: connections stay open, nothing is answered."""
        os.kill(self._processes["kube-apiserver"].pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.kill(self._processes["kube-apiserver"].pid, signal.SIGCONT)

    def kill_apiserver(self) -> None:
        """End the API server at once: connections are refused until `start_apiserver`."""
        self._processes["kube-apiserver"].kill()
        self._processes["kube-apiserver"].wait(20)

    def stop(self) -> None:
        """End both."""
        for process in self._processes.values():
            process.kill()
            process.wait(20)
        self._folder.cleanup()

    # ---- the administrator --------------------------------------------------------------------------------------------------------

    def request(  # noqa: PLR0913 - what a request may carry
        self,
        method: str,
        path: str,
        body: object = None,
        kind: str = "application/json",
        limit_seconds: float = 10,
        *,
        token: str | None = None,
    ) -> tuple[int, JSON]:
        """One request of the administrator, or of whose `token` it is: status and JSON, of an error as well."""
        request = urllib.request.Request(
            f"https://127.0.0.1:{self.port}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token or self._admin_token}", "Content-Type": kind},
        )
        try:
            with urllib.request.urlopen(request, timeout=limit_seconds, context=self.ssl) as response:  # noqa: S310
                status, text = response.status, response.read()
        except urllib.error.HTTPError as error:
            status, text = error.code, error.read()
        try:
            found = json.loads(text)
        except ValueError:
            found = {"text": text.decode(errors="replace")}
        return status, found if isinstance(found, dict) else {"items": found}

    def lease(self, namespace: str, name: str = "web") -> JSON | None:
        """The API server's own record; None where it is missing."""
        status, found = self.request("GET", f"{_leases(namespace)}/{name}")
        return found if status == 200 else None

    def patch_lease(self, namespace: str, patch: JSON, name: str = "web") -> JSON:
        """A merge patch of the administrator's."""
        status, found = self.request("PATCH", f"{_leases(namespace)}/{name}", patch, "application/merge-patch+json")
        assert status == 200, found
        return found

    def create_lease(self, namespace: str, lease: JSON | None = None, name: str = "web") -> JSON:
        """A new Lease, without a spec unless given one."""
        body = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": {"name": name}} | (lease or {})
        status, found = self.request("POST", _leases(namespace), body)
        assert status == 201, found
        return found

    def delete_lease(self, namespace: str, name: str = "web") -> None:
        """Delete it."""
        status, found = self.request("DELETE", f"{_leases(namespace)}/{name}")
        assert status == 200, found

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """What kubectl prints for the administrator."""
        environment = {**os.environ, "KUBECONFIG": str(self.admin_kubeconfig)}
        done = subprocess.run(
            [self.kubectl_program, *arguments], input=stdin, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def namespace(self) -> str:
        """A new namespace."""
        self._namespaces += 1
        name = f"test-{self._namespaces}-{secrets.token_hex(3)}"
        self.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        return name

    def apply(self, *manifests: JSON, namespace: str | None = None) -> None:
        """`kubectl apply` of these objects."""
        where = ["--namespace", namespace] if namespace else []
        self.kubectl("apply", *where, "-f", "-", stdin=yaml.safe_dump_all(manifests))

    def user(self) -> tuple[str, str]:
        """A user that nobody else has, and its token."""
        number = next(self._users)
        return f"sidecar-{number}", self._tokens[number]

    def bind(self, namespace: str, user: str, role: JSON) -> None:
        """Apply a Role and bind that user to it."""
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": role["metadata"]["name"]}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}
        binding = {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "RoleBinding",
            "metadata": {"name": f"{role['metadata']['name']}-{user}"},
            "roleRef": reference,
            "subjects": [subject],
        }
        self.apply(role, binding, namespace=namespace)

    def kubeconfig(self, token: str, path: Path, port: int | None = None, token_file: Path | None = None, namespace: str = "") -> Path:
        """A kubeconfig for that token, through a proxy's port if one is given."""
        user = {"tokenFile": str(token_file)} if token_file is not None else {"token": token}
        cluster = {"server": f"https://127.0.0.1:{port or self.port}", "certificate-authority": str(self.folder / "ca.crt")}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "test",
            "clusters": [{"name": "test", "cluster": cluster}],
            "users": [{"name": "test", "user": user}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace or "default"}}],
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")
        path.chmod(0o600)
        return path


def _leases(namespace: str) -> str:
    return f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases"
