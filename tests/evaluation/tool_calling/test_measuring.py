"""Measuring against a scripted server: what counts, what does not, and what is refused before the rows are asked."""

from __future__ import annotations

import json

import pytest

from helpers.artifacts import Evaluation
from helpers.errors import EmptyAnswers, IncompleteCoverage, InvalidDataset, NotMeasurable
from helpers.evaluation import told, tool_calling
from helpers.evaluation.samples import read_answers
from helpers.evaluation.tool_calling.matching import Error
from helpers.records.reuse import Settings as Known
from helpers.records.reuse import measure
from helpers.records.reuse.known import asked as wanted
from helpers.reporting.plots.tools import tool_calls
from helpers.runtime.workspace import ROOT
from tests.plugins.kernels import execute

FUNCTION = {
    "name": "scale",
    "description": "Set the replicas",
    "parameters": {
        "type": "object",
        "properties": {"name": {"type": "string"}, "replicas": {"type": "integer"}},
        "required": ["name", "replicas"],
    },
}
CALLING = [("simple", "web"), ("simple", "api"), ("multiple", "cart"), ("simple", "search")]


def rows():
    for number, (category, name) in enumerate(CALLING):
        expected = [{"scale": {"name": [name], "replicas": [3]}}]
        yield {"id": f"r{number}", "category": category, "prompt": f"Scale {name} to 3", "expected": expected}
    for number, category in enumerate(("irrelevance", "missing_information")):
        yield {"id": f"s{number}", "category": category, "prompt": f"Nothing {number}"}


@pytest.fixture
def settings(tmp_path):
    path = tmp_path / "tools.jsonl"
    path.write_text("".join(json.dumps(row | {"functions": [FUNCTION]}) + "\n" for row in rows()), "utf-8")
    return lambda **more: tool_calling.Settings(data=path, **more)


def call(arguments, name="scale", **more):
    text = arguments if isinstance(arguments, str) else json.dumps(arguments)
    called = [{"id": "1", "type": "function", "function": {"name": name, "arguments": text}}]
    return {"content": None, "tool_calls": called, "finish_reason": "tool_calls"} | more


def asked(body):
    """The name that a prompt is about."""
    return body["messages"][-1]["content"].split()[1]


def sees(body, found):
    """What the model answers, with the functions in the prompt."""
    if not isinstance(found, dict):
        return found
    return found | {"usage": found.get("usage", {}) | {"prompt_tokens": 40 if "tools" in body else 9}}


def right(body):
    if "tools" not in body or body["messages"][-1]["content"].startswith("Nothing"):
        return sees(body, {"content": "No function serves that."})
    return sees(body, call({"name": asked(body), "replicas": 3}))


@pytest.fixture
def evaluate(settings, endpoint, server, tmp_path):
    def run(chat=right, **more):
        server.chat = chat
        return tool_calling.evaluate(settings(**more), endpoint(), tmp_path / "artifacts", show=lambda line: None)

    return run


def figures(result):
    return {metric.name: (metric.value, metric.n) for metric in result.metrics}


def test_rows_with_calls_are_the_score_and_silence_stands_beside(evaluate, server, tmp_path):
    result = evaluate()
    assert figures(result) == {"called_right": (1.0, 4), "strict_right": (1.0, 4), "silent_right": (1.0, 2)}
    assert (result.tier, result.n, result.total, result.correct, result.partial) == ("tools", 4, 4, 4, "")
    bodies = [body for body in server.chats if "tools" in body and body["max_tokens"] > 1]
    assert sorted(body["tool_choice"] for body in bodies) == ["auto"] * 6 + ["required"] * 4
    assert all(
        body["tools"][0]["function"].get("strict", False) == (body["tool_choice"] == "required") for body in bodies
    )
    counted = read_answers(tmp_path / "artifacts" / result.samples, "called_right")
    assert sorted(counted) == ["r0", "r1", "r2", "r3"], "who compares sees the rows that count"
    assert len((tmp_path / "artifacts" / result.samples).read_text().splitlines()) == 6


def test_a_model_that_never_calls_gets_no_credit(evaluate):
    result = evaluate(lambda body: sees(body, {"content": "I would rather talk."}))
    assert figures(result) == {"called_right": (0.0, 4), "strict_right": (0.0, 4), "silent_right": (1.0, 2)}
    assert told.headline(result).endswith("0 of 4 right")
    assert result.detail["errors"][Error.NO_CALL] == {"auto": 4, "strict": 4}


def test_each_error_is_counted_by_its_kind_and_way(evaluate):
    def chat(body):
        if "tools" not in body or body["tool_choice"] == "required":
            return right(body)
        if body["messages"][-1]["content"].startswith("Nothing"):
            return sees(body, call({"name": "x", "replicas": 1}))
        text = {"content": '{"name": "scale", "arguments": {}}'}
        answers = {
            "web": call("{name: web}"), "api": text, "cart": call({"name": "cart", "replicas": "3"}),
            "search": call({"name": "search", "replicas": 4}),
        }  # fmt: skip
        return sees(body, answers[asked(body)])

    result = evaluate(chat)
    assert figures(result) == {"called_right": (0.0, 4), "strict_right": (1.0, 4), "silent_right": (0.0, 2)}
    free = {Error(kind): row["auto"] for kind, row in result.detail["errors"].items() if "auto" in row}
    [pair] = result.detail[told.PAIRED].values()
    assert (pair["only_first"], pair["only_second"], pair["difference"]) == (4, 0, 1.0)
    assert "strict_right against called_right: +1.000" in told.summary(result)
    once = dict.fromkeys((Error.NO_JSON, Error.IN_TEXT, Error.TYPE, Error.VALUE), 1)
    assert free == once | {Error.NOT_WANTED: 2}
    assert result.detail["categories"]["simple"] == {"auto_n": 3, "auto_right": 0, "strict_n": 3, "strict_right": 3}


