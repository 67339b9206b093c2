"""What is refused before anything is asked, and what is told."""

from __future__ import annotations

import json

import pytest

from helpers.errors import InvalidDataset
from helpers.evaluation import evaluator
from helpers.evaluation.structured_output import Settings, schemas
from helpers.evaluation.structured_output.measuring import content
from helpers.evaluation.structured_output.probing import warnings
from helpers.evaluation.structured_output.rows import load_rows
from helpers.runtime.workspace import ROOT

OWN = ROOT / "datasets" / "ops-assistant" / "formats.jsonl"
WORD = {"type": "string", "maxLength": 9}


def an_object(**properties):
    return {
        "type": "object", "properties": properties, "required": list(properties), "additionalProperties": False,
    }  # fmt: skip


def write(path, *rows):
    path.write_text("".join(json.dumps({"category": "flat"} | row) + "\n" for row in rows), "utf-8")
    return path


BAD = {
    "no schema": ({"type": "text"}, {}, "schema"),
    "exclusiveMinimum as draft 4 had it": ({"type": "integer", "exclusiveMinimum": True}, {}, "schema"),
    "an unknown draft": ({"$schema": "https://example.com/draft"}, {}, "schema"),
    "a reference into nothing": (an_object(a={"$ref": "#/$defs/a"}), {}, "schema"),
    "a reference to the network": (an_object(a={"$ref": "https://example.com/a.json"}), {}, "schema"),
    "a value that the schema does not allow": (an_object(a={"enum": ["x"]}), {"a": "y"}, "fields"),
    "a deep value that the schema does not allow": (an_object(a=an_object(b=WORD)), {"/a/b": 1}, "fields"),
    "a value at a name that the schema has not": (an_object(a=WORD), {"/a/b": "x", "c": "x"}, "fields"),
}


@pytest.mark.parametrize(("schema", "fields", "field"), BAD.values(), ids=BAD)
def test_a_bad_row_is_refused_with_its_line_and_field(tmp_path, schema, fields, field):
    good = {"id": "a", "prompt": "A?", "schema": an_object(a=WORD)}
    path = write(tmp_path / "rows.jsonl", good, {"id": "b", "prompt": "B?", "schema": schema, "fields": fields})
    with pytest.raises(InvalidDataset, match=rf"line 2, field {field}") as refused:
        content(Settings(name="formatting", data=path))
    assert "line 1" not in str(refused.value)


def test_all_bad_rows_are_told_at_once(tmp_path):
    rows = [{"id": str(n), "prompt": f"{n}?", "schema": {"type": n}} for n in range(3)]
    with pytest.raises(InvalidDataset, match=r"line 1, .*line 2, .*line 3, "):
        load_rows(write(tmp_path / "rows.jsonl", *rows))


@pytest.mark.parametrize("draft", [3, 4, 6, 7])
def test_a_schema_is_judged_by_the_draft_that_it_names(draft):
    named = {"$schema": f"http://json-schema.org/draft-0{draft}/schema#", "maximum": 3}
    strict = {"exclusiveMaximum": True} if draft < 6 else {"exclusiveMaximum": 3}
    schemas.check(named | strict)
    assert schemas.validator(named | strict).is_valid(2)
    assert not schemas.validator(named | strict).is_valid(3)


def test_what_may_not_end_is_told_with_its_place(tmp_path):
    loose = an_object(
        a={"type": "string"}, b={"type": "array", "items": {"type": ["string", "null"]}},
        c={"type": "string", "pattern": "^(?=x)a$"}, d={"type": "string", "pattern": "^a+$"}, e={"type": "object"},
    )  # fmt: skip
    rows = load_rows(write(tmp_path / "rows.jsonl", {"id": "a", "prompt": "A?", "schema": loose}))
    told = warnings(tmp_path / "rows.jsonl", rows)
    assert sorted(schemas.doubts(loose)) == [
        *(("additionalProperties", "/e"), ("maxItems", "/b")),
        *(("maxLength", "/a"), ("maxLength", "/b/*"), ("maxLength", "/d"), ("pattern", "/c")),
    ]
    assert len(told) == 4
    assert all("line 1" in line for line in told)


def test_the_own_rows_are_sixty_and_more_and_raise_no_doubt():
    rows = load_rows(OWN)
    assert len(rows) >= 60
    assert not warnings(OWN, rows)
    assert all(row.fields for row in rows.values())
    assert {row.category for row in list(rows.values())[:4]} == {row.category for row in rows.values()}


def test_every_own_value_stands_in_the_prompt_unless_the_prompt_says_how_to_write_it():
    """Names are taken verbatim: an expected string that is no choice, date or time is in the text."""
    for row in load_rows(OWN).values():
        choices = json.dumps(row.shape)
        for value in row.fields.values():
            if isinstance(value, str) and not value[0].isdigit():
                assert value in row.prompt or json.dumps(value) in choices, row.id


def test_nothing_is_checked_of_a_stage_that_nobody_asked_for():
    assert evaluator.check("structured_output", "formatting", {"unwanted": "nobody asked"}).unwanted
