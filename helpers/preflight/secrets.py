"""The project's secrets: which keys they have. No value is looked at."""

from __future__ import annotations

from collections.abc import Iterator

from helpers import data_connection
from helpers.ingestion.sealing import keys
from helpers.preflight.lines import Line, fix, ok
from helpers.preflight.project import SET_UP, Project

STORAGE = "storage-config"
LABELS = ("opendatahub.io/dashboard", "opendatahub.io/managed")


def store_secret(project: Project) -> Iterator[Line]:
    """The data connection that every stage writes with."""
    yield complete(project, data_connection.SECRET, tuple(data_connection.KEYS.values()))


def signing_secret(project: Project) -> Iterator[Line]:
    """The key pair that ingest_model signs with and deploy_model trusts."""
    yield complete(project, keys.SECRET, (keys.PRIVATE, keys.PUBLIC))


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
