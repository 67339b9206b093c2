"""A stand-in for the Kubernetes API, for the real `kubernetes` client over real HTTP: the fixture `kubernetes_api`.

It stores objects, evaluates Roles and RoleBindings (OpenShift AI's own for pipeline-runner-dspa, and ours as shipped),
refuses in the API server's words, and plays histories: what happens to an object after it was created. What it cannot
show: schemas and webhooks (a test hands in its own with `check`), controllers (a test plays them), a cluster's timing.

Why not kmock (0.8): its server stores objects too, and has no accounts, RBAC, access reviews, uids, label selectors,
refusals in the API's words or plans for later; all of that would stand on top of its asyncio loop.
"""

from __future__ import annotations

import copy
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest
import yaml

from helpers.runtime import account
from helpers.runtime.workspace import ROOT
from tests.plugins.certificates import make_certificates
from tests.plugins.kube import replies
from tests.plugins.kube.objects import Key, Objects
from tests.plugins.kube.resources import BY_KIND
from tests.plugins.kube.rules import EVERYTHING, Rules, runner_role
from tests.plugins.kube.server import Handler, Request

NAMESPACE = "evaluation"
RUNNER = f"system:serviceaccount:{NAMESPACE}:pipeline-runner-dspa"
SHIPPED = ROOT / "runtime-images" / "openshift" / "project"
Change = dict | Callable[["KubernetesApi", dict], object]
WITH_STATUS = ("InferenceService", "Deployment", "ReplicaSet", "Pod", "Node", "DataSciencePipelinesApplication")


@dataclass
class KubernetesApi:
    """A running stand-in. Times are in planned seconds: `objects.speed` says how much faster those run."""

    address: str = ""
    namespace: str = NAMESPACE
    folder: Path = Path()
    authority: Path | None = None  # who signed its certificate, where it speaks https
    objects: Objects = field(default_factory=Objects)
    rules: Rules = field(default_factory=Rules)
    users: dict[str, str] = field(default_factory=lambda: {"runner-token": RUNNER, "admin-token": "admin"})
    requests: list[Request] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)  # statuses of the next answers; 0 answers, -1 hangs up
    unanswered: list[str] = field(default_factory=list)  # verbs whose next request is done and not answered
    unserved: set[str] = field(default_factory=set)  # resources that this cluster does not have
    deletion_seconds: dict[str, float] = field(default_factory=dict)  # kind -> until a deleted object is gone
    errors: list[Exception] = field(default_factory=list)  # of hooks
    _histories: list[tuple[str, str, Sequence[tuple[float, Change]]]] = field(default_factory=list)
    _hooks: list[tuple[str, Callable[[dict], object]]] = field(default_factory=list)
    _checks: list[tuple[str, Callable[[dict], list[str]]]] = field(default_factory=list)
    _logs: dict[tuple[str, str, bool], str] = field(default_factory=dict)
    _threads: list[threading.Thread] = field(default_factory=list)

    # What a controller or an administrator does: nobody asks for rights here.

    def put(self, manifest: dict) -> dict:
        """Create an object as it is, with its status, or merge it into the one of that name."""
        key = self._key(manifest["kind"], manifest["metadata"]["name"], manifest["metadata"].get("namespace", ""))
        with self.objects.lock:
            try:
                return self.objects.create(key, manifest)
            except replies.Refusal:
                return self.objects.merge(key, manifest)

    def change(self, kind: str, name: str, change: dict, namespace: str = "") -> dict:
        """Merge a change into an object, its status too."""
        return self.objects.merge(self._key(kind, name, namespace), change)

    def get(self, kind: str, name: str, namespace: str = "") -> dict:
        return self.objects.get(self._key(kind, name, namespace))

    def all(self, kind: str) -> list[dict]:
        return self.objects.list(BY_KIND[kind])

    def remove(self, kind: str, name: str, namespace: str = "") -> None:
        self.objects.delete(self._key(kind, name, namespace))

    def log(self, pod: str, text: str, *, container: str = "", previous: bool = False) -> None:
        """Say what a pod's container has written; without a container all of them."""
        self._logs[pod, container, previous] = text

    # What is going to happen

    def play(self, kind: str, history: Sequence[tuple[float, Change]], *, name: str = "") -> None:
        """After an object of that kind was created let `change` happen at each second, counted from the creation.

        A dict is merged into the object; anything else is called with this stand-in and the object.
        """
        self._histories.append((kind, name, history))

    def on_create(self, kind: str, call: Callable[[dict], object]) -> None:
        """Call something in a thread of its own with each created object; its errors are in `errors`."""
        self._hooks.append((kind, call))

    def after(self, seconds: float, call: Callable[[], None]) -> None:
        """Let something happen later."""
        self.objects.plan(seconds, call)

    def check(self, kind: str, call: Callable[[dict], list[str]]) -> None:
        """Refuse (422) to create objects for which `call` returns causes, worded as `field: what is wrong`."""
        self._checks.append((kind, call))

    def fail(self, *statuses: int) -> None:
        """Answer the next requests with these statuses; -1 hangs up without an answer."""
        self.failures.extend(statuses)

    def fail_after(self, verb: str) -> None:
        """Do what the next request of that verb asks for, and hang up instead of answering."""
        self.unanswered.append(verb)

    def kubeconfig(self, *, token: str = "runner-token", namespace: str = "", name: str = "kubeconfig") -> Path:
        """Write a kubeconfig for an account and return its path."""
        cluster: dict = {"server": self.address}
        if self.authority:
            cluster["certificate-authority"] = str(self.authority)
        context = {"cluster": "here", "user": "me", "namespace": namespace or self.namespace}
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "here",
            "clusters": [{"name": "here", "cluster": cluster}], "users": [{"name": "me", "user": {"token": token}}],
            "contexts": [{"name": "here", "context": context}],
        }  # fmt: skip
        path = self.folder / name
        path.write_text(yaml.safe_dump(config))
        return path

    # For the HTTP side

    def admit(self, key: Key, body: dict) -> dict:
        """Create an object as a client may: checked, without a status of its own, and with its future planned."""
        if causes := [cause for kind, call in self._checks if kind == key[0].kind for cause in call(body)]:
            raise replies.invalid(key[0], key[2], causes)
        sent = {name: part for name, part in body.items() if name != "status" or key[0].kind not in WITH_STATUS}
        item = self.objects.create(key, sent)
        for kind, name, history in self._histories:
            if kind == key[0].kind and name in ("", key[2]):
                for seconds, change in history:
                    self.objects.plan(seconds, lambda change=change: self._happen(key, item["metadata"]["uid"], change))
        for kind, call in self._hooks:
            if kind == key[0].kind:
                self._threads.append(threading.Thread(target=self._call, args=(call, item), daemon=True))
                self._threads[-1].start()
        return item

    def read_log(self, key: Key, query: dict[str, str]) -> str:
        self.objects.get(key)
        previous = query.get("previous") == "true"
        container = query.get("container", "")
        text = self._logs.get((key[2], container, previous), self._logs.get((key[2], "", previous)))
        if text is None:
            state = "previous terminated container" if previous else "container"
            raise replies.bad_request(f'{state} "{container}" in pod "{key[2]}" is waiting to start or not found')
        lines = text.splitlines(keepends=True)
        return "".join(lines[-int(query["tailLines"]) :] if "tailLines" in query else lines)

    def _happen(self, key: Key, uid: str, change: Change) -> None:
        try:
            item = self.objects.get(key)
        except replies.Refusal:
            return
        if item["metadata"]["uid"] != uid:
            return
        if isinstance(change, dict):
            self.objects.merge(key, change)
        else:
            change(self, item)

    def _call(self, call: Callable[[dict], object], item: dict) -> None:
        try:
            call(copy.deepcopy(item))
        except Exception as error:  # noqa: BLE001, shown when the fixture ends
            self.errors.append(error)

    def _key(self, kind: str, name: str, namespace: str) -> Key:
        resource = BY_KIND[kind]
        return resource, (namespace or self.namespace) if resource.namespaced else "", name


