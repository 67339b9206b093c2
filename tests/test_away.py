"""Whoever a stage talks to may be away for a while: at the start, in the middle, at the end. Nothing is lost.

Each test shuts a door before a real server (moto, the embedded registry) or the cluster's stand-in. Time is scaled.
"""

from __future__ import annotations

import os

import httpx
import pytest

from helpers import cluster, storage
from helpers.cluster import transport
from helpers.errors import (
    ClusterUnreachable,
    NotFound,
    RegistryFailed,
    RegistryUnreachable,
    StoreFailed,
    StoreUnreachable,
)
from helpers.ingestion.publication.repository import Repository, digest_of
from helpers.registry import Registry, connect, connection
from helpers.runtime import patience
from helpers.runtime.patience import SECONDS
from tests.plugins.doors import WAYS, door
from tests.plugins.stores import Bucket

pytestmark = pytest.mark.usefixtures("hurried")
AWAY = 0.6  # seconds; the patience is ten of them here, and two where it is to end
BIG = 7 * storage.PART // 2


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(patience, "SECONDS", 2.0)


def test_it_is_two_minutes_for_everybody():
    assert SECONDS == 120


# The store


@pytest.fixture
def store(s3_bucket: Bucket, monkeypatch):
    """A bucket behind a door: what goes through the door, and the bucket itself."""
    monkeypatch.setattr(storage, "STALLED_SECONDS", 1)
    monkeypatch.setattr(storage, "PART_SECONDS", 3)
    with door(s3_bucket.endpoint) as opened:
        monkeypatch.setenv("STORE_AWS_ENDPOINT", opened.address)
        assert storage.listing(s3_bucket.uri) == []  # it has answered once
        yield opened, s3_bucket


@pytest.mark.parametrize("way", WAYS)
def test_a_store_that_is_away_at_the_start_loses_nothing(store, way):
    opened, bucket = store
    bucket.put("old", b"before")
    for use in (
        lambda: storage.put(b"new", f"{bucket.uri}/new"),
        lambda: storage.get(f"{bucket.uri}/old"),
        lambda: storage.exists(f"{bucket.uri}/old"),
        lambda: storage.sizes(bucket.uri),
        lambda: storage.delete(f"{bucket.uri}/old"),
    ):
        opened.away(0.2, way)
        assert use() != b""
    assert bucket.keys() == ["new"]
    assert bucket.get("new") == b"new"


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("after", [2, 5], ids=["middle", "end"])
def test_a_large_upload_goes_on_where_the_store_went_away(store, tmp_path, way, after):
    opened, bucket = store
    (tmp_path / "model").write_bytes(data := os.urandom(BIG))
    opened.away(AWAY, way, after=after)
    storage.put(tmp_path / "model", f"{bucket.uri}/model")
    assert opened.shut == 1
    assert bucket.get("model") == data


