"""What is in a text."""

from __future__ import annotations

import pytest

from helpers.evaluation.structured_output.answers import NO_JSON, VALID, judge

PORT = {"type": "integer", "maximum": 9}
SCHEMA = {"type": "object", "properties": {"port": PORT}, "required": ["port"]}
GOOD = '{"port": 8}'
TEXTS = {
    GOOD: ("bare", VALID),
    f"\n {GOOD}\n": ("bare", VALID),
    f"Sure:\n```json\n{GOOD}\n```\nDone.": ("fenced", VALID),
    f"It is {{not}} this, but {GOOD}. Bye {{": ("embedded", VALID),
    '{"port": 80}': ("bare", "maximum"),
    '{"port": "8"}': ("bare", "type"),
    '{"port": true}': ("bare", "type"),
    "{}": ("bare", "required"),
    "8": ("bare", "type"),
    '{"port": NaN}': (NO_JSON, NO_JSON),
    '{"port": 8': (NO_JSON, NO_JSON),
    "Port 8.": (NO_JSON, NO_JSON),
    "[" * 100_000: (NO_JSON, NO_JSON),
}


@pytest.mark.parametrize(("text", "found"), TEXTS.items(), ids=range(len(TEXTS)))
def test_an_unaided_answer_may_stand_in_a_fence_or_among_words_and_a_constrained_one_not(text, found):
    free, held = (judge(text, SCHEMA, {}, bare=bare) for bare in (False, True))
    assert free[:2] == found
    assert held[:2] == (found if found[0] == "bare" else (NO_JSON, NO_JSON))
    assert free.scores("unaided_")["unaided_schema_valid"] == (found[1] == VALID)


@pytest.mark.parametrize(
    ("expected", "share"),
    [
        ({"port": 8}, 1.0), ({"port": 8.0}, 1.0), ({"port": True}, 0.0), ({"/list/1/a~1b": None}, 1.0),
        ({"port": 8, "none": None, "/list/9": 1, "list": [1, {"a/b": None}]}, 0.5), ({}, None),
    ],
)  # fmt: skip
def test_a_value_is_right_where_it_stands_there_as_json(expected, share):
    found = judge('{"port": 8, "list": [1, {"a/b": null}]}', SCHEMA, expected, bare=True)
    assert found.fields == share
    assert ("fields" in found.scores()) == (share is not None)


def test_formats_count():
    schema = {"type": "string", "format": "date"}
    assert [judge(text, schema, {}, bare=True).kind for text in ('"2026-02-28"', '"2026-02-30"')] == [VALID, "format"]
