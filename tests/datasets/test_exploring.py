"""What is wrong in a use case's data is found before anything is measured with them, and stops a run that it must."""

from __future__ import annotations

import json
import random
from itertools import combinations

import pytest

from helpers.artifacts import Dataset
from helpers.datasets import exploring, load_use_case
from helpers.datasets.exploring.finding import findings
from helpers.datasets.exploring.similarity import alike, grams, runs
from helpers.datasets.exploring.texts import Texts, read
from helpers.datasets.making import make_use_case
from helpers.errors import ArtifactMissing, DatasetRefused, InvalidDataset, InvalidParameter
from helpers.evaluation.questions import question_files
from helpers.runtime.workspace import ROOT
from tests.plugins.records import a_sample, questions

SHARES, LIKE = ("overlap", "handbook.jsonl"), ("near_duplicate", "handbook.jsonl")
OVERLAPPING = (
    *("storage-objects-4", "security-pod-settings-3", "observability-tools-2", "observability-tools-7"),
    *("cluster-kubectl-inspect-7", "cluster-api-terms-6", "delivery-strategies-1", "delivery-tools-1"),
    "reliability-terms-2",
)


def explored(folder, logs=None, **given):
    settings = exploring.Settings(use_case=str(folder), **given)
    return exploring.explore(settings, exploring.gather(settings, question_files(str(folder))), logs or {})


@pytest.fixture(scope="module")
def shipped():
    return explored(ROOT / "datasets" / "ops-assistant")


def test_the_questions_that_share_a_run_of_eight_words_with_the_handbook_are_found(shipped):
    assert shipped.rows("overlap") == OVERLAPPING
    runs_of = {each.ids[0]: each for each in shipped.findings if (each.kind, each.against) == SHARES}
    assert tuple(runs_of) == OVERLAPPING
    assert {each.where[1].partition(":")[0] for each in runs_of.values()} == {"handbook.jsonl"}
    assert (runs_of["reliability-terms-2"].number, max(each.number for each in runs_of.values())) == (10, 10)
    assert "how long it may take until the service is back" in runs_of["reliability-terms-2"].what


def test_the_questions_that_are_almost_a_sentence_of_the_handbook_are_found(shipped):
    found = {each.ids[0]: each.number for each in shipped.findings if (each.kind, each.against) == LIKE}
    assert len(found) == 18
    assert (max(found, key=found.get), max(found.values())) == ("cluster-control-plane-3", 0.556)
    assert min(found.values()) >= 0.3


def test_counts_lengths_and_positions_are_told_by_category(shipped):
    knowledge = next(each for each in shipped.sets if each.name == "knowledge")
    assert (knowledge.rows, knowledge.positions) == (208, (52, 52, 52, 52))
    assert sum(part.rows for part in knowledge.lengths[1:]) == knowledge.lengths[0].rows == 208
    assert {part.category for part in knowledge.lengths[1:]} >= {"workloads", "delivery"}
    assert {each.name: each.role for each in shipped.sets} == {
        "knowledge": "questions", "retention": "questions", "chat": "prompts",
        "reasoning_examples.jsonl": "examples", "handbook.jsonl": "documents",
        "examples.jsonl": "documents", "replay.jsonl": "documents",
    }  # fmt: skip


def test_what_is_shipped_holds_no_more_than_its_use_case_allows(shipped, tmp_path):
    exploring.enforce(shipped)
    shipped.write(tmp_path)
    read_back = Dataset.read(tmp_path)
    assert (read_back.findings, read_back.digests) == (shipped.findings, shipped.digests)
    assert set(shipped.digests) == {
        *("ops_assistant.jsonl", "prompts.jsonl", "handbook.jsonl", "reasoning_examples.jsonl"),
        *("retention/prompts.jsonl", "tuning/examples.jsonl", "tuning/replay.jsonl"),
    }


