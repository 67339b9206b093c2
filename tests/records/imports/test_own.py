"""Assay's own measurements stand beside imported ones, and go out in the forms that other tools read."""

from __future__ import annotations

import json
import shutil

import pytest

from helpers.errors import InvalidResults
from helpers.records.exporting import export
from helpers.records.imports import alike, read_source
from tests.records.imports.conftest import FACTS

OWN, LM_EVAL = FACTS / "own", FACTS / "lm-eval-0.4.13"


def marks(found, name):
    """What of each answer decides a verdict."""
    counted = [sample for sample in found.samples[name] if sample.scores]
    return {sample.digest: (sample.score, sample.cluster, sample.category) for sample in counted}


def scores(found, name="ops_assistant"):
    return {sample.id: sample.score for sample in found.samples[name]}


@pytest.fixture
def run(tmp_path):
    """A run's folder with SmolLM2's answers."""
    folder = shutil.copytree(OWN / "smollm2", tmp_path / "artifacts")
    endpoint = {"model": "smollm2", "hardware": {"type": "cpu", "count": 2}}
    (folder / "endpoint.json").write_text(json.dumps(endpoint))
    return folder


def test_own_answers_and_lm_eval_s_are_the_same_questions(run):
    mine, theirs = read_source(str(run)), read_source(str(LM_EVAL / "smollm2"))
    assert (mine.model, str(mine.hardware)) == ("smollm2", "2 x cpu")
    assert [(each.task, each.imported) for each in mine.evaluations] == [("ops_assistant", False)]
    assert scores(mine) == scores(theirs)
    kept, notes = alike([mine, theirs])
    digests = {each.dataset_digest for source in kept for each in source.evaluations if each.task == "ops_assistant"}
    assert len(digests) == 1
    assert not [note for note in notes if "not compared" in note]


def test_a_run_without_its_log_is_refused(run):
    (run / "knowledge.samples.jsonl").unlink()
    with pytest.raises(InvalidResults, match=r"knowledge\.samples\.jsonl is not there"):
        read_source(str(run))


@pytest.mark.parametrize(
    "source",
    [LM_EVAL / "smollm2", OWN / "smollm2", FACTS / "promptfoo-0.121.20" / "ops-large.json"],
    ids=["lm-eval", "own", "promptfoo"],
)
def test_what_is_exported_reads_back_as_the_same_answers(source, tmp_path):
    found = read_source(str(source))
    card, *_ = export(found, tmp_path / "out")
    (results,) = (tmp_path / "out").glob("*/results_*")
    again = read_source(str(results))
    for mine, theirs in zip(found.evaluations, again.evaluations, strict=True):
        assert (theirs.score, theirs.n) == (pytest.approx(mine.score), mine.n)
        one, other = marks(found, mine.name), marks(again, theirs.name)
        assert one == other
    told = read_source(str(card))
    assert [each.score for each in told.evaluations] == [pytest.approx(each.score) for each in found.evaluations]


def test_lm_eval_itself_shows_what_was_exported(tmp_path):
    from lm_eval.utils import make_table

    export(read_source(str(LM_EVAL / "smollm2")), tmp_path)
    (results,) = tmp_path.glob("*/results_*")
    shown = make_table(json.loads(results.read_text()))
    assert "0.3611" in shown
    assert "sums_add" in shown


def test_a_load_test_s_card_has_its_figures(tmp_path):
    found = read_source(str(FACTS / "guidellm-0.8.1" / "ops-large.json"))
    (card,) = export(found, tmp_path)
    (told,) = json.loads(card.read_text())["results"]["benchmarks"]
    assert told["metrics"]["ttft_p95_ms"] == found.measurements[0].headline.ttft_ms.p95
