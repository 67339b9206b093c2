"""ai-engineer on a hosted chat model: with real GuideLLM and lm-eval, from the lookup to the comparison."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile

import pytest

from helpers.analysis.comparison import Comparison
from helpers.artifacts import Record
from helpers.pipelines import Pipeline
from helpers.registry import connect
from helpers.runtime.workspace import ROOT
from tests.plugins.hosted_api import CANARY, hosting

TASK = """
task: hosted_letters
dataset_path: json
dataset_kwargs: {data_files: {test: letters.jsonl}}
test_split: test
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{answer}}"
generation_kwargs: {until: ["\\n"], max_gen_toks: 8}
metric_list: [{metric: exact_match, aggregation: mean, higher_is_better: true}]
"""
LETTERS = "AABAABAB"  # the model always answers A

pytestmark = pytest.mark.load


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder of a whole run, what it printed, and the API that it asked."""
    place = tmp_path_factory.mktemp("hosted")
    tasks = place / "tasks"
    tasks.mkdir()
    (tasks / "letters.yaml").write_text(TASK)
    rows = [{"question": f"Which letter has number {n}?", "answer": letter} for n, letter in enumerate(LETTERS)]
    (tasks / "letters.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    environment = os.environ | {"ASSAY_HOME": str(place / "home"), "ENDPOINT_API_KEY": CANARY}
    with hosting(strict=True) as api:
        given = {
            "TARGET": "existing", "ENDPOINT_URL": f"{api.url}/v1", "ENDPOINT_MODEL": api.model, "USE_CASE": "hosted",
            "PROMPTS": "datasets/ops-assistant/prompts.jsonl",
            "TASK": "hosted_letters", "INCLUDE_PATH": str(tasks), "REPEATS": "1", "WARMUP": "2", "MAX_SECONDS": "3",
        }  # fmt: skip
        command = [sys.executable, "-m", "helpers.local.run_pipeline", "ai-engineer", "--runs", str(place / "runs")]
        words = [f"{name}={value}" for name, value in given.items()]
        done = subprocess.run(
            [*command, *words], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=540
        )
        yield place, done, api
    down = [sys.executable, "-m", "helpers.local.stack", "down"]
    subprocess.run(down, cwd=ROOT, env=environment, check=True, capture_output=True, timeout=60)


def artifacts(place):
    [run] = [path for path in (place / "runs").iterdir() if not path.is_symlink()]
    return run / "notebooks" / "artifacts"


def test_every_stage_ends_green(finished):
    place, done, _ = finished
    assert done.returncode == 0, done.stdout + done.stderr
    for stage in Pipeline("ai-engineer").stages:
        notebook = json.loads((artifacts(place).parent / f"{stage}.ipynb").read_text())
        assert notebook["metadata"]["papermill"]["exception"] is None


def test_the_record_is_the_endpoints_own_and_says_what_is_not_known(finished):
    place, _, api = finished
    record = Record.read(artifacts(place))
    assert (record.selection.name, record.selection.uri, record.selection.digest) == ("org-chat-1", api.url, "")
    assert (record.endpoint.target, record.endpoint.tokenizer, str(record.endpoint.hardware)) == (
        "existing",
        "",
        "unknown",
    )
    assert not record.endpoint.digest_verified
    assert record.approval is None
    assert (record.sweep.taken_from, record.evaluation.taken_from) == ("", "")


def test_it_was_measured_by_chat_and_nothing_else(finished):
    place, _, api = finished
    record = Record.read(artifacts(place))
    assert record.evaluation.api == "chat"
    assert (record.evaluation.n, record.evaluation.correct) == (len(LETTERS), LETTERS.count("A"))
    assert any(point.successful for point in record.sweep.points)
    assert not any(point.errored for point in record.sweep.points)
    scored = [body for _, body in api.asked if body.get("logprobs") or body.get("echo")]
    assert scored == []


def test_it_is_compared(finished):
    place, _, _ = finished
    [standing] = Comparison.read(artifacts(place)).standings
    assert standing.name == "org-chat-1"


def test_it_stays_a_candidate_in_the_registry(finished, monkeypatch):
    place, _, api = finished
    monkeypatch.setenv("ASSAY_HOME", str(place / "home"))
    [version] = connect("local").versions()
    assert (version.properties["endpoint"], version.properties["approval"]) == (api.url, "candidate")
    assert version.properties["digest"] == "unknown"


def test_the_key_is_nowhere(finished):
    place, done, _ = finished
    assert CANARY not in done.stdout + done.stderr
    files = [path for path in place.rglob("*") if path.is_file()]
    assert len(files) > 50
    for path in files:
        assert CANARY.encode() not in b"".join(contents(path)), path


def contents(path):
    yield path.read_bytes()
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            yield from (archive.read(name) for name in archive.namelist())
    elif tarfile.is_tarfile(path):
        with tarfile.open(path) as archive:
            yield from (archive.extractfile(item).read() for item in archive if item.isfile())