def test_what_was_cut_off_is_no_wrong_call_though_the_server_calls_it_whole(evaluate):
    def chat(body):
        if "tools" in body and body["max_tokens"] > 1 and asked(body) == "web":
            return sees(body, call('{"name": "web', usage={"completion_tokens": body["max_tokens"]}))
        return right(body)

    result = evaluate(chat)
    assert (result.n, result.truncated, result.score) == (3, 1, 1.0)
    assert result.detail["errors"]["truncated"] == {"auto": 1, "strict": 1}


def test_answers_that_are_mostly_cut_off_are_refused(evaluate):
    with pytest.raises(EmptyAnswers):
        evaluate(lambda body: sees(body, {"content": "Well, well", "finish_reason": "length"}))


def test_a_request_that_fails_leaves_the_row_without_an_answer_and_is_asked_again(evaluate, server):
    def broken(body):
        strict = body.get("tool_choice") == "required" and body["max_tokens"] > 1
        return 400 if strict and asked(body) == "api" else right(body)

    with pytest.raises(IncompleteCoverage):
        evaluate(broken)
    server.chats.clear()
    assert evaluate().n == 4
    assert len([body for body in server.chats if body["max_tokens"] > 1]) == 1, "what was answered is kept"


def test_a_server_without_a_parser_is_told_what_to_set(evaluate, server):
    def chat(body):
        return "auto tool choice requires a parser" if body.get("tool_choice") == "auto" else right(body)

    with pytest.raises(NotMeasurable) as refused:
        evaluate(chat)
    assert "--enable-auto-tool-choice --tool-call-parser" in refused.value.do
    assert "requires a parser" in refused.value.what
    assert len(server.chats) <= 3


def test_a_template_that_drops_the_functions_is_refused_before_the_rows_are_asked(evaluate, server):
    with pytest.raises(NotMeasurable, match="leaves the functions out"):
        evaluate(lambda body: {"content": "Hello", "usage": {"prompt_tokens": 39}})
    assert len(server.chats) <= 3


def test_a_server_without_strict_functions_is_measured_freely(evaluate):
    result = evaluate(lambda body: "strict?" if body.get("tool_choice") == "required" else right(body))
    assert figures(result) == {"called_right": (1.0, 4), "silent_right": (1.0, 2)}


def test_first_rows_without_a_call_are_refused(settings, tmp_path):
    path = tmp_path / "turned.jsonl"
    path.write_text("".join(reversed(settings().data.read_text().splitlines(keepends=True))), "utf-8")
    with pytest.raises(InvalidDataset, match="LIMIT"):
        tool_calling.content(settings().model_copy(update={"data": path, "limit": 2}))


def test_what_was_measured_stands_and_what_is_not_wanted_is_not_measured(
    settings, endpoint, server, registry_server, tmp_path
):
    server.chat = right
    verified = endpoint(target="local", digest_verified=True)
    known = Known(registry="local")
    first = measure(settings(), verified, known, tmp_path / "artifacts", say=lambda line: None)
    first.write(tmp_path / "artifacts")
    server.chats.clear()
    again = measure(settings(), verified, known, tmp_path / "artifacts", say=lambda line: None)
    assert (again.identity, again.score, server.chats) == (first.identity, 1.0, [])
    wanted("tool_calling", "mine", first.identity).named(first).write(tmp_path / "again")
    assert Evaluation.read_named("mine", tmp_path / "again").report == "", "no tool of its own wrote one"
    nothing = measure(tool_calling.Settings(unwanted="nobody asks"), verified, known, tmp_path / "artifacts")
    assert "nobody asks" in told.summary(nothing)
    assert tool_calls(nothing) is None


def test_the_figure_shows_every_category_and_error(evaluate):
    figure = tool_calls(evaluate(lambda body: sees(body, {"content": "I would rather talk."})))
    left, right_hand = figure.axes
    assert [label.get_text().split(" (")[0] for label in left.get_yticklabels()] == [
        "multiple", "simple", "irrelevance", "missing information",
    ]  # fmt: skip
    assert [label.get_text() for label in right_hand.get_yticklabels()] == [Error.NO_CALL]


def test_the_notebook_leaves_the_measurement_and_its_figure(settings, endpoint, server, tmp_path, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    server.chat = right
    endpoint(digest="", tokenizer="").write(tmp_path / "artifacts")
    (tmp_path / "datasets").symlink_to(ROOT / "datasets")
    notebook = ROOT / "notebooks" / "tool_calling.ipynb"
    done = execute(notebook, tmp_path / "out.ipynb", parameters={"data": str(settings().data)}, cwd=tmp_path)
    assert Evaluation.read_named("tools", tmp_path / "artifacts").correct == 4
    shown = [output for cell in done.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in shown)
