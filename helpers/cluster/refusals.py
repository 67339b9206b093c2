"""Put the API's refusals into words: who may not do what where, and which RoleBinding is missing."""

from __future__ import annotations

import re

from helpers.cluster.kinds import Kind
from helpers.cluster.transport import Reply
from helpers.errors import AssayError, ClusterRefused, ClusterUnreachable, Forbidden, NotFound

SET_UP = "runtime-images/openshift/project"
# How RBAC words a refusal; quotas and webhooks refuse with 403 too, in other words.
DENIED = re.compile(r'User "(?P<user>[^"]*)" cannot (?P<verb>\w+) resource "(?P<resource>[^"]*)"')
ACCOUNT = re.compile(r"system:serviceaccount:(?P<namespace>[^:]+):(?P<name>[^:]+)$")


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
