"""The matching, held against what BFCL's own checker said of the same calls."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from helpers.evaluation.tool_calling.matching import Error, check
from helpers.evaluation.tool_calling.rows import ToolRow

RECORDED = json.loads(Path(__file__).with_name("bfcl_verdicts.json").read_text("utf-8"))
KINDS = {
    "wrong_count": {Error.COUNT, Error.NO_CALL}, "wrong_func_name": {Error.NAME}, "missing_required": {Error.MISSING},
    "missing_optional": {Error.MISSING}, "unexpected_param": {Error.UNEXPECTED},
    "list/tuple": {Error.VALUE, Error.TYPE},  # BFCL looks at no item's type where the argument may be absent
}  # fmt: skip


def a_row(values):
    functions = [{"description": "Does it", **function} for function in values["functions"]]
    return ToolRow(id="1", prompt="Do it", **values | {"functions": functions})


ROWS = [a_row(values) for values in RECORDED["rows"]]


def judged(row, calls):
    return check(row.schemas, [next(iter(call.items())) for call in calls], row.expected)


def test_every_verdict_and_error_is_bfcls():
    assert len(RECORDED["cases"]) > 100
    for case in RECORDED["cases"]:
        row = ROWS[case["row"]]
        wrong = judged(row, case["calls"])
        assert (wrong is None) == case["valid"], case
        if wrong and row.category != "parallel":  # of many, BFCL says only that none fits
            group, _, kind = case["error"].partition(":")
            assert wrong.error in KINDS.get(kind, {Error.TYPE if group == "type_error" else Error.VALUE}), case


SCALE = {"scale": {"name": "web-front", "replicas": 5}}


@pytest.mark.parametrize(
    ("calls", "error"),
    [
        ([SCALE], None),
        ([{"scale": {"name": "WEB FRONT", "replicas": 5, "namespace": "default"}}], None),
        ([], Error.NO_CALL),
        ([SCALE, SCALE], Error.COUNT),
        ([{"drain": SCALE["scale"]}], Error.NAME),
        ([{"scale": {"name": "web-front"}}], Error.MISSING),
        ([{"scale": SCALE["scale"] | {"now": True}}], Error.UNEXPECTED),
        ([{"scale": SCALE["scale"] | {"replicas": "5"}}], Error.TYPE),
        ([{"scale": SCALE["scale"] | {"replicas": 5.0}}], Error.TYPE),
        ([{"scale": SCALE["scale"] | {"replicas": True}}], Error.TYPE),
        ([{"scale": SCALE["scale"] | {"replicas": 6}}], Error.VALUE),
    ],
)
def test_each_error_has_its_kind(calls, error):
    wrong = judged(ROWS[0], calls)
    assert (wrong and wrong.error) == error


def test_parallel_calls_have_no_order_and_each_counts_once():
    first, second, third = {"drain": {"node": "a-1"}}, {"cordon": {"node": "b.2"}}, {"cordon": {"node": "c"}}
    assert judged(ROWS[-1], [third, second, first]) is None
    wrong = judged(ROWS[-1], [first, third, third])
    assert wrong.error == Error.VALUE, "the call of the same function says more than the other ones"
    twice = [{"cordon": {"node": ["b", "c"]}}] * 2
    assert check(ROWS[-1].schemas, [("cordon", {"node": "b"}), ("cordon", {"node": "c"})], twice) is None
    assert check(ROWS[-1].schemas, [("cordon", {"node": "b"}), ("cordon", {"node": "x"})], twice).error == Error.VALUE
