"""Order and pages of the embedded registry's lists."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.plugins.registry import MEMORY, serving

TYPES = {str: "String", int: "Int", float: "Double", bool: "Bool"}


def properties(**values: str | int | float | bool) -> dict[str, dict[str, object]]:
    shown = {}
    for name, value in values.items():
        kind = TYPES[type(value)]
        stored = str(value) if kind == "Int" else value
        shown[name] = {f"{kind.lower()}_value": stored, "metadataType": f"Metadata{kind}Value"}
    return shown


@pytest.fixture(scope="module")
def http() -> Iterator[httpx.Client]:
    """Seven models that no test of this module changes."""
    with serving(MEMORY) as server, httpx.Client(base_url=f"{server.address}/api/model_registry/v1") as session:
        for body in (
            {"name": "tiny", "owner": "ann", "customProperties": properties(accuracy=0.5, layers=2, license="mit")},
            {"name": "small", "customProperties": properties(accuracy=0.75, layers=4, license="apache-2.0")},
            {"name": "Small-2", "customProperties": properties(accuracy=1, approved=True, license="mit")},
            {"name": "large_1", "state": "ARCHIVED", "customProperties": {"a-b.c": properties(x="dotted")["x"]}},
            {"name": "largeX1", "externalId": "ext"},
            {"name": "it's", "description": 'say "hi"'},
            {"name": "and", "customProperties": properties(order="in")},
        ):
            assert session.post("/registered_models", json=body).status_code == 201
        session.patch("/registered_models/1", json={"owner": "ann"})
        yield session


def names(http: httpx.Client, **query: str) -> list[str]:
    answer = http.get("/registered_models", params=query)
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["items"]]


def test_order(http):
    by_id = ["tiny", "small", "Small-2", "large_1", "largeX1", "it's", "and"]
    assert names(http) == names(http, orderBy="ID") == names(http, orderBy="CREATE_TIME") == by_id
    assert names(http, orderBy="ID", sortOrder="DESC") == by_id[::-1]
    assert names(http, orderBy="LAST_UPDATE_TIME") == [*by_id[1:], "tiny"]
    assert names(http, orderBy="LAST_UPDATE_TIME", sortOrder="DESC") == ["tiny", *by_id[:0:-1]]


def test_a_filter_is_refused_where_the_real_server_filters(http):
    answer = http.get("/registered_models", params={"filterQuery": "name = 'tiny'"})
    assert (answer.status_code, "filterQuery" in answer.json()["message"]) == (400, True)
    assert http.get("/model_artifacts", params={"filterQuery": "name = 'x'"}).status_code == 200, "ignored there"


@pytest.mark.parametrize("order", ["ID", "CREATE_TIME", "LAST_UPDATE_TIME"])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("size", [1, 3, 7, 8])
def test_pages_together_are_the_whole_list(http, order, direction, size):
    query = {"orderBy": order, "sortOrder": direction, "pageSize": str(size)}
    whole = names(http, **{**query, "pageSize": "0"})
    seen: list[str] = []
    token = ""
    while True:
        page = http.get("/registered_models", params={**query, "nextPageToken": token}).json()
        assert page["size"] == len(page["items"]) <= size == page["pageSize"]
        seen += [item["name"] for item in page["items"]]
        if not (token := page["nextPageToken"]):
            break
    assert seen == whole
    assert len(whole) == 7


def test_the_token_depends_on_the_last_row_only(http):
    tokens = {http.get("/registered_models", params={"pageSize": "2"}).json()["nextPageToken"] for _ in range(3)}
    assert len(tokens) == 1


def test_the_lists_of_a_parent_take_types(http):
    made = http.post("/model_versions", json={"name": "1", "registeredModelId": "1"}).json()
    for kind in ("doc-artifact", "model-artifact"):
        body = {"artifactType": kind, "name": kind, "uri": "u", "customProperties": properties(n=1)}
        http.post(f"/model_versions/{made['id']}/artifacts", json=body)

    def of(path: str, **query: str) -> list[str]:
        return [item["name"] for item in http.get(path, params=query).json()["items"]]

    children = f"/model_versions/{made['id']}/artifacts"
    assert of("/registered_models/1/versions") == ["1"]
    assert of(children) == ["doc-artifact", "model-artifact"]
    assert (
        of(children, artifactType="doc-artifact") == of("/artifacts", artifactType="doc-artifact") == ["doc-artifact"]
    )
    assert of("/model_artifacts") == ["model-artifact"]
    assert of(children, artifactType="metric") == []