def test_an_upload_that_comes_in_pieces_waits_too(store):
    opened, bucket = store
    pieces = [os.urandom(BIG // 4) for _ in range(4)]
    opened.away(AWAY, "cut", after=2)
    storage.put(iter(pieces), f"{bucket.uri}/pieces", size=sum(map(len, pieces)))
    assert bucket.get("pieces") == b"".join(pieces)


@pytest.mark.parametrize("way", WAYS)
def test_a_download_goes_on_where_it_ended(store, way):
    opened, bucket = store
    bucket.put("model", data := os.urandom(BIG))
    got = bytearray()
    for number, part in enumerate(storage.stream(f"{bucket.uri}/model")):
        if number == 2:
            opened.away(AWAY, way)
        got += part
    assert got == data
    assert opened.shut == 1


def test_what_was_written_anew_while_it_was_read_is_not_mixed(store):
    opened, bucket = store
    bucket.put("model", os.urandom(BIG))
    coming = storage.stream(f"{bucket.uri}/model")
    next(coming)
    bucket.put("model", os.urandom(BIG))
    opened.away(0.3, "cut")
    with pytest.raises(StoreFailed, match="written anew"):
        list(coming)


def test_a_folder_is_fetched_over_an_outage(store, tmp_path):
    opened, bucket = store
    files = {f"m/{name}": os.urandom(1000) for name in "abcdef"}
    for name, data in files.items():
        bucket.put(name, data)
    opened.away(AWAY, "refused", after=3)
    folder = storage.fetch(f"{bucket.uri}/m", tmp_path / "m")
    assert {f"m/{path.name}": path.read_bytes() for path in folder.iterdir()} == files


def test_a_store_that_stays_away_is_named_with_what_to_do(store, impatient, capsys):
    opened, bucket = store
    opened.away(60, "refused")
    with pytest.raises(StoreUnreachable, match=r"Connection refused.*Check the store's address") as caught:
        storage.put(b"x", f"{bucket.uri}/x")
    assert f"{bucket.uri}/x" in str(caught.value)
    assert f"Waiting for the store at {opened.address}" in capsys.readouterr().out


def test_a_large_upload_says_who_is_waited_for_as_well(store, tmp_path, capsys):
    opened, bucket = store
    (tmp_path / "model").write_bytes(os.urandom(BIG))
    opened.away(2.5, "busy", after=2)
    storage.put(tmp_path / "model", f"{bucket.uri}/model")
    assert f"Waiting for the store at {opened.address}" in capsys.readouterr().out


def test_what_the_store_refuses_is_told_at_once(store):
    opened, bucket = store
    before = opened.requests
    with pytest.raises(NotFound):
        storage.get(f"{bucket.uri}/nothing")
    with pytest.raises(StoreFailed, match="no such bucket"):
        storage.put(b"x", "s3://nobody-has-this/x")
    assert opened.requests - before == 2


def test_a_download_may_take_longer_than_any_time_out(s3_bucket, monkeypatch):
    from tests.plugins.stores import throttled

    monkeypatch.setattr(storage, "STALLED_SECONDS", 2)
    s3_bucket.put("model", data := os.urandom(1 << 20))
    with throttled(s3_bucket.endpoint.removeprefix("http://"), len(data) / 4) as line:
        monkeypatch.setenv("STORE_AWS_ENDPOINT", f"http://{line.address}")
        assert b"".join(storage.stream(f"{s3_bucket.uri}/model")) == data


@pytest.mark.parametrize("way", ["refused", "cut", "unanswered", "busy"])
def test_a_store_of_images_may_be_away_before_between_and_after_its_requests(oci_registry, way):
    for after in range(4):
        with door(f"http://{oci_registry.host}") as opened:
            store = f"oci://{opened.address.removeprefix('http://')}/away-{way}-{after}"
            data = os.urandom(200_000)
            opened.away(0.5, way, after=after)
            with Repository.of(store, "1") as repository:
                repository.put_blob(digest_of(data), len(data), lambda data=data: iter([data]))
                assert b"".join(repository.chunks(digest_of(data))) == data
            assert opened.shut == 1


# The registry

DIGEST = f"sha256:{'a' * 64}"
FIGURES = {"purpose": "baseline", "use_case": "ops", "measurements": "knowledge"}
MEASURED = {"knowledge": {"kind": "evaluation", "tier": "accuracy", "metric": "acc", "acc": 0.9}}


@pytest.fixture
def registry(registry_server, monkeypatch):
    """The embedded registry behind a door, and a way past it."""
    monkeypatch.setattr(connection, "READ_SECONDS", 1)
    with door(registry_server.address) as opened:
        yield opened, connect(opened.address), connect(registry_server.address)


def bring_in(registry: Registry):
    known = {"uri": "file:///m", "digest": DIGEST, "size_bytes": 1}
    return registry.register_candidate("alpha", "1.0", **known).model_version_id


@pytest.mark.parametrize("way", [*WAYS, "database"])
def test_a_registry_that_is_away_is_asked_until_it_answers(registry, way):
    opened, mine, beside = registry
    opened.away(0.2, way)
    key = bring_in(mine)
    for use in (
        lambda: mine.attach_record(key, "r1", "file:///r1", FIGURES, MEASURED),
        lambda: mine.set_approval(key, "approved", ["good"]),
        lambda: mine.records("alpha")[0].record_id == "r1",
        lambda: mine.decisions(key)[0].state == "approved",
        lambda: mine.select(mine.shortlist()).model_version_id == key,
    ):
        opened.away(0.2, way)
        assert use() is not False
    assert len(beside.versions()) == len(beside.records()) == len(beside.decisions(key)) == 1


@pytest.mark.parametrize("way", ["unanswered", "database"])
@pytest.mark.parametrize("after", range(1, 11))
def test_a_registry_that_goes_away_between_any_two_requests_loses_nothing(registry, way, after):
    """Registering, logging and approving take some twenty requests."""
    opened, mine, beside = registry
    opened.away(0.3, way, after=2 * after - 1)
    key = bring_in(mine)
    mine.attach_record(key, "r1", "file:///r1", FIGURES, MEASURED)
    mine.set_approval(key, "approved", ["good"])
    assert opened.shut == 1
    (version,) = beside.versions()
    assert (
        version.properties.items()
        >= {"approval": "approved", "baseline.knowledge.record": "r1", "digest": DIGEST}.items()
    )
    assert [record.record_id for record in beside.records()] == ["r1"]
    assert [decision.state for decision in beside.decisions(key)] == ["approved"]


def test_a_stage_that_starts_while_the_registrys_database_is_away_waits(registry):
    opened, _, _ = registry
    opened.away(AWAY, "database")
    assert connect(opened.address).versions() == []


def test_an_id_that_is_not_there_is_told_without_waiting(registry):
    opened, mine, _ = registry
    before = opened.requests
    with pytest.raises(NotFound, match="99"):
        mine.set_approval("99", "approved", ["good"])
    assert opened.requests - before < 8


def test_a_registry_that_stays_away_is_named(registry, impatient, capsys):
    opened, mine, _ = registry
    opened.away(60, "refused")
    with pytest.raises(RegistryUnreachable, match=rf"{opened.address} .*Connection refused"):
        mine.versions()
    assert f"Waiting for the registry at {opened.address}" in capsys.readouterr().out


def test_a_database_that_stays_away_is_told_in_the_registrys_words(registry, impatient, capsys):
    opened, mine, _ = registry
    opened.away(60, "database")
    with pytest.raises(RegistryFailed, match=rf"{opened.address} .*the database is away"):
        mine.versions()
    assert "the database is away" in capsys.readouterr().out


def test_a_request_that_a_healthy_registry_cannot_do_is_not_repeated_for_two_minutes(registry, monkeypatch):
    """As where a database that keeps Latin-1 gets another letter: HTTP 500 for this one request."""
    _, mine, _ = registry
    key = bring_in(mine)
    real = mine._connection._once
    refused = httpx.Response(500, json={"code": "500", "message": "Incorrect string value"})
    monkeypatch.setattr(
        mine._connection, "_once", lambda method, *rest: refused if method == "POST" else real(method, *rest)
    )
    with pytest.raises(RegistryFailed, match="Incorrect string value"):
        mine.set_approval(key, "approved", ["good"])


# The Kubernetes API


@pytest.fixture
def project(kubernetes_api, monkeypatch):
    """A project seen through a door."""
    monkeypatch.setattr(transport, "READ_SECONDS", 1)
    with door(kubernetes_api.address) as opened:
        behind, kubernetes_api.address = kubernetes_api.address, opened.address
        monkeypatch.setenv("KUBECONFIG", str(kubernetes_api.kubeconfig()))
        kubernetes_api.address = behind
        connected = cluster.connect()
        assert connected.list("Pod") == []
        yield opened, connected, kubernetes_api


SERVICE = {
    "kind": "InferenceService",
    "metadata": {"name": "small", "labels": {"a": "b"}},
    "spec": {"predictor": {"minReplicas": 1}},
}


@pytest.mark.parametrize("way", WAYS)
def test_an_api_that_is_away_is_asked_until_it_answers(project, way):
    opened, connected, api = project
    pod = {"kind": "Pod", "metadata": {"name": "p"}}
    for use in (
        lambda: connected.create(SERVICE)["metadata"]["uid"],
        lambda: connected.get("InferenceService", "small"),
        lambda: connected.list("InferenceService", "a=b"),
        lambda: api.put(pod) and connected.logs("p") == "",
        lambda: connected.allowed("create", "InferenceService"),
        lambda: connected.delete("InferenceService", "small"),
    ):
        opened.away(0.2, way)
        assert use()
    assert connected.list("InferenceService") == []


def test_a_list_in_pages_goes_on_after_an_outage(project):
    opened, connected, api = project
    for number in range(1001):
        api.put({"kind": "Event", "metadata": {"name": f"event-{number}"}})
    opened.away(AWAY, "cut", after=1)
    assert len(connected.list("Event")) == 1001
    assert opened.shut == 1


def test_an_api_that_stays_away_is_named(project, impatient, monkeypatch, capsys):
    opened, connected, _ = project
    monkeypatch.setattr(transport, "READ_SECONDS", 0.4)
    opened.away(60, "silent")
    with pytest.raises(ClusterUnreachable, match=opened.address):
        connected.get("InferenceService", "small")
    assert f"Waiting for the Kubernetes API at {opened.address}" in capsys.readouterr().out
    assert opened.requests > 3  # a request that hangs is asked again