def test_a_use_case_that_allows_less_ends_the_stage_with_the_kind_and_the_rows(shipped):
    strict = shipped.model_copy(update={"at_most": {"overlap": 8, "duplicate": 0}})
    with pytest.raises(DatasetRefused, match="overlap: 9, 8 allowed") as refused:
        exploring.enforce(strict)
    assert OVERLAPPING[0] in refused.value.what
    assert "duplicate" not in refused.value.what


def test_lengths_are_counted_in_the_tokens_of_a_model(shipped, tiny_model):
    found = explored(ROOT / "datasets" / "ops-assistant", model=str(tiny_model))
    assert (found.unit, shipped.unit) == ("tokens", "words")
    assert found.sets[0].lengths[0].median > shipped.sets[0].lengths[0].median
    with pytest.raises(ArtifactMissing, match=r"tokenizer\.json"):
        explored(ROOT / "datasets" / "ops-assistant", model=str(ROOT))


def row(identity, question, answer=0, choices=("red", "green", "blue", "white"), **more):
    return {"id": identity, "category": "c", "question": question, "choices": list(choices), "answer": answer, **more}


def test_each_kind_of_fault_is_found_in_the_row_that_has_it(tmp_path):
    rows = [
        row("good", "Which colour has the sky on a clear day at noon?", 2),
        row("twice", "which colour has the sky, on a clear day at noon?", 2),
        row("other-key", "Which colour has the sky on a clear day at noon", 1),
        row("other-options", "Which colour has the sky on a clear day at noon?", 0, ("warm", "cold", "wet", "dry")),
        row("given-away", "Which colour has a green traffic light for people on foot?", 1),
        row("two-named", "Which is the colour of a leaf in May, red or green?", 1),
        row("other-schema", "Which colour has the sky on a clear day at noon?", 2, schema={"type": "object"}),
        row("blank-option", "Which colour has snow?", 3, ("red", "green", " ", "white")),
        row("contradicted", "Which colour has the sea?", 2),
        row("agreed", "Which colour has grass?", 1),
    ]
    rows += [row(f"first-{number}", f"Number {number} is which colour?") for number in range(20)]
    (tmp_path / "q.jsonl").write_text("".join(json.dumps(each) + "\n" for each in rows))
    handbook = [
        {
            "id": "h",
            "messages": [
                {"role": "user", "content": "Which colour has the sea?"},
                {"role": "assistant", "content": "It is red."},
            ],
        },
        {"id": "i", "questions": ["Which colour has grass?"], "answer": "It is green."},
    ]
    (tmp_path / "h.jsonl").write_text("".join(json.dumps(each) + "\n" for each in handbook))
    sets = [
        Texts("q", "questions", (), read(tmp_path / "q.jsonl", "questions", "q.jsonl")),
        Texts("h", "documents", (), read(tmp_path / "h.jsonl", "documents", "h.jsonl")),
    ]
    found = findings(sets, run_words=8, similar=0.9, similar_inside=0.95)
    by_kind = {}
    for each in found:
        by_kind.setdefault(each.kind, []).extend(each.ids)
    assert by_kind["duplicate"] == ["twice"]
    assert by_kind["contradiction"] == ["other-key", "contradicted"]
    assert by_kind["answer_in_question"] == ["given-away"]
    assert by_kind["empty"] == ["blank-option"]
    assert [each.where for each in found if each.kind == "contradiction"] == [
        ("q.jsonl:3", "q.jsonl:1"),
        ("q.jsonl:9", "h.jsonl:1"),
    ]
    (uneven,) = (each for each in found if each.kind == "position")
    assert uneven.ids == ()
    assert uneven.number < 0.001


