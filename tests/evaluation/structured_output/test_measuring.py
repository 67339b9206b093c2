"""Each row asked twice, against a server that answers as it is told to."""

from __future__ import annotations

import asyncio
import signal
import threading

import pytest

from helpers.artifacts import Evaluation
from helpers.errors import EmptyAnswers, EndpointUnreachable, IncompleteCoverage, NotMeasurable
from helpers.evaluation.samples import read_samples
from helpers.evaluation.told import PAIRED, summary
from tests.evaluation.structured_output.conftest import CUT_OFF, ROWS, SCHEMA


def figures(evaluation):
    return {metric.name: (metric.value, metric.n) for metric in evaluation.metrics}


def by_id(measure, evaluation):
    return {sample.id: sample for sample in read_samples(measure.folder / evaluation.samples, evaluation.metric)}


def test_each_row_is_asked_unaided_and_with_its_schema(measure, answers, server):
    answers.unaided = {0: "Zero.", 1: '```\n{"n": 1}\n```', 2: '{"n": "two"}'}
    answers.constrained = {3: '{"n": 4}'}
    found = measure()
    assert (found.tier, found.evaluator, found.metric, found.score, found.n) == (
        "format", "structured_output", "schema_valid", 1.0, ROWS,
    )  # fmt: skip
    told = figures(found)
    assert told["fields"] == (pytest.approx(5 / 6), ROWS)
    assert told["unaided_schema_valid"] == (pytest.approx(4 / 6), ROWS)
    assert told["unaided_valid_json"] == (pytest.approx(5 / 6), ROWS)
    assert told["unaided_ended"] == (1.0, ROWS)
    assert found.detail["unaided form"] == {"no JSON": 1, "fenced": 1, "bare": 4}
    assert found.detail["unaided"] == {"no JSON": 1, "valid": 4, "type": 1}
    pair = found.detail[PAIRED]["schema_valid against unaided_schema_valid"]
    assert (pair["both"], pair["only_first"], pair["only_second"], pair["p_value"]) == (4, 2, 0, 0.5)
    assert "schema_valid against unaided_schema_valid" in summary(found)
    rows = [body for body in server.chats if body["messages"][-1]["content"].startswith("Number")]
    assert len(rows) == 2 * ROWS
    assert sum(body.get("response_format", {}).get("json_schema", {}).get("strict", False) for body in rows) == ROWS
    found.write(measure.folder)
    assert Evaluation.read_named("formatting", measure.folder).detail == found.detail


def test_what_is_cut_off_is_never_invalid(measure, answers):
    answers.constrained = {0: CUT_OFF, 1: {"content": ""}}
    answers.unaided = {2: CUT_OFF, 3: {"content": None}}
    found = measure()
    assert (found.score, found.n, found.truncated, found.empty, found.total) == (1.0, 4, 1, 1, ROWS)
    told = figures(found)
    assert told["unaided_schema_valid"] == (1.0, 2)
    assert told["unaided_ended"] == (pytest.approx(4 / 6), ROWS)
    pair = found.detail[PAIRED]["schema_valid against unaided_schema_valid"]
    assert (pair["both"], pair["neither"]) == (2, 0)
    samples = by_id(measure, found)
    assert [samples[f"r{row}"].status for row in range(4)] == ["truncated", "empty", "answered", "answered"]
    assert list(samples["r2"].scores) == ["schema_valid", "valid_json", "fields"]
    assert found.detail["constrained"] == {"cut off": 1, "without text": 1, "valid": 4}


def test_where_most_constrained_answers_are_cut_off_nothing_is_said(measure, answers):
    answers.constrained = dict.fromkeys(range(4), CUT_OFF)
    with pytest.raises(EmptyAnswers, match="4 cut off"):
        measure()


def test_a_finished_answer_that_breaks_its_schema_is_told_as_the_servers_fault(measure, answers):
    answers.constrained = {0: '{"n": "zero"}', 1: "One."}
    found = measure()
    assert (found.score, found.unparsed) == (pytest.approx(4 / 6), 1)
    [line] = [line for line in measure.shown if "did not hold 2" in line]
    assert "type (1)" in line
    assert "no JSON (1)" in line


@pytest.mark.parametrize("kind", ["unaided", "constrained"])
def test_a_row_of_which_a_request_failed_is_asked_again_and_the_others_are_not(measure, answers, server, kind):
    getattr(answers, kind)[1] = 400
    with pytest.raises(IncompleteCoverage, match="1 of 6"):
        measure()
    getattr(answers, kind).clear()
    server.chats.clear()
    found = measure()
    assert (found.n, found.failed) == (ROWS, 0)
    assert len([body for body in server.chats if body["messages"][-1]["content"] == "Number 0"]) == 0
    assert figures(found)[f"{'unaided_' if kind == 'unaided' else ''}ms_per_token"][1] == 1, "what was asked now"


def test_all_refused_schemas_are_told_before_the_rows_are_asked(measure, answers, rows, server):
    path = rows(lambda row: SCHEMA | ({"title": f"S{row}"} if row in (1, 2, 4) else {}))
    answers.refuses = lambda schema: schema.get("title") in ("S2", "S4")
    with pytest.raises(
        NotMeasurable, match=r"2 of 4 schemas of .*rows\.jsonl.*line 3 \(r2\): 400 Unimp.*line 5 \(r4\): 400 "
    ):
        measure(path)
    assert not [body for body in server.chats if body["messages"][-1]["content"].startswith("Number")]


def test_each_distinct_schema_is_tried_once_and_once_more_for_its_first_use(measure, answers, rows):
    found = measure(rows(lambda row: SCHEMA | {"title": f"S{row % 3}"}))
    assert answers.probes == 6
    assert figures(found)["schema_first_use"][1] == 3


def test_a_server_that_ignores_schemas_is_recognised(measure, answers, server):
    answers.obeys = False
    with pytest.raises(NotMeasurable, match="Hello!"):
        measure()
    assert len(server.chats) == 1


def test_a_server_with_another_key_is_no_server_without_schemas(measure, server):
    server.chat = lambda body: 401
    with pytest.raises(EndpointUnreachable):
        measure()


def test_a_trial_asks_the_first_rows_and_their_schemas(measure, answers, rows):
    found = measure(rows(lambda row: SCHEMA | {"title": f"S{row}"}), limit=2)
    assert (found.total, found.limit, found.trial) == (2, 2, True)
    assert answers.probes == 4


def test_it_measures_in_a_notebook_whose_loop_runs(measure, answers):
    async def cell():
        return measure()

    assert asyncio.run(cell()).n == ROWS


def test_an_interrupt_ends_it_in_a_notebook_too(measure, answers, server):
    waiting = threading.Event()
    answers.constrained, held = {0: {"content": "{}"}}, threading.Event()

    def slow(body):
        if body["max_tokens"] > 64 and len(server.chats) > 6:
            waiting.set()
            held.wait(20)
        return answers(body)

    server.chat = slow
    here = threading.get_ident()
    interrupting = threading.Thread(target=lambda: waiting.wait(30) and signal.pthread_kill(here, signal.SIGINT))

    async def cell():
        with pytest.raises(KeyboardInterrupt):
            measure()
        assert not held.is_set()
        assert len(server.chats) < 2 * ROWS, "no row is waited for"

    interrupting.start()
    loop = asyncio.new_event_loop()
    try:
        loop.run_until_complete(cell())
    finally:
        held.set()
        interrupting.join()
        loop.close()
