"""Rows, and a server that answers them as it is told to."""

from __future__ import annotations

import json

import pytest

from helpers.evaluation.structured_output import Settings
from helpers.evaluation.structured_output.measuring import evaluate
from helpers.evaluation.structured_output.probing import OBEYED, WORD

SCHEMA = {
    "type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False,
}  # fmt: skip
ROWS = 6


class Answers:
    """What the scripted server says: to a probe, and to row k unaided and constrained."""

    def __init__(self):
        self.unaided, self.constrained, self.probes = {}, {}, 0
        self.refuses = lambda schema: False
        self.obeys = True

    def __call__(self, body):
        held = body.get("response_format", {}).get("json_schema", {}).get("schema")
        if held == OBEYED:
            return {"content": json.dumps({"word": WORD}) if self.obeys else "Hello!"}
        if body["max_tokens"] == 1:
            self.probes += 1
            return "Unimplemented keys" if self.refuses(held) else {"content": "{"}
        row = int(body["messages"][-1]["content"].removeprefix("Number "))
        said = (self.constrained if held else self.unaided).get(row, json.dumps({"n": row}))
        return {"content": said} if isinstance(said, str) else said


CUT_OFF = {"content": '{"n": 111', "finish_reason": "length"}


@pytest.fixture
def answers(server):
    server.chat = Answers()
    return server.chat


@pytest.fixture
def rows(tmp_path):
    def write(schema=lambda row: SCHEMA, count=ROWS):
        path = tmp_path / "rows.jsonl"
        lines = [
            {"id": f"r{row}", "category": "odd" if row % 2 else "even", "prompt": f"Number {row}",
             "schema": schema(row), "fields": {"n": row}}
            for row in range(count)
        ]  # fmt: skip
        path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
        return path

    return write


@pytest.fixture
def measure(rows, endpoint, answers, tmp_path):
    folder = tmp_path / "artifacts"
    folder.mkdir()

    def run(path=None, **more):
        run.shown = []
        settings = Settings(**{"name": "formatting", "data": path or rows(), "num_concurrent": 2} | more)
        return evaluate(settings, endpoint(), folder, show=run.shown.append)

    run.folder = folder
    return run
