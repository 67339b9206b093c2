"""Sample models: trained once, the same each time, and never half there."""

from __future__ import annotations

import hashlib
import json
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

from helpers.datasets import load_handbook
from helpers.ingestion.samples import LARGE, SMALL, Recipe, ensure_samples
from helpers.ingestion.samples import training as training_module
from helpers.ingestion.samples.recipe import DATA
from helpers.ingestion.samples.texts import ask, examples, seen_topics

TINY = Recipe(
    name="ops-tiny",
    hidden=32,
    layers=1,
    heads=1,
    intermediate=64,
    vocabulary=400,
    share_of_topics=0.2,
    steps=3,
    batch=4,
    learning_rate=1e-3,
)


def quiet(_line):
    pass


def contents(folder):
    return {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    return ensure_samples(tmp_path_factory.mktemp("samples"), [TINY], quiet)["ops-tiny"]


@pytest.fixture
def samples(trained, tmp_path):
    shutil.copytree(trained, tmp_path / "ops-tiny")
    return tmp_path


def test_the_same_inputs_give_the_same_files(trained, tmp_path):
    again = ensure_samples(tmp_path, [TINY], quiet)["ops-tiny"]
    assert contents(again) == contents(trained)


def test_another_seed_gives_other_weights(trained, tmp_path):
    other = ensure_samples(tmp_path, [TINY.model_copy(update={"seed": 1})], say=quiet)["ops-tiny"]
    assert contents(other)["model.safetensors"] != contents(trained)["model.safetensors"]


def test_only_files_that_ingestion_lets_in_are_written(trained):
    names = set(contents(trained))
    assert {"model.safetensors", "config.json", "tokenizer.json", "chat_template.jinja", "README.md"} <= names
    assert {name.rsplit(".", 1)[-1] for name in names} <= {"safetensors", "json", "jinja", "md"}


def test_the_folder_loads_as_a_model_that_answers_a_conversation(trained):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(trained)
    model = AutoModelForCausalLM.from_pretrained(trained)
    talk = [{"role": "user", "content": "Which port? Käse 😀"}]
    assert tokenizer.apply_chat_template(talk, tokenize=False, add_generation_prompt=True) == ask("Which port? Käse 😀")
    tokens = tokenizer(ask("Which port? Käse 😀"), return_tensors="pt")
    assert tokenizer.decode(tokens["input_ids"][0]) == ask("Which port? Käse 😀")
    assert model.generate(**tokens, max_new_tokens=4, min_new_tokens=4).shape[1] == tokens["input_ids"].shape[1] + 4
    assert model.config.max_position_embeddings == 2048
    ends = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    assert ends == (model.config.pad_token_id, model.config.bos_token_id, model.config.eos_token_id) == (0, 1, 2)


def test_the_card_says_what_the_model_saw(trained):
    card = (trained / "README.md").read_text(encoding="utf-8")
    assert card.startswith("---\nlicense: apache-2.0\n")
    for topic in seen_topics(load_handbook(DATA / "handbook.jsonl"), TINY.share_of_topics, TINY.seed):
        assert topic in card
    assert f"seed {TINY.seed}" in card
    assert f"{TINY.steps} steps" in card


def test_a_second_call_trains_nothing(samples, monkeypatch):
    monkeypatch.setattr(training_module, "train", lambda *_: pytest.fail("trained again"))
    before = contents(samples / "ops-tiny")
    said = []
    ensure_samples(samples, [TINY], say=said.append)
    assert said == ["ops-tiny: up to date"]
    assert contents(samples / "ops-tiny") == before


def test_changed_data_train_anew(samples, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(DATA, data)
    rows = (data / "handbook.jsonl").read_text(encoding="utf-8").splitlines()
    (data / "handbook.jsonl").write_text("\n".join(rows[1:]) + "\n", encoding="utf-8")
    before = json.loads((samples / "ops-tiny" / "sample.json").read_text())["inputs"]
    ensure_samples(samples, [TINY.model_copy(update={"data": data})], quiet)
    assert json.loads((samples / "ops-tiny" / "sample.json").read_text())["inputs"] != before
    assert sorted(p.name for p in samples.iterdir()) == [".lock", "data", "ops-tiny"]


@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_a_broken_off_training_leaves_the_old_model_and_nothing_else(samples, monkeypatch, failure):
    before = contents(samples / "ops-tiny")

    def broken(*_):
        raise failure

    monkeypatch.setattr(training_module, "card", broken)
    with pytest.raises(type(failure)):
        ensure_samples(samples, [TINY.model_copy(update={"steps": 2})], say=quiet)
    assert contents(samples / "ops-tiny") == before
    assert sorted(p.name for p in samples.iterdir()) == [".lock", "ops-tiny"]


def test_two_runs_at_once_make_a_model_once(tmp_path):
    made, both = [], threading.Barrier(2)

    class Slow(Recipe):
        def make(self, folder, say):
            made.append(folder)
            with suppress(threading.BrokenBarrierError):
                both.wait(1)
            folder.mkdir()

    slow = Slow(**TINY.model_dump())
    with ThreadPoolExecutor() as threads:
        found = [threads.submit(ensure_samples, tmp_path, [slow], quiet) for _ in range(2)]
    assert [future.result() for future in found] == [{"ops-tiny": tmp_path / "ops-tiny"}] * 2
    assert len(made) == 1


def test_progress_names_the_model_and_the_step(tmp_path):
    said = []
    ensure_samples(tmp_path, [TINY], say=said.append)
    assert any(line.startswith("ops-tiny: step 3 of 3, loss ") for line in said)


def test_the_models_learn_answers_and_never_the_question_that_the_task_asks():
    entries = load_handbook(DATA / "handbook.jsonl")
    found = examples(entries)
    assert len(found) > 3 * len(entries)
    assert {example.continuation for example in found} == {f" {entry.answer}" for entry in entries}
    asked = [json.loads(line)["question"] for line in (DATA / "ops_assistant.jsonl").read_text().splitlines()]
    assert not {example.context for example in found} & {ask(question) for question in asked}


def test_the_answer_is_not_in_the_context_of_a_gapped_note():
    entries = load_handbook(DATA / "handbook.jsonl")
    gapped = [e for e in examples(entries) if "___" in e.context]
    assert gapped
    assert not [e for e in gapped if e.continuation.strip().lower() in e.context.lower().split("question: ")[1]]


def test_the_larger_model_is_larger_and_sees_more():
    assert LARGE.hidden > SMALL.hidden
    assert LARGE.layers > SMALL.layers
    assert LARGE.share_of_topics > SMALL.share_of_topics
