"""The rows: what is refused with line and field, and BFCL's own form."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from helpers.errors import InvalidDataset
from helpers.evaluation.tool_calling.rows import SILENT, read_rows, sources
from helpers.evaluation.tool_calling.schemas import translated
from helpers.runtime.workspace import ROOT

OPS = ROOT / "datasets" / "ops-assistant" / "tools.jsonl"
SCALE = {
    "name": "scale",
    "description": "Set the replicas",
    "parameters": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]},
}
ROW = {
    "id": "1", "category": "simple", "prompt": "Scale web", "functions": [SCALE],
    "expected": [{"scale": {"name": ["web"]}}],
}  # fmt: skip


def written(folder, *rows, name="tools.jsonl"):
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


def test_the_use_cases_rows_cover_every_category():
    rows = read_rows(OPS)
    counts = Counter(row.category for row in rows)
    assert counts == {"simple": 20, "multiple": 12, "parallel": 10, "irrelevance": 10, "missing_information": 8}
    assert all(bool(row.expected) != (row.category in SILENT) for row in rows)
    assert len({function.name for row in rows for function in row.functions}) >= 20


def test_what_cannot_be_answered_is_refused_with_every_line(tmp_path):
    other = {"name": "b", "prompt": "B"}
    path = written(
        tmp_path,
        ROW,
        ROW | {"id": "2", "prompt": "2", "expected": [{"drain": {"name": ["web"]}}]},
        ROW | {"id": "3", "prompt": "3", "expected": [{"scale": {"replicas": [1], "name": ["web"]}}]},
        ROW | {"id": "4", "prompt": "4", "expected": [{"scale": {}}]},
        ROW | {"id": "5", "prompt": "5", "expected": []},
        ROW | {"id": "6", "prompt": "6", "category": "irrelevance"},
        ROW | {"id": "7", "prompt": "7", "functions": [SCALE | {"parameters": {"type": "string"}}]},
        ROW | {"id": "8", "prompt": "8", "functions": [SCALE, SCALE]},
        ROW | {"id": "9", "prompt": None},
        ROW | {"id": "10", "prompt": "10", "category": "parallel"},
        ROW | {"id": "11", "prompt": "11", "expected": [{"scale": {"name": []}}]},
        other,
    )
    with pytest.raises(InvalidDataset) as refused:
        read_rows(path)
    assert all(f"line {number}," in refused.value.what for number in range(2, 13))
    assert "line 1," not in refused.value.what


def test_rows_of_which_none_expects_a_call_measure_nothing(tmp_path):
    silent = {key: value for key, value in ROW.items() if key != "expected"} | {"category": "irrelevance"}
    with pytest.raises(InvalidDataset, match="no row expects a call"):
        read_rows(written(tmp_path, silent))


BFCL = {
    "id": "simple_python_0",
    "question": [[{"role": "user", "content": "Area of a circle of radius 2?"}]],
    "function": [{
        "name": "circle.area", "description": "Area of a circle",
        "parameters": {"type": "dict", "required": ["radius"], "properties": {
            "radius": {"type": "float"}, "type": {"type": "any"}, "at": {"type": "tuple", "items": {"type": "float"}},
        }},
    }],
}  # fmt: skip
TRUTH = {"id": "simple_python_0", "ground_truth": [{"circle.area": {"radius": [2.0], "type": ["", "exact"]}}]}


def test_bfcls_files_are_read_as_they_are_with_the_answers_beside(tmp_path):
    path = written(tmp_path, BFCL, name="BFCL_v4_simple_python.json")
    answers = written(tmp_path, TRUTH, name="possible_answer/BFCL_v4_simple_python.json")
    [row] = read_rows(path)
    assert (row.category, row.asked, row.functions[0].name) == (
        "simple",
        BFCL["question"][0][0]["content"],
        "circle_area",
    )
    assert row.expected == [{"circle_area": {"radius": [2.0], "type": ["", "exact"]}}]
    schema = row.functions[0].parameters
    assert [schema["type"], schema["properties"]["radius"]["type"]] == ["object", "number"]
    assert schema["properties"]["type"] == {}, "any is a schema without a type, and a property called type stays"
    assert schema["properties"]["at"] == {"type": "array", "items": {"type": "number"}}
    assert sources(path) == {path.name: path, f"answers/{path.name}": answers}


def test_bfcls_rows_that_no_function_serves_are_asked_with_its_calls(tmp_path):
    calls = [BFCL | {"id": f"simple_python_{number}"} for number in range(4)]
    path = written(tmp_path, *calls, name="BFCL_v4_simple_python.json")
    written(tmp_path, *[TRUTH | {"id": each["id"]} for each in calls], name=f"possible_answer/{path.name}")
    silent = written(tmp_path, *[BFCL | {"id": f"irrelevance_{n}"} for n in range(2)], name="BFCL_v4_irrelevance.json")
    written(tmp_path, BFCL | {"id": "live_irrelevance_0"}, name="BFCL_v4_live_irrelevance.json")
    rows = read_rows(path)
    assert Counter(row.category for row in rows) == {"simple": 4, "irrelevance": 2}
    assert {row.category for row in rows[:3]} == {"simple", "irrelevance"}, "the first rows are a sample of both"
    assert not any(row.expected for row in rows if row.category == "irrelevance")
    assert sources(path)[silent.name] == silent


@pytest.mark.parametrize("category", ["simple_java", "multi_turn_base", "irrelevance", "live_irrelevance"])
def test_bfcls_other_data_is_refused(tmp_path, category):
    with pytest.raises(InvalidDataset, match=category):
        read_rows(written(tmp_path, BFCL, name=f"BFCL_v4_{category}.json"))


def test_json_schema_stays_as_it_is():
    assert translated(SCALE["parameters"]) == SCALE["parameters"]
