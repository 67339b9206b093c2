"""A version tuned for real, by TRL and PEFT, and brought in through the gate with its parent."""

from __future__ import annotations

import json
import shutil

import pytest

from helpers import ingestion, tuning
from helpers.artifacts import Tuned
from helpers.errors import InvalidInput, NotApproved, RefusedModel, SignatureInvalid
from helpers.ingestion.policy import load_policy
from helpers.registry import connect
from helpers.runtime import keys
from helpers.serving.files import verified_folder
from helpers.tuning import stage
from helpers.tuning.conversations import encoded
from tests.plugins.models import POLICY
from tests.plugins.registry import MEMORY, serving
from tests.plugins.sources import write_policy

ANSWERS = {"What runs one pod on every node?": "A DaemonSet.", "What holds passwords?": "A Secret."}


def examples(folder, n=24):
    pairs = list(ANSWERS.items())
    rows = [dict(zip(("prompt", "completion"), pairs[number % 2], strict=True)) for number in range(n)]
    path = folder / "examples.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


class Place:
    """A registry with an approved parent, a store, and the settings that tune it."""

    def __init__(self, folder, registry, source):
        self.folder, self.registry = folder, registry
        self.store = (folder / "store").as_uri()
        self.parent = ingestion.ingest(self.arriving(source, model_name="tiny"), registry)
        self.parent.write(folder / "artifacts")
        self.settings = tuning.Settings(
            training_data=examples(folder), use_case="ops", policy=POLICY, store=self.store, epochs=3,
            train_batch_size=4, learning_rate=0.02, rank=8,
        )  # fmt: skip

    def arriving(self, source, **more):
        given = {"source": str(source), "policy": POLICY, "model_store": self.store}
        return ingestion.Settings(**given | more)

    def tune(self, **changes):
        return tuning.tune(self.settings.model_copy(update=changes), self.registry, self.folder / "artifacts")


@pytest.fixture(scope="module")
def place(tmp_path_factory, tiny_model):
    folder = tmp_path_factory.mktemp("tuning")
    with pytest.MonkeyPatch.context() as patch, serving(MEMORY) as server:
        patch.setenv("ASSAY_HOME", str(folder / "home"))
        keys.make_own_keys()
        yield Place(folder, connect(server.address), tiny_model)


@pytest.fixture(autouse=True)
def home(place, monkeypatch):
    monkeypatch.setenv("ASSAY_HOME", str(place.folder / "home"))


@pytest.fixture(scope="module")
def tuned(place):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ASSAY_HOME", str(place.folder / "home"))
        made = place.tune()
        made.write(place.folder / "artifacts")
        return made


def files(place, tuned):
    return place.folder / "store" / tuned.uri.removeprefix(f"{place.store}/")


def test_the_loss_falls_and_only_weights_and_card_differ_from_the_parent(place, tuned):
    assert (tuned.name, tuned.version, tuned.examples, tuned.replayed) == ("tiny-ops", "1.0.0", 24, 0)
    assert tuned.losses[-1][1] < 0.97 * tuned.losses[0][1]
    parent = verified_folder(place.parent, load_policy(POLICY))
    own = {path.name for path in parent.iterdir() if path.is_file()}
    model = files(place, tuned)
    assert {path.name for path in model.iterdir()} == own
    differ = {name for name in own if (model / name).read_bytes() != (parent / name).read_bytes()}
    assert differ == {"README.md", "model.safetensors"}
    assert "license: mit" in (model / "README.md").read_text()


def test_the_answers_that_it_learned_have_become_likelier(place, tuned):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folders = verified_folder(place.parent, load_policy(POLICY)), files(place, tuned)
    tokenizer = AutoTokenizer.from_pretrained(folders[0])
    rows = [
        encoded(tokenizer, [{"role": "user", "content": question}, {"role": "assistant", "content": answer}])
        for question, answer in ANSWERS.items()
    ]
    before, after = (
        [float(model(input_ids=torch.tensor([row.input_ids]), labels=torch.tensor([row.labels])).loss) for row in rows]
        for model in map(AutoModelForCausalLM.from_pretrained, folders)
    )
    assert all(new < 0.95 * old for old, new in zip(before, after, strict=True))