@contextmanager
def serving_kubernetes(folder: Path, *, tls: bool = False) -> Iterator[KubernetesApi]:
    """Serve an empty cluster on this machine until the block ends; kubeconfigs are written into the folder."""
    certificates = make_certificates(folder) if tls else None
    api = KubernetesApi(folder=folder, authority=certificates and certificates.authority)
    handler = type("Handler", (Handler,), {"api": api})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if certificates:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates.server)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    api.address = f"http{'s' if tls else ''}://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
        for hook in api._threads:
            hook.join(timeout=60)
    if api.errors:
        raise api.errors[0]


def shipped_rbac() -> list[dict]:
    """Return the Roles and RoleBindings of runtime-images/openshift/project as they stand in the repository."""
    documents = [
        item for path in sorted(SHIPPED.glob("*.yaml")) for item in yaml.safe_load_all(path.read_text()) if item
    ]
    return [item for item in documents if item["kind"] in ("Role", "RoleBinding")]


@contextmanager
def project(folder: Path, *, tls: bool = False) -> Iterator[KubernetesApi]:
    """Serve a cluster with the project `evaluation`, set up as the repository's manifests do it."""
    with serving_kubernetes(folder, tls=tls) as api:
        api.rules.grant("admin", EVERYTHING)
        api.rules.grant(RUNNER, runner_role(), NAMESPACE)
        api.rules.bind(shipped_rbac(), NAMESPACE)
        api.put({"kind": "Namespace", "metadata": {"name": NAMESPACE}})
        yield api


@pytest.fixture
def kubernetes_api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesApi]:
    """Give a test a cluster, seen as pipeline-runner-dspa through KUBECONFIG."""
    with project(tmp_path) as api:
        monkeypatch.setenv("KUBECONFIG", str(api.kubeconfig()))
        yield api


@pytest.fixture
def pod(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[KubernetesApi]:
    """Let a test run as in a pod of that account: its variables, its mounted token and certificates, https."""
    with project(tmp_path, tls=True) as api:
        assert api.authority
        mounted = tmp_path / "serviceaccount"
        mounted.mkdir()
        contents = {"token": "runner-token\n", "namespace": NAMESPACE, "ca.crt": api.authority.read_text()}
        for name, text in contents.items():
            (mounted / name).write_text(text)
        monkeypatch.setattr(account, "FOLDER", mounted)
        host, _, port = api.address.removeprefix("https://").partition(":")
        monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)
        monkeypatch.setenv("KUBERNETES_SERVICE_PORT", port)
        yield api
