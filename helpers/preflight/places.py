"""The object store and the registry, used as the stages use them."""

from __future__ import annotations

import base64
import os
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

from helpers import data_connection, storage
from helpers.cluster import in_pod
from helpers.errors import Forbidden, StoreFailed
from helpers.preflight.lines import Line, note, ok
from helpers.preflight.project import Project

DO_SEE = "The first node that writes shows it; an administrator of the project can try it here"
HERE = "is this machine's own and no pod reaches it"


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
