"""Filters, order and pages of the embedded registry's lists."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.local.registry.errors import ApiError
from helpers.local.registry.filters import parse_filter
from helpers.local.registry.store import Store
from tests.plugins.registry import MEMORY, serving

WORDS = ["name", "id", "`a b`", "p.int_value", "=", "!=", "<", "LIKE", "ILIKE", "IN", "(", ")", ",", "AND", "OR"]
WORDS += ["'x%'", '"y"', "1", "-2.5", "1e999", "9" * 30, "true", "--", ";", "'"]
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


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("name = 'tiny'", ["tiny"]),
        ('name="tiny"', ["tiny"]),
        ("name != 'tiny' AND id < 3", ["small"]),
        ("name <> 'tiny' and id <= 3", ["small", "Small-2"]),
        ("id > 5 AND id >= 6", ["it's", "and"]),
        ("name LIKE 'small%'", ["small"]),
        ("name ILIKE 'SMALL%'", ["small", "Small-2"]),
        ("name LIKE 'large_1'", ["large_1", "largeX1"]),
        (r"name LIKE 'large\_1'", ["large_1"]),
        ("name LIKE '%.*%'", []),
        ("name IN ('tiny', 'and')", ["tiny", "and"]),
        ("layers IN (2, 4)", ["tiny", "small"]),
        ("state = 'ARCHIVED'", ["large_1"]),
        ("externalId = 'ext'", ["largeX1"]),
        ("owner = 'ann'", ["tiny"]),
        ("name = 'it''s'", ["it's"]),
        (r"name = 'it\'s'", ["it's"]),
        ('name = "it\'s"', ["it's"]),
        (r'description = "say \"hi\""', ["it's"]),
        ("accuracy > 0.6", ["small", "Small-2"]),
        ("accuracy >= 1", ["Small-2"]),
        ("accuracy.double_value > 0.6", ["small"]),
        ("accuracy.int_value = 1", ["Small-2"]),
        ("accuracy = 5e-1", ["tiny"]),
        ("layers < 10", ["tiny", "small"]),
        ("license.string_value = 'mit'", ["tiny", "Small-2"]),
        ("license LIKE 'a%'", ["small"]),
        ("approved = TRUE", ["Small-2"]),
        ("approved.bool_value = false", []),
        ("`a-b.c` = 'dotted'", ["large_1"]),
        ("`a-b.c`.string_value = 'dotted'", ["large_1"]),
        ("order = 'in'", ["and"]),
        ("name = 'tiny' OR name = 'small' AND layers = 2", ["tiny"]),
        ("(name = 'tiny' OR name = 'small') AND (layers = 4)", ["small"]),
        ("unknown = 'x'", []),
        ("name = 'x'' OR ''1''=''1'", []),
        ("`x') OR 1=1 --` = 'y'", []),
        ("createTimeSinceEpoch > 0 AND lastUpdateTimeSinceEpoch < 1", []),
    ],
)
def test_a_filter_selects(http, query, expected):
    assert names(http, filterQuery=query) == expected


@settings(max_examples=300, deadline=None)
@given(text=st.text() | st.lists(st.sampled_from(WORDS)).map(" ".join))
def test_any_filter_is_answered_or_refused(text):
    status = 200
    with closing(Store(MEMORY)) as store:
        try:
            store.select("context", [parse_filter(text)])
        except ApiError as error:
            status = error.status
    assert status in (200, 400)


def test_order(http):
    by_id = ["tiny", "small", "Small-2", "large_1", "largeX1", "it's", "and"]
    assert names(http) == names(http, orderBy="ID") == names(http, orderBy="CREATE_TIME") == by_id
    assert names(http, orderBy="ID", sortOrder="DESC") == by_id[::-1]
    assert names(http, orderBy="LAST_UPDATE_TIME") == [*by_id[1:], "tiny"]
    assert names(http, orderBy="LAST_UPDATE_TIME", sortOrder="DESC") == ["tiny", *by_id[:0:-1]]


@pytest.mark.parametrize("order", ["ID", "CREATE_TIME", "LAST_UPDATE_TIME"])
@pytest.mark.parametrize("direction", ["ASC", "DESC"])
@pytest.mark.parametrize("size", [1, 3, 7, 8])
def test_pages_together_are_the_whole_list(http, order, direction, size):
    query = {"orderBy": order, "sortOrder": direction, "filterQuery": "id > 0", "pageSize": str(size)}
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


def test_the_lists_of_a_parent_take_names_types_and_filters(http):
    made = http.post("/model_versions", json={"name": "1", "registeredModelId": "1"}).json()
    for kind in ("doc-artifact", "model-artifact"):
        body = {"artifactType": kind, "name": kind, "uri": "u", "customProperties": properties(n=1)}
        http.post(f"/model_versions/{made['id']}/artifacts", json=body)

    def of(path: str, **query: str) -> list[str]:
        return [item["name"] for item in http.get(path, params=query).json()["items"]]

    children = f"/model_versions/{made['id']}/artifacts"
    assert of("/registered_models/1/versions", name="1") == ["1"]
    assert of("/registered_models/1/versions", name="2") == []
    assert of("/model_versions", filterQuery="registeredModelId = 1") == ["1"]
    assert of(children) == of(children, filterQuery="n = 1") == ["doc-artifact", "model-artifact"]
    assert (
        of(children, artifactType="doc-artifact") == of("/artifacts", artifactType="doc-artifact") == ["doc-artifact"]
    )
    assert of(children, name="model-artifact") == of("/model_artifacts") == ["model-artifact"]
    assert of(children, filterQuery="artifactType = 'doc-artifact'") == ["doc-artifact"]
