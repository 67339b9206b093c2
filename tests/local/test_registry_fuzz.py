"""Whatever is sent to the embedded registry, it answers or refuses; writers at once lose nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.local.registry.app import PREFIXES, create_app
from helpers.local.registry.bodies import ARTIFACTS, KINDS, MODEL, VERSION
from tests.plugins.registry import MEMORY, serving

RESOURCES = (MODEL, VERSION, *ARTIFACTS.values())
PLURALS = [f"/{resource.path}s" for resource in RESOURCES[:3]] + ["/artifacts"]
CHILDREN = ["/registered_models/1/versions", "/model_versions/2/artifacts"]
REQUESTS = [
    *(("POST", path) for path in PLURALS + CHILDREN),
    *(("PATCH", f"{path}/{key}") for path in PLURALS for key in ("1", "2")),
    *(("GET", path) for path in PLURALS + CHILDREN + [path.removesuffix("s") for path in PLURALS]),
    ("GET", "/artifacts/x"), ("DELETE", "/artifacts/1"),
]  # fmt: skip
JSON = {"content-type": "application/json"}
FIELDS = sorted({field.alias or name for resource in RESOURCES for name, field in resource.create.model_fields.items()})
TEXTS = st.text(max_size=8) | st.sampled_from(["", "1", "2", "a", "LIVE", "ARCHIVED", "e" * 260, *ARTIFACTS])
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)
VALUES = st.fixed_dictionaries(
    {"metadataType": st.sampled_from(sorted(KINDS)) | ANYTHING},
    optional={field: ANYTHING for field, _ in KINDS.values()},
)
PROPERTIES = st.dictionaries(TEXTS, VALUES | ANYTHING, max_size=3)
GOOD = {"name": TEXTS, "registeredModelId": st.just("1"), "artifactType": st.sampled_from(sorted(ARTIFACTS))}
GOOD |= {"customProperties": PROPERTIES, "id": st.sampled_from(["1", "2", "3"]), "externalId": TEXTS, "uri": TEXTS}
ODD = st.dictionaries(st.sampled_from([*FIELDS, "nonsense"]), ANYTHING, max_size=2)
BODIES = st.builds(lambda good, odd: {**good, **odd}, st.fixed_dictionaries({}, optional=GOOD), ODD)
WORDS = st.sampled_from(["ID", "CREATE_TIME", "LAST_UPDATE_TIME", "DESC", "ASC", "MTox", "name = 'a'"]) | TEXTS
NAMES = ["name", "externalId", "parentResourceId", "pageSize", "orderBy", "sortOrder", "nextPageToken", "artifactType"]
QUERIES = st.dictionaries(st.sampled_from([*NAMES, "filterQuery"]), WORDS, max_size=4)


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    with TestClient(create_app(MEMORY), base_url=f"http://127.0.0.1{PREFIXES[0]}") as session:
        session.post("/registered_models", json={"name": "a"})
        session.post("/model_versions", json={"name": "1", "registeredModelId": "1"})
        yield session


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    asked=st.sampled_from(REQUESTS), query=QUERIES,
    body=(BODIES | BODIES | ANYTHING).map(json.dumps).map(str.encode) | st.binary(max_size=20),
)  # fmt: skip
def test_any_request_is_answered_or_refused(http, asked, query, body):
    answer = http.request(
        *asked, params=query, content=body, headers={"content-type": "application/json"}
    )  # raises what the registry did not expect
    assert answer.status_code in (200, 201, 400, 404, 405, 409, 422, 500)
    if answer.status_code == 500:
        assert "Data too long" in answer.json()["message"]
    if answer.status_code == 201 and "id" in answer.json():
        made = answer.json()
        if made.get("artifactType") != "doc-artifact":
            kind = {"registeredModelId": "model_versions", "artifactType": "model_artifacts"}
            plural = next((kind[name] for name in kind if name in made), "registered_models")
            assert http.get(f"/{plural}/{made['id']}").json() == made


def test_writers_at_once_lose_no_field_of_each_other(tmp_path):
    fields = ["description", "owner", "readme", "maturity", "provider", "logo", "license", "libraryName"]
    with serving(tmp_path / "r.db") as server:
        barrier = threading.Barrier(len(fields))

        def write(field: str) -> None:
            with httpx.Client(base_url=server.address + PREFIXES[0]) as http:
                barrier.wait(30)
                for i in range(10):
                    assert http.patch("/registered_models/1", json={field: str(i)}).status_code == 200

        with httpx.Client(base_url=server.address + PREFIXES[0]) as http:
            http.post("/registered_models", json={"name": "a"})
            with ThreadPoolExecutor(len(fields)) as pool:
                list(pool.map(write, fields))
            model = http.get("/registered_models/1").json()
    assert {field: model[field] for field in fields} == dict.fromkeys(fields, "9")
