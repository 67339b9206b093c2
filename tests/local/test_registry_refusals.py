"""What the embedded registry refuses, and with which status."""

from __future__ import annotations

import base64
from collections.abc import Iterator

import httpx
import pytest
from fastapi.testclient import TestClient

from helpers.local.registry.app import PREFIXES, create_app
from tests.plugins.registry import MEMORY

JSON = {"content-type": "application/json"}


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    """A registry with model 1, its version 2, and model artifact 1 of that version."""
    app = create_app(MEMORY)
    with TestClient(app, base_url=f"http://127.0.0.1{PREFIXES[0]}", raise_server_exceptions=False) as session:
        session.post("/registered_models", json={"name": "a", "externalId": "e"})
        session.post("/model_versions", json={"name": "1", "registeredModelId": "1"})
        session.post("/model_versions/2/artifacts", json={"artifactType": "model-artifact", "name": "w", "uri": "u"})
        yield session


def refusal(answer: httpx.Response) -> int:
    assert set(answer.json()) == {"code", "message"}, answer.text
    return answer.status_code


@pytest.mark.parametrize("key", ["99", "2", "0", "-1"])
def test_an_id_that_nothing_has_is_404(http, key):
    assert refusal(http.get(f"/registered_models/{key}")) == 404
    assert refusal(http.patch(f"/registered_models/{key}", json={"owner": "o"})) == 404


@pytest.mark.parametrize("key", ["abc", "1.5", "99999999999", "2147483648", "%20", "1e3", "¹"])
def test_an_id_that_is_no_int32_is_400(http, key):
    assert refusal(http.get(f"/model_versions/{key}")) == 400
    assert refusal(http.get(f"/model_versions/{key}/artifacts")) == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/registered_models", {"name": "a"}),
        ("/registered_models", {"name": "b", "externalId": "e"}),
        ("/model_versions", {"name": "1", "registeredModelId": "1"}),
        ("/model_versions/2/artifacts", {"artifactType": "model-artifact", "name": "w"}),
    ],
)
def test_a_name_or_external_id_that_is_taken_is_409(http, path, body):
    before = http.get("/registered_models").json()
    assert refusal(http.post(path, json=body)) == 409
    assert http.get("/registered_models").json() == before


def test_an_external_id_cannot_be_taken_over_by_a_patch(http):
    http.post("/registered_models", json={"name": "b"})
    assert refusal(http.patch("/registered_models/3", json={"externalId": "e"})) == 409


def test_the_same_names_elsewhere_are_no_conflict(http):
    http.post("/registered_models", json={"name": "b"})
    assert http.post("/model_versions", json={"name": "1", "registeredModelId": "3"}).status_code == 201
    document = {"artifactType": "doc-artifact", "name": "w"}
    assert http.post("/model_versions/2/artifacts", json=document).status_code == 201


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/registered_models", {"name": "x", "nonsense": 1}, "nonsense"),
        ("/registered_models", {"name": "x", "id": "5"}, "id"),
        ("/registered_models", {"name": "x", "createTimeSinceEpoch": "5"}, "createTimeSinceEpoch"),
        ("/model_versions", {"name": "x", "registeredModelId": "1", "owner": "o"}, "owner"),
    ],
)
def test_an_unknown_field_is_400_and_named(http, path, body, field):
    answer = http.post(path, json=body)
    assert refusal(answer) == 400
    assert answer.json()["message"] == f'json: unknown field "{field}"'


def test_a_name_cannot_be_changed(http):
    assert refusal(http.patch("/registered_models/1", json={"name": "b"})) == 400
    assert refusal(http.patch("/model_artifacts/1", json={"name": "b"})) == 400


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/registered_models", {}),
        ("/registered_models", {"name": ""}),
        ("/registered_models", {"name": None}),
        ("/model_versions", {"name": "x"}),
        ("/model_versions", {"registeredModelId": "1"}),
    ],
)
def test_a_missing_required_field_is_422_that_calls_itself_bad_request(http, path, body):
    answer = http.post(path, json=body)
    assert refusal(answer) == 422
    assert answer.json()["code"] == "Bad Request"


def test_an_artifact_of_a_version_that_is_not_there_is_refused_and_nothing_stays(http):
    assert refusal(http.post("/model_versions/77/artifacts", json={"artifactType": "doc-artifact"})) == 404
    assert refusal(http.post("/model_versions/1/artifacts", json={"artifactType": "doc-artifact"})) == 404
    assert http.get("/artifacts").json()["size"] == 1


