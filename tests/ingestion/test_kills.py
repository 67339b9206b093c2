"""Ingestion is killed at any moment: then nothing can be seen, or what can be seen verifies; a rerun completes."""

from __future__ import annotations

import random
import secrets
import shutil

import pytest

from helpers import storage
from helpers.artifacts import Selection
from helpers.ingestion.digests import digest
from helpers.ingestion.publication.repository import Repository
from helpers.ingestion.sealing.signing import SIGNATURE
from helpers.registry import connect
from helpers.registry.selection import read_selection
from helpers.runtime.workspace import home
from helpers.serving.files import verified_folder
from tests.ingestion.clean import base
from tests.plugins.killing import killer  # noqa: F401
from tests.plugins.models import POLICY
from tests.plugins.packages import shipped_policy

pytestmark = pytest.mark.load

KILLS, KILLS_PER_MODEL = 20, 4
SIZE = {"a.weight": ("BF16", (600, 1000))}


@pytest.fixture(params=["folder", "bucket", "registry"])
def store(request, tmp_path, monkeypatch):
    """Returns the URI of one empty store after the other."""
    monkeypatch.setenv("OCI_BASE_IMAGE", "scratch")
    if request.param == "folder":
        return lambda number: (tmp_path / f"store-{number}").as_uri()
    if request.param == "bucket":
        bucket = request.getfixturevalue("s3_bucket").uri
        return lambda number: f"{bucket}/store-{number}"
    host = request.getfixturevalue("oci_registry").host
    return lambda number: f"oci://{host}/kills/{tmp_path.name.replace('_', '-')}/store-{number}"


@pytest.fixture
def source(tmp_path):
    return base(tmp_path / "source" / "model", SIZE)


def moments(rng):
    """Half of the moments lie anywhere in an ingestion, half in its publication; no two in the same part."""
    each = KILLS // 2
    parts = [(phase, (part + rng.random()) / each) for phase in ("ingest", "publish") for part in range(each)]
    return rng.sample(parts, len(parts))


def published(model, uri):
    """Return the URI under which the model can be seen in a store, None where it cannot."""
    if uri.startswith("oci:"):
        with Repository.of(uri, "x") as repository:
            found = repository.image(model.removeprefix("sha256:"))
        return found and f"{uri}@{found[0]}"
    place = f"{uri}/models/{model.removeprefix('sha256:')}"
    return place if storage.exists(f"{place}/{SIGNATURE}") else None


def check(model, uri, registry, name, where=""):
    """Verify what can be seen, in the store and by the registry; return whether it is registered."""
    known = {"name": "model", "version": "1", "size_bytes": 10**7, "registry": "http://registry.invalid"}
    ids = {"registered_model_id": "1", "model_version_id": "2", "model_artifact_id": "3"}
    registered = registered_uri(registry, name)
    for place in {published(model, uri), registered} - {None}:
        shutil.rmtree(home() / "models", ignore_errors=True)
        selection = Selection(uri=place, digest=model, **known, **ids)
        assert digest(verified_folder(selection, shipped_policy())) == model, where
    return bool(registered)


def registered_uri(registry, name):
    """Return the URI that the registry has for a model, None where it has none that could be deployed."""
    if name not in {version.name for version in registry.versions()}:
        return None
    found = read_selection(registry._connection, name, registry.find(name, "1.0.0").model_version_id)
    return found and found.uri


@pytest.fixture
def run(killer, source, tmp_path, registry_server):  # noqa: F811
    """Ingests the model into a store, and kills that."""

    def ingest(number, uri, **given):
        settings = {"source": str(source), "model_store": uri, "policy": str(POLICY), "model_name": f"m-{number}"}
        done = killer.run(settings=settings, log=str(tmp_path / "log"), **given)
        if not given.get("phase"):
            assert set(done["codes"]) == {0}, (tmp_path / "log").read_text()
        return done

    return ingest


def test_a_kill_leaves_nothing_or_everything_and_a_rerun_completes(store, source, run):
    model, seed, registry = digest(source), secrets.randbits(32), connect("local")
    reached, todo, tried = run("usual", store("usual"))["reached"], moments(random.Random(seed)), 0
    while todo:
        number, last = divmod(tried, KILLS_PER_MODEL)
        phase, part = todo.pop()
        moment = part * (reached[f"after-{phase}"] - reached[phase])
        killed = run(number, store(number), phase=phase, seconds=moment)["codes"] == [-9]
        where = f"{killed=} {moment:.4f} s after the begin of {phase} in store {number}, seed {seed}"
        print(where)
        check(model, store(number), registry, f"m-{number}", where)
        if last == KILLS_PER_MODEL - 1 or not killed:
            reached = run(number, store(number))["reached"]
            assert check(model, store(number), registry, f"m-{number}", where), f"not registered by the rerun, {where}"
        if not killed:
            todo.insert(0, (phase, part * 0.9))  # it was faster this time
        tried += 1
        assert tried < 3 * KILLS, where


def test_processes_that_publish_the_same_at_once_all_succeed(store, source, run):
    run("together", store("together"), times=4)
    assert check(digest(source), store("together"), connect("local"), "m-together")
