"""The project's secrets, of which only the keys are looked at; store and registry, used as the stages use them."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from helpers import storage
from helpers.errors import Forbidden, StoreFailed
from helpers.pipelines.preflight.project import SET_UP, Line, Project, fix, note, ok
from helpers.runtime.account import in_pod
from helpers.runtime.keys import MEASURING, MODEL_OPS, PROJECT
from helpers.serving.client import KEY, SECRET
from helpers.storage import data_connection

DO_SEE = "The first node that writes shows it; an administrator of the project can try it here"
DO_MOVE = (
    "Make a new pair in ModelOps' project and sign the models and decisions there anew; here, "
    "oc create secret generic assay-signing -n {namespace} --from-file=SIGNING_PUBLIC_KEY=signing.pub "
    "--from-literal=PROJECT_ROLE=ai-engineers --dry-run=client -o yaml | oc replace -f -"
)
HERE = "is this machine's own and no pod reaches it"
STORAGE = "storage-config"
LABELS = ("opendatahub.io/dashboard", "opendatahub.io/managed")


def store_secret(project: Project) -> Iterator[Line]:
    """The data connection that every stage writes with."""
    yield complete(project, data_connection.SECRET, tuple(data_connection.KEYS.values()))


def signing_secret(project: Project) -> Iterator[Line]:
    """ModelOps' key pair; only its public half where AI engineers work, whose every node can read every Secret."""
    if project.role == "model-ops":
        yield complete(project, MODEL_OPS.secret, (MODEL_OPS.private, MODEL_OPS.public))
        return
    held = (project.cluster.get("Secret", MODEL_OPS.secret) or {}).get("data") or {}
    if held.get(MODEL_OPS.private):
        text = f"{MODEL_OPS.secret} holds ModelOps' {MODEL_OPS.private}, which every node of this project can read"
        yield fix(text, DO_MOVE.format(namespace=project.namespace))
    yield complete(project, MODEL_OPS.secret, (MODEL_OPS.public, PROJECT))


def measuring_secret(project: Project) -> Iterator[Line]:
    """The key pair that log_results signs records with, and the public keys whose records are taken over."""
    yield complete(project, MEASURING.secret, (MEASURING.private, MEASURING.public))


def endpoint_secret(project: Project) -> Iterator[Line]:
    """The key of an endpoint that exists, which only TARGET=existing reads."""
    if (project.cluster.get("Secret", SECRET) or {}).get("data", {}).get(KEY):
        yield ok(f"{SECRET} has {KEY}")
    else:
        do = f"oc create secret generic {SECRET} -n {project.namespace} --from-literal={KEY}=…"
        yield note(f"No Secret {SECRET} has a {KEY}, which TARGET=existing needs where the endpoint wants a key", do)


def kserve_connection(project: Project) -> Iterator[Line]:
    """The connection as KServe sees it: OpenShift AI copies labelled connections into `storage-config`."""
    name = data_connection.SECRET
    copies = project.cluster.get("Secret", STORAGE)
    if copies and name in (copies.get("data") or {}):
        yield ok(f"KServe reads models with {name}")
        return
    secret = project.cluster.get("Secret", name)
    if secret is None:
        yield fix(f"KServe has no {name} to read models with", f"Create it: {SET_UP}")
        return
    labels = secret["metadata"].get("labels") or {}
    if missing := [label for label in LABELS if labels.get(label) != "true"]:
        do = f"oc label secret {name} -n {project.namespace} {' '.join(f'{label}=true' for label in missing)}"
        yield fix(f"KServe gets no keys from {name}, which lacks the label {' and '.join(missing)}", do)
    else:
        do = "Wait a moment; if it stays so, ask for OpenShift AI's model controller in its administrator's log"
        yield fix(f"{name} has its labels and is not in {STORAGE} yet", do)


def complete(project: Project, name: str, wanted: tuple[str, ...], how: str = SET_UP) -> Line:
    """Return the line for a Secret that has to have these keys. Raises Forbidden where this account may not read it."""
    secret = project.cluster.get("Secret", name)
    if secret is None:
        return fix(f"There is no Secret {name}, without which no node starts that needs it", f"Create it: {how}")
    held = secret.get("data") or {}
    if missing := [key for key in wanted if not held.get(key)]:
        text = f"The Secret {name} lacks {', '.join(missing)}, without which no node starts that needs it"
        return fix(text, f"Add what is missing: {how}")
    return ok(f"{name} has {', '.join(wanted)}")


def store(project: Project) -> Iterator[Line]:
    """Write, read and delete one object."""
    try:
        added = {} if os.environ.get("STORE_AWS_BUCKET") else _from_secret(project)
    except Forbidden as error:
        yield note(f"The store was not tried, because {error.what}", DO_SEE)
        return
    with _as_a_node(added):
        uri = storage.resolve(project.store)
        if not uri.startswith("s3://"):
            yield note(f"{uri} {HERE}", "Name the project's store with --store s3://bucket/prefix")
            return
        probe = f"{uri}/preflight/{uuid4().hex}"
        storage.put(b"assay", probe)
        if storage.get(probe) != b"assay":
            raise StoreFailed(f"{probe} holds something else than was written", do="Look for a cache before the store")
        storage.delete(probe)
        if storage.exists(probe):
            raise StoreFailed(f"{probe} is still there after its deletion", do="Give the keys s3:DeleteObject too")
    yield ok(f"{uri} takes, gives and deletes")


def registry(project: Project) -> Iterator[Line]:
    """Connect; the probe says which version of the API is spoken."""
    from helpers.registry import connect

    if project.registry in ("auto", "local") and not in_pod():
        do = "Name the cluster's with --registry service:NAME or https://…"
        yield note(f"The registry {project.registry!r} {HERE}", do)
        return
    found = connect(project.registry, timeout=project.seconds)
    yield ok(f"{found.address} lets this account in and speaks {found.interface}")


@contextmanager
def _as_a_node(added: dict[str, str]) -> Iterator[None]:
    """Give this process what a node gets from the project's Secret, and take it back."""
    os.environ.update(added)
    try:
        yield
    finally:
        for name in added:
            del os.environ[name]


def _from_secret(project: Project) -> dict[str, str]:
    """Return the variables that this process lacks. Raises Forbidden where it has no keys and may not read any."""
    try:
        secret = project.connected.get("Secret", data_connection.SECRET) if project.connected else None
    except Forbidden:
        if os.environ.get(data_connection.NEEDED[0]):
            return {}
        raise
    held = (secret or {}).get("data") or {}
    return {
        name: base64.b64decode(held[key]).decode()
        for name, key in data_connection.KEYS.items()
        if held.get(key) and name not in os.environ
    }
