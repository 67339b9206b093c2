"""What raw requests to the embedded registry get."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator

import httpx
import pytest

from helpers.local.registry.app import create_app
from tests.plugins.registry import MEMORY, RegistryServer

PREFIXES = ("/api/model_registry/v1alpha3", "/api/model_registry/v1")


@pytest.fixture
def http(registry_server: RegistryServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=registry_server.address + PREFIXES[0]) as session:
        yield session


def post(http: httpx.Client, path: str, **body: object) -> dict[str, object]:
    answer = http.post(path, json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def test_patch_keeps_absent_fields_and_ids(http):
    model = post(http, "/registered_models", name="a", description="d", owner="o", externalId="e")

    changed = http.patch(f"/registered_models/{model['id']}", json={"state": "ARCHIVED"}).json()

    assert changed == {**model, "state": "ARCHIVED", "lastUpdateTimeSinceEpoch": changed["lastUpdateTimeSinceEpoch"]}


def test_patch_without_a_state_sets_the_default_one(http):
    model = post(http, "/registered_models", name="a", state="ARCHIVED")
    version = post(http, "/model_versions", name="1", registeredModelId=model["id"])
    given = {"artifactType": "model-artifact", "uri": "file:///x", "state": "LIVE"}
    artifact = post(http, f"/model_versions/{version['id']}/artifacts", **given)
    assert http.patch(f"/registered_models/{model['id']}", json={"owner": "o"}).json()["state"] == "LIVE"
    assert http.patch(f"/model_artifacts/{artifact['id']}", json={"uri": "u"}).json()["state"] == "UNKNOWN"


def test_patch_replaces_the_whole_property_map_or_leaves_it(http):
    text = {"string_value": "x", "metadataType": "MetadataStringValue"}
    model = post(http, "/registered_models", name="a", customProperties={"old": text})
    path = f"/registered_models/{model['id']}"
    assert http.patch(path, json={"description": "d"}).json()["customProperties"] == {"old": text}
    assert http.patch(path, json={"customProperties": {"new": text}}).json()["customProperties"] == {"new": text}
    assert http.patch(path, json={"customProperties": {}}).json()["customProperties"] == {}


def test_ids_of_models_and_versions_are_one_sequence_and_artifacts_another(http):
    model = post(http, "/registered_models", name="a")
    version = post(http, "/model_versions", name="1", registeredModelId=model["id"])
    artifact = post(http, f"/model_versions/{version['id']}/artifacts", artifactType="doc-artifact")
    assert (model["id"], version["id"], artifact["id"]) == ("1", "2", "1")


def test_an_artifact_without_a_name_gets_one(http):
    model = post(http, "/registered_models", name="a")
    version = post(http, "/model_versions", name="1", registeredModelId=model["id"])
    path = f"/model_versions/{version['id']}/artifacts"
    first, second = (post(http, path, artifactType="doc-artifact") for _ in range(2))
    assert first["name"]
    assert first["name"] != second["name"]


def test_versions_are_listed_under_their_model_which_need_not_exist(http):
    model = post(http, "/registered_models", name="a")
    version = post(http, "/model_versions", name="1", registeredModelId=model["id"])
    assert http.get(f"/registered_models/{model['id']}/versions").json()["items"] == [version]
    assert http.get("/registered_models/99/versions").json()["items"] == [], "as the real one: it need not exist"


def test_find_with_one_several_and_no_hits(http):
    model = post(http, "/registered_models", name="a", externalId="x")
    version = post(http, "/model_versions", name="1", registeredModelId=model["id"])
    where = {"name": "same", "parentResourceId": version["id"]}
    for kind in ("model-artifact", "doc-artifact"):
        post(http, f"/model_versions/{version['id']}/artifacts", artifactType=kind, name="same", uri="u")

    assert http.get("/registered_model", params={"name": "a"}).json() == model
    assert http.get("/model_version", params={"name": "1", "parentResourceId": model["id"]}).json() == version
    assert http.get("/model_artifact", params=where).status_code == 404, "two artifacts have this name"
    assert http.get("/model_artifact", params={**where, "name": "none"}).status_code == 404


@pytest.mark.parametrize("path", ["/registered_model", "/model_version", "/model_artifact"])
def test_find_needs_something_to_search_for(http, path):
    assert http.get(path).status_code == 400
    if path != "/registered_model":
        assert http.get(path, params={"name": "without a parent"}).status_code == 400


def test_a_path_or_method_that_is_not_there_is_refused_without_json(http):
    for path in ("/experiments", "/registered_models/"):
        answer = http.get(path)
        assert (answer.status_code, answer.text) == (404, "404 page not found\n")
    answer = http.delete("/registered_models")
    assert (answer.status_code, answer.text) == (405, "")


def test_what_stages_and_the_client_ask_for_is_served():
    things = ("registered_model", "model_version", "model_artifact")
    asked = {(method, f"/{thing}{path}") for thing in things for method, path in (
        ("get", ""), ("get", "s"), ("get", "s/{key}"), ("patch", "s/{key}"),
    )} | {
        ("post", "/registered_models"), ("post", "/model_versions"), ("get", "/registered_models/{key}/versions"),
        ("get", "/artifacts"), ("get", "/model_versions/{key}/artifacts"), ("post", "/model_versions/{key}/artifacts"),
    }  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        paths = create_app(MEMORY).openapi()["paths"]
    served = {(method, path) for path, known in paths.items() for method in known if path != "/readyz/health"}
    assert served == {(method, prefix + path) for prefix in PREFIXES for method, path in asked}


def test_answers_fit_the_clients_own_schemas(http):
    from mr_openapi import ArtifactList, ModelVersionList, RegisteredModelList

    model = post(http, "/registered_models", name="a", readme="r", tasks=["t"])
    version = post(http, "/model_versions", name="1", registeredModelId=model["id"])
    post(http, f"/model_versions/{version['id']}/artifacts", artifactType="doc-artifact", name="d")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path, schema in (
            ("/registered_models", RegisteredModelList),
            ("/model_versions", ModelVersionList),
            ("/artifacts", ArtifactList),
        ):
            assert schema.from_json(json.dumps(http.get(path).json())).size == 1