def test_the_same_is_not_tuned_again_and_another_seed_is(place, tuned, capsys):
    again = place.tune()
    assert again == tuned
    assert "Taken over" in capsys.readouterr().out
    other = place.tune(seed=7)
    assert other.identity != tuned.identity
    assert other.digest != tuned.digest


def test_what_nobody_trusted_signed_is_tuned_again(place, tuned):
    path = files(place, tuned).parent / Tuned.filename
    signed = json.loads(path.read_text())
    path.write_text(json.dumps({**signed, "signed": signed["signed"].replace("tiny-ops", "tiny-bad")}))
    with pytest.raises(SignatureInvalid):
        ingestion.ingest(place.arriving(path), place.registry)
    assert place.tune().digest == tuned.digest, "the same inputs give the same weights"


def test_it_comes_in_through_the_gate_with_its_parent(place, tuned):
    with pytest.raises(NotApproved, match="candidate"):
        ingestion.ingest(place.arriving(place.folder / "artifacts" / Tuned.filename), place.registry)
    place.registry.set_approval(place.parent.model_version_id, "approved", ["good"])
    selection = ingestion.ingest(place.arriving(place.folder / "artifacts" / Tuned.filename), place.registry)
    assert (selection.name, selection.version, selection.digest) == ("tiny-ops", "1.0.0", tuned.digest)
    known = place.registry.find("tiny-ops", "1.0.0").properties
    assert (known["parent"], known["parent_digest"], known["approval"]) == (
        "tiny 1.0.0", place.parent.digest, "candidate"
    )  # fmt: skip
    assert "seed=20" in known["tuning_recipe"]
    bom = json.loads((verified_folder(selection, load_policy(POLICY)) / "provenance" / "bom.cdx.json").read_text())
    told = {item["name"]: item["value"] for item in bom["metadata"]["component"]["properties"]}
    assert told["assay:parent_digest"] == place.parent.digest
    signed = files(place, tuned).parent / Tuned.filename
    assert ingestion.ingest(place.arriving(signed), place.registry) == selection, "from the store, the same version"


def forged(place, tuned, folder, **changes):
    """A tuned.json as somebody writes it who has no key, with this run's selection beside it."""
    folder.mkdir()
    shutil.copy(place.folder / "artifacts" / "selection.json", folder)
    return tuned.model_copy(update=changes).write(folder)


def test_what_nobody_signed_is_no_tuned_model(place, tuned, tmp_path):
    model = shutil.copytree(files(place, tuned), tmp_path / "model")
    (model / "README.md").write_text("---\nlicense: mit\n---\n\n# Another\n")
    for number, changes in enumerate(({"uri": model.as_uri()}, {"digest": f"sha256:{9:064}"}, {"use_case": "other"})):
        path = forged(place, tuned, tmp_path / str(number), **changes)
        with pytest.raises(SignatureInvalid):
            ingestion.ingest(place.arriving(path), place.registry)


def test_other_weights_than_were_signed_stay_out(place, tuned):
    card = files(place, tuned) / "README.md"
    before = card.read_text()
    try:
        card.write_text(before + "\nChanged.\n")
        with pytest.raises(RefusedModel, match="finetune_model noted"):
            ingestion.ingest(place.arriving(place.folder / "artifacts" / Tuned.filename), place.registry)
    finally:
        card.write_text(before)


def test_files_of_one_name_are_two(place, tmp_path):
    (tmp_path / "replay").mkdir()
    replay = shutil.copy(place.settings.training_data, tmp_path / "replay" / "examples.jsonl")
    named = stage._data(place.settings.model_copy(update={"replay": replay}))
    assert set(named) == {"training/examples.jsonl", "replay/examples.jsonl"}


def test_a_policy_may_keep_out_what_was_tuned(place, tuned, tmp_path):
    policy = write_policy(tmp_path, tuned=False)
    with pytest.raises(RefusedModel, match="nothing tuned"):
        ingestion.ingest(place.arriving(place.folder / "artifacts" / Tuned.filename, policy=policy), place.registry)


def test_a_machine_without_the_memory_refuses_before_anything_is_loaded(place, monkeypatch):
    monkeypatch.setattr("helpers.tuning.training.memory.limit", lambda: 2**30)
    with pytest.raises(InvalidInput, match="GiB"):
        place.tune(seed=99)