@pytest.mark.parametrize(
    "text",
    [
        '{"name": "x", "customProperties": {"p": {"double_value": NaN, "metadataType": "MetadataDoubleValue"}}}',
        '{"name": "x", "customProperties": {"p": {"double_value": -Infinity, "metadataType": "MetadataDoubleValue"}}}',
        '{"name": "x", "customProperties": {"p": {"double_value": 1e400, "metadataType": "MetadataDoubleValue"}}}',
        '{"name": "x", "customProperties": {"p": {"double_value": 1%s, "metadataType": "MetadataDoubleValue"}}}'
        % ("0" * 400),
        '{"name": "x\\u0000"}',
        '{"name": "x", "description": "the text \\\\u0000"}',
        '{"name": 5}',
        '{"name": "x", "state": "SLEEPING"}',
        '{"name": "x", "customProperties": []}',
        '{"name": "x", "customProperties": {"p": 5}}',
        '{"name": "x", "customProperties": {"p": {"string_value": "no type"}}}',
        '{"name": "x", "customProperties": {"p": {"proto_value": "", "type": "t", "metadataType": "MetadataProtoValue"}}}',  # noqa: E501
        '{"name": "x", "customProperties": {"p": {"string_value": 5, "metadataType": "MetadataStringValue"}}}',
        '{"name": "x", "customProperties": {"p": {"struct_value": "{}", "metadataType": "MetadataStructValue"}}}',
        '{"name": "x", "customProperties": {"p": {"struct_value": "WzFd", "metadataType": "MetadataStructValue"}}}',
        '{"name": "x"',
        '["name"]',
        "",
        "[" * 100_000,
    ],
    ids=lambda text: text[:30] + text[-30:],
)
def test_a_body_that_makes_no_sense_is_400(http, text):
    assert refusal(http.post("/registered_models", content=text, headers=JSON)) == 400


def whole(value: object) -> dict[str, object]:
    return {"customProperties": {"n": {"int_value": value, "metadataType": "MetadataIntValue"}}}


@pytest.mark.parametrize(
    ("value", "status"),
    [("2147483647", 200), ("-2147483648", 200), ("2147483648", 400), (5, 400), ("1.5", 400), ("", 400), ("٣", 400)],
)
def test_a_whole_number_is_an_int32_written_as_text(http, value, status):
    assert http.patch("/registered_models/1", json=whole(value)).status_code == status


@pytest.mark.parametrize(
    "query",
    [
        {"pageSize": "x"},
        {"pageSize": "99999999999"},
        {"nextPageToken": "%%%"},
        {"nextPageToken": "bm9wZQ=="},
        {"nextPageToken": base64.b64encode(b"1:" + b"9" * 30).decode()},
        {"filterQuery": "name ="},
        {"filterQuery": "name = 'a'"},
        {"name": "a\x00"},
    ],
    ids=lambda query: str(query)[:50],
)
def test_a_list_that_cannot_be_understood_is_400(http, query):
    assert refusal(http.get("/registered_models", params=query)) == 400


@pytest.mark.parametrize("kind", ["metric", "dataset-artifact", "poem", None, []])
def test_an_artifact_type_that_is_not_kept_is_400(http, kind):
    assert refusal(http.post("/model_versions/2/artifacts", json={"artifactType": kind, "name": "x"})) == 400


def test_a_list_of_a_type_that_nobody_knows_is_400(http):
    assert refusal(http.get("/artifacts", params={"artifactType": "poem"})) == 400


@pytest.mark.parametrize(
    ("path", "longest", "body"),
    [
        ("/registered_models", 255, {}),
        ("/model_versions", 253, {"registeredModelId": "1"}),
        ("/model_versions/2/artifacts", 253, {"artifactType": "doc-artifact"}),
    ],
)
def test_a_name_stands_behind_its_parent_in_255_characters(http, path, longest, body):
    assert http.post(path, json={**body, "name": "模" * longest}).status_code == 201
    assert refusal(http.post(path, json={**body, "name": "y" * (longest + 1)})) == 500


def test_other_texts_that_a_column_does_not_hold_are_500_and_nothing_stays(http):
    before = http.get("/registered_models").json()
    text = {"string_value": "x", "metadataType": "MetadataStringValue"}
    for body in (
        {"externalId": "e" * 256},
        {"customProperties": {"k" * 256: text}},
        {"description": "d" * 2**24},
    ):
        assert refusal(http.post("/registered_models", json={"name": "long", **body})) == 500
    assert http.get("/registered_models").json() == before
    assert refusal(http.patch("/model_artifacts/1", json={"uri": "u" * 65536})) == 500


@pytest.mark.parametrize("name", ["LLAMA", "Llâma", "\uff4clama"])
def test_case_accents_and_width_make_no_other_name(http, name):
    text = {"string_value": "x", "metadataType": "MetadataStringValue"}
    version = {"name": "llama", "registeredModelId": "1", "externalId": "llama", "customProperties": {"llama": text}}
    assert http.post("/registered_models", json={"name": "llama"}).status_code == 201
    made = http.post("/model_versions", json=version).json()

    assert refusal(http.post("/registered_models", json={"name": name})) == 409
    assert refusal(http.post("/model_versions", json={"name": name, "registeredModelId": "1"})) == 409
    assert refusal(http.post("/registered_models", json={"name": "other", "externalId": name})) == 409

    assert http.get("/registered_model", params={"name": name}).json()["name"] == "llama"
    assert http.get("/model_version", params={"name": name, "parentResourceId": "1"}).json() == made
    both = {"customProperties": {"llama": text, name: {**text, "string_value": "y"}}}
    changed = http.patch(f"/model_versions/{made['id']}", json=both).json()["customProperties"]
    assert {key: value["string_value"] for key, value in changed.items()} == {"llama": "y"}


def test_a_name_that_is_sought_is_no_pattern(http):
    for name in ("tiny_1", "tiny-1", "100%"):
        http.post("/registered_models", json={"name": name})

    def found(name: str) -> str | int:
        answer = http.get("/registered_model", params={"name": name})
        return answer.json()["name"] if answer.status_code == 200 else answer.status_code

    assert (found("tiny_1"), found("tiny-1"), found("tiny%"), found("100%")) == ("tiny_1", "tiny-1", 404, "100%")