def test_pairs_are_exact_and_runs_are_the_longest():
    source = random.Random(7)
    texts = [source.choices("abcd", k=source.randrange(12)) for _ in range(60)]
    sets = [{*grams(each, 3)} for each in texts]
    shares = {
        (a, b): len(sets[a] & sets[b]) / len(sets[a] | sets[b])
        for a, b in combinations(range(60), 2)
        if sets[a] | sets[b]
    }
    wanted = {pair: share for pair, share in shares.items() if share >= 0.2}
    assert wanted
    assert {(left, right): share for left, right, share in alike(texts, None, 0.2)} == pytest.approx(wanted)
    assert len(list(alike(texts, texts, 0.2))) == 2 * len(wanted) + sum(map(bool, sets))
    (found,) = runs([tuple("abcdef")], [tuple("xabcdy"), tuple("zbcdef")], 3).values()
    assert (found.words, found.other) == (tuple("bcdef"), 1)


def asked(answers):
    """A log of the first questions: "" answers one with its key, another word is what is answered in its place."""
    log = [a_sample(number, each, right=True) for number, each in enumerate(questions(len(answers)))]
    return [
        sample.model_copy(update={"output": said, "scores": {"acc": 0.0}} if said else {})
        for sample, said in zip(log, answers, strict=True)
    ]


def test_a_key_is_doubted_where_all_models_that_know_something_answer_alike_against_it():
    known = [""] * 12
    logs = {
        "a": asked(["x", "x", *known]),
        "b": asked(["x", "y", *known]),
        "c": asked(["X.", "x", *known]),
        "guessing": asked(["", "", *"xxxxxxxxxxxx"]),
    }
    found = explored(ROOT / "datasets" / "ops-assistant", {"knowledge": logs})
    doubted = [each for each in found.findings if each.kind == "doubtful_label"]
    assert [each.ids for each in doubted] == [(questions(1)[0]["id"],)]
    assert doubted[0].number == 3
    assert found.rows("tells_nothing") == ()
    assert not [what for what in found.absent if what.endswith("of knowledge")]
    without = explored(ROOT / "datasets" / "ops-assistant", {"knowledge": {k: logs[k] for k in "abc"}})
    assert without.rows("tells_nothing") == tuple(each["id"] for each in [*questions(14)[2:], *questions(2)])


def test_two_models_say_nothing_and_the_artifact_says_why():
    logs = {"a": asked(["x"] + [""] * 12), "b": asked(["x"] + [""] * 12)}
    found = explored(ROOT / "datasets" / "ops-assistant", {"knowledge": logs})
    assert not {"doubtful_label", "tells_nothing"} & {each.kind for each in found.findings}
    absent = {what: why for what, why in found.absent.items() if what.endswith("of knowledge")}
    assert set(absent) == {"doubtful_label of knowledge", "tells_nothing of knowledge"}
    assert all(why.startswith("knowledge: 2 measured versions") for why in absent.values())


def test_a_new_use_case_is_explored_with_documents_of_prose_and_what_is_wrong_in_its_file_is_told(tmp_path):
    folder = make_use_case("mine", tmp_path)
    file = folder / "use-case.yaml"
    first = json.loads((folder / "questions.jsonl").read_text().splitlines()[0])
    (folder / "pages").mkdir()
    (folder / "pages" / "time.md").write_text(f"# Time\n\nAn hour is long.\n\n{first['question']} I wonder.\n")
    file.write_text(file.read_text() + "explore: {documents: [pages], at_most: {overlap: 0}}\n")
    found = explored(folder, run_words=6)
    (shared,) = (each for each in found.findings if each.kind == "overlap")
    assert (shared.ids, shared.where) == ((first["id"],), ("questions.jsonl:1", "pages/time.md:5"))
    assert "pages/time.md" in load_use_case(folder).digests(), "it travels with the use case"
    with pytest.raises(DatasetRefused):
        exploring.enforce(found)
    good = file.read_text()
    for wrong, field in (("[pages]", "[nowhere]"), ("overlap: 0", "overlaps: 0"), ("overlap: 0", "overlap: -1")):
        file.write_text(good.replace(wrong, field))
        with pytest.raises(InvalidDataset, match=r"use-case\.yaml:\d+: explore\."):
            explored(folder)
    with pytest.raises(InvalidParameter, match="USE_CASE"):
        exploring.gather(exploring.Settings(use_case="a-label"), {})
