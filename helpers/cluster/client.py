"""The Kubernetes API as one account sees it: where it is, the few verbs that the stages need, and its refusals."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from helpers.cluster.transport import Reply, Transport
from helpers.errors import AssayError, ClusterRefused, ClusterUnreachable, Forbidden, NotFound
from helpers.runtime import account

if TYPE_CHECKING:
    from kubernetes.client import ApiClient

Object = dict[str, Any]  # an object of the API as JSON
PAGE = 500
DONE = (200, 201, 202)
SET_UP = "runtime-images/openshift/project"
# How RBAC words a refusal; quotas and webhooks refuse with 403 too, in other words.
DENIED = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]*)"')
ACCOUNT = re.compile(r"system:serviceaccount:(?P<namespace>[^:]+):(?P<name>[^:]+)$")
HOME_FILE = "~/.kube/config"
EVERYWHERE = "*"  # in the place of a namespace: all of them
DO_LOGIN = "Log in with `oc login`, or name a kubeconfig file in KUBECONFIG"


def connect(namespace: str = "", *, timeout: float | None = None) -> Cluster:
    """Return the cluster; without a namespace it is the kubeconfig's or the pod's own.

    `timeout` is how long each call is asked again, in seconds, None for two minutes. Raises ClusterUnreachable where
    nothing says where the cluster is; whether it answers shows in the first call.
    """
    given = os.environ.get("KUBECONFIG", "")
    if not given and account.in_pod():
        client, own = _from_pod(), account.namespace()
    else:
        client, own = _from_file(given or os.path.expanduser(HOME_FILE))
    return Cluster(Transport(client, timeout), namespace or own or "default")


def configured() -> bool:
    """Return whether anything says here where a cluster is."""
    return account.in_pod() or _is_there(os.environ.get("KUBECONFIG", "") or HOME_FILE)


def _is_there(path: str) -> bool:
    return any(Path(part).expanduser().is_file() for part in path.split(os.pathsep))


def _from_pod() -> ApiClient:
    from kubernetes.client import ApiClient, Configuration

    host, port = os.environ["KUBERNETES_SERVICE_HOST"], os.environ.get("KUBERNETES_SERVICE_PORT") or "443"
    configuration = Configuration(host=f"https://[{host}]:{port}" if ":" in host else f"https://{host}:{port}")
    configuration.ssl_ca_cert = str(account.FOLDER / "ca.crt")
    # The kubelet writes the token anew before it expires; it is read for each request, and stripped.
    configuration.refresh_api_key_hook = _renew
    _renew(configuration)
    return ApiClient(configuration)


def _renew(configuration: object) -> None:
    configuration.api_key = {"authorization": f"Bearer {account.service_account_token()}"}  # type: ignore[attr-defined]


def _from_file(path: str) -> tuple[ApiClient, str]:
    """Return a client and the namespace of the current context; nothing of the file's content is ever shown."""
    from kubernetes.client import Configuration
    from kubernetes.config import list_kube_config_contexts, new_client_from_config

    if not _is_there(path):
        raise ClusterUnreachable(f"There is no cluster: {path} is not there and this is no pod", do=DO_LOGIN)
    try:
        _, active = list_kube_config_contexts(path)
        client = new_client_from_config(path, persist_config=False, client_configuration=Configuration())
        return client, str(active["context"].get("namespace") or "")
    except Exception as error:  # noqa: BLE001, the client raises whatever a malformed file makes it stumble over
        # Neither the message nor the cause is passed on: a YAML error quotes the line, which may hold a token.
        reason = f"The kubeconfig {path} cannot be used ({type(error).__name__})"
    raise ClusterUnreachable(reason, do=DO_LOGIN)


class Kind(NamedTuple):
    """One kind: API group ("" is the core), version, the resource's name in paths, and whether it has a namespace."""

    group: str
    version: str
    plural: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """`group/version`, or the version alone for the core."""
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def resource(self) -> str:
        """The name that RBAC and error messages use, for example `inferenceservices.serving.kserve.io`."""
        return f"{self.plural}.{self.group}" if self.group else self.plural

    def path(self, namespace: str, *parts: str) -> str:
        """Return the path of the collection in a namespace, or of an object in it."""
        root = f"/apis/{self.api_version}" if self.group else f"/api/{self.version}"
        place = f"/namespaces/{quote(namespace, safe='')}" if self.namespaced and namespace != EVERYWHERE else ""
        return "/".join([f"{root}{place}/{self.plural}", *(quote(part, safe="") for part in parts)])


KINDS = {
    "InferenceService": Kind("serving.kserve.io", "v1beta1", "inferenceservices"),
    "ServingRuntime": Kind("serving.kserve.io", "v1alpha1", "servingruntimes"),
    "Pod": Kind("", "v1", "pods"),
    "Service": Kind("", "v1", "services"),
    "Secret": Kind("", "v1", "secrets"),
    "Event": Kind("", "v1", "events"),
    "ResourceQuota": Kind("", "v1", "resourcequotas"),
    "LimitRange": Kind("", "v1", "limitranges"),
    "Node": Kind("", "v1", "nodes", namespaced=False),
    "Namespace": Kind("", "v1", "namespaces", namespaced=False),
    "Deployment": Kind("apps", "v1", "deployments"),
    "ImageStream": Kind("image.openshift.io", "v1", "imagestreams"),
    "LMEvalJob": Kind("trustyai.opendatahub.io", "v1alpha1", "lmevaljobs"),
    "PrometheusRule": Kind("monitoring.coreos.com", "v1", "prometheusrules"),
    "PodMetrics": Kind("metrics.k8s.io", "v1beta1", "pods"),
    "Workflow": Kind("argoproj.io", "v1alpha1", "workflows"),
    "DataSciencePipelinesApplication": Kind(
        "datasciencepipelinesapplications.opendatahub.io", "v1", "datasciencepipelinesapplications"
    ),
    "SelfSubjectAccessReview": Kind("authorization.k8s.io", "v1", "selfsubjectaccessreviews", namespaced=False),
    "LocalSubjectAccessReview": Kind("authorization.k8s.io", "v1", "localsubjectaccessreviews"),
    "SelfSubjectReview": Kind("authentication.k8s.io", "v1", "selfsubjectreviews", namespaced=False),
}


class Cluster:
    """A cluster as one account sees it, in one namespace.

    Every call raises ClusterUnreachable where nothing answers, Forbidden where the account may not do it, NotFound
    where the namespace or the kind does not exist, and ClusterRefused where an object is not accepted.
    """

    def __init__(self, transport: Transport, namespace: str) -> None:
        self._transport, self.namespace = transport, namespace

    @property
    def address(self) -> str:
        """Where the API is."""
        return self._transport.address

    def get(self, kind: str, name: str, *, namespace: str = "") -> Object | None:
        """Return an object, or None where there is none of that name."""
        place, where = KINDS[kind], namespace or self.namespace
        reply = self._transport.send("GET", place.path(where, name))
        if reply.status == 404 and _is_about(reply, name):
            return None
        return self._body(reply, "get", place, where, name)

    def list(self, kind: str, selector: str = "", *, namespace: str = "") -> list[Object]:
        """Return the objects with those labels (`key=value,…`), all without one; `namespace` may be EVERYWHERE."""
        place, where = KINDS[kind], namespace or self.namespace
        found: list[Object] = []
        query: dict[str, Any] = {"limit": PAGE} | ({"labelSelector": selector} if selector else {})
        while True:
            reply = self._transport.send("GET", place.path(where), query)
            page = self._body(reply, "list", place, where, "")
            found += page.get("items") or []
            if not (more := (page.get("metadata") or {}).get("continue")):
                return found
            query["continue"] = more

    def create(self, manifest: Object, *, namespace: str = "") -> Object:
        """Create an object and return it as the cluster has it."""
        place, where = KINDS[manifest["kind"]], namespace or self.namespace
        name = manifest["metadata"].get("name", "")
        reply = self._transport.send("POST", place.path(where), body={"apiVersion": place.api_version} | manifest)
        if reply.status == 409 and reply.attempts > 1 and (made := self.get(manifest["kind"], name, namespace=where)):
            return made  # by the attempt whose answer was lost
        return self._body(reply, "create", place, where, name)

    def delete(self, kind: str, name: str, *, namespace: str = "") -> bool:
        """Ask for an object's removal and return at once; False where it was gone already."""
        place, where = KINDS[kind], namespace or self.namespace
        reply = self._transport.send("DELETE", place.path(where, name), body={"propagationPolicy": "Background"})
        if reply.status == 404 and _is_about(reply, name):
            return reply.attempts > 1  # gone by the attempt whose answer was lost
        self._body(reply, "delete", place, where, name)
        return True

    def logs(self, pod: str, *, container: str = "", lines: int = 50, previous: bool = False) -> str:
        """Return the last lines that a pod's container wrote, or wrote before it was started again; "" without any."""
        query = {"tailLines": lines} | ({"container": container} if container else {})
        reply = self._transport.send(
            "GET", KINDS["Pod"].path(self.namespace, pod, "log"), query | ({"previous": "true"} if previous else {})
        )
        if reply.status in DONE:
            return reply.text
        if reply.status in (400, 404):  # the container has not started, or never ran before
            return ""
        raise explain(reply, "get", KINDS["Pod"]._replace(plural="pods/log"), self.namespace, pod, self.address)

    def allowed(self, verb: str, kind: str, *, name: str = "", namespace: str = "", account: str = "") -> bool:
        """Return whether this account may do that, as the cluster itself says; `kind` may be `Pod/log`.

        `account` asks for another service account of the namespace, which an administrator of the project may.
        """
        place, _, part = kind.partition("/")
        asked, where = KINDS[place], namespace or self.namespace
        attributes = {"verb": verb, "group": asked.group, "version": asked.version, "resource": asked.plural}
        more = {"namespace": where if asked.namespaced else "", "name": name, "subresource": part}
        spec: Object = {"resourceAttributes": attributes | {key: value for key, value in more.items() if value}}
        review = {"kind": "SelfSubjectAccessReview", "metadata": {}, "spec": spec}
        if account:
            groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{where}"]
            spec |= {"user": f"system:serviceaccount:{where}:{account}", "groups": groups}
            review |= {"kind": "LocalSubjectAccessReview", "metadata": {"namespace": where}}
        return bool(self.create(review, namespace=where)["status"]["allowed"])

    def account(self) -> str:
        """Return who the cluster takes this account for, for example `system:serviceaccount:PROJECT:NAME`."""
        review = self.create({"kind": "SelfSubjectReview", "metadata": {}})
        return str(review["status"]["userInfo"]["username"])

    def _body(self, reply: Reply, verb: str, kind: Kind, namespace: str, name: str) -> Object:
        if reply.status in DONE:
            return reply.body
        raise explain(reply, verb, kind, namespace, name, self.address)


def _is_about(reply: Reply, name: str) -> bool:
    """Return whether a 404 speaks of this very object, not of its namespace or its kind."""
    return (reply.body.get("details") or {}).get("name") == name


def explain(reply: Reply, verb: str, kind: Kind, namespace: str, name: str, address: str) -> AssayError:
    """Return the error for an answer that is none of 200, 201 and 202."""
    message = reply.body.get("message") or f"HTTP {reply.status}"
    what = f"{kind.resource} {name}".strip()
    if reply.status == 401:
        return Forbidden(
            f"The cluster at {address} does not accept the token (HTTP 401): it has expired or is another cluster's",
            do="Log in again with `oc login`, or restart the workbench for a fresh token",
        )
    if reply.status == 403 and (denied := DENIED.search(message)):
        return forbidden(denied["user"], verb, kind, namespace)
    if reply.status == 403 and not reply.body:
        return forbidden("this account", verb, kind, namespace)
    if reply.status == 404:
        return _missing(reply, message, kind, namespace)
    if reply.status == 429 or reply.status >= 500:
        return ClusterUnreachable(
            f"The cluster at {address} could not {verb} {what} (HTTP {reply.status}: {message})",
            do="Wait until the cluster's API is well, then run this stage again",
        )
    return ClusterRefused(f"The cluster refused to {verb} {what} in {namespace}: {message}", do=_advice(reply, message))


def forbidden(user: str, verb: str, kind: Kind, namespace: str) -> Forbidden:
    """Return the error that names the verb, the resource, the namespace, the account and the missing RoleBinding."""
    where = f"namespace {namespace}" if kind.namespaced else "the cluster"
    return Forbidden(f"{user} may not {verb} {kind.resource} in {where}", do=binding(user, namespace))


def binding(user: str, namespace: str) -> str:
    """Return how an administrator of the project gives the account what it lacks."""
    if not (account := ACCOUNT.match(user)):
        return f"Ask the project's administrator for the role `edit` in {namespace}"
    role = "assay-pipeline" if account["name"].startswith("pipeline-runner") else "assay-workbench"
    return (
        f"Ask the project's administrator for the RoleBinding: `oc -n {namespace} apply -k {SET_UP}`, then "
        f"`oc -n {namespace} create rolebinding {role}-{account['name']} --role={role} "
        f"--serviceaccount={account['namespace']}:{account['name']}` where the account is another than its own"
    )


def _missing(reply: Reply, message: str, kind: Kind, namespace: str) -> NotFound:
    if (reply.body.get("details") or {}).get("name"):
        return NotFound(f"The cluster does not have it: {message}", do=f"Check the name and the namespace {namespace}")
    return NotFound(
        f"The cluster serves no {kind.resource} of version {kind.version}",
        do="Ask its administrator to install what brings them, for example KServe by OpenShift AI's DataScienceCluster",
    )


def _advice(reply: Reply, message: str) -> str:
    if "exceeded quota" in message:
        return "Ask for less, remove what is no longer needed in the project, or ask for a larger ResourceQuota"
    if reply.status == 409:
        return "Remove the object that is there, or choose another name"
    return "Correct what the message names"
