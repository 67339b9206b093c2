"""Tune the selected version, or take over what was tuned in the same way before."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers import storage
from helpers.artifacts import FOLDER, Parameter, Selection, Tuned, canonical
from helpers.artifacts.tuned import Parent
from helpers.datasets import digest as digest_of_file
from helpers.datasets import load_prompts
from helpers.datasets.training import Example, load_examples
from helpers.errors import InvalidInput, SignatureInvalid
from helpers.ingestion import digest, load_policy
from helpers.ingestion.inspection.licenses import CARD, card_fields, license_name
from helpers.ingestion.sources.tuned import KIND, read_signed
from helpers.registry import Registry
from helpers.runtime import keys, signing
from helpers.serving.files import verified_folder
from helpers.serving.hardware import this_machine
from helpers.tuning import training
from helpers.tuning.card import card
from helpers.tuning.settings import Settings

PLACE = "tuned"  # in the store
WEIGHTS = ("*.safetensors", "*.safetensors.index.json")


def tune(settings: Settings, registry: Registry, folder: Path = FOLDER) -> Tuned:
    """Tune the version of selection.json and return where the tuned model is; a second time changes nothing.

    The same parent, examples, recipe and libraries are not trained again, where somebody trusted signed the earlier
    result. Raises InvalidDataset, InvalidInput, SignatureInvalid, DigestMismatch or StageFailed.
    """
    selection = Selection.read(folder)
    examples, prompts = load_examples(settings.training_data), load_prompts(settings.replay) if settings.replay else []
    if selection.is_endpoint:
        raise InvalidInput(f"{selection.label} is an endpoint, whose weights are unknown", do="Select a version")
    recipe, data = settings.recipe(selection.parameters), _data(settings)
    name = settings.tuned_name or f"{selection.name}-{settings.use_case}"[:63]
    called = [name, settings.tuned_version, settings.use_case]
    identity = _identity(selection, data, recipe, called)
    place = f"{storage.resolve(settings.store)}/{PLACE}/{identity[:16]}"
    if not settings.fresh and (known := _known(place, identity)):
        print(f"Taken over: {known.label} was tuned from {known.parent.label} in the same way before")
        return known.model_copy(update={"run": selection.run})
    parent = verified_folder(selection, load_policy(settings.policy))
    weights = sum(path.stat().st_size for path in parent.glob("*.safetensors"))
    _check(parent, selection)
    training.check_memory(weights, gpu=training.has_gpu())
    version = settings.tuned_version or _next(registry, name)
    with tempfile.TemporaryDirectory(prefix="assay-tuning-") as scratch:
        model = Path(scratch) / "model"
        pairs = [(example.id, example.turns) for example in examples]
        asked = [(prompt.prompt, prompt.output_tokens) for prompt in prompts]
        done = training.train(parent, model, pairs, asked, recipe, print)
        _complete(model, parent)
        tuned = Tuned(
            run=selection.run,
            name=name,
            version=version,
            uri=f"{place}/model",
            digest="sha256:" + "0" * 64,
            parent=Parent(name=selection.name, version=selection.version, digest=selection.digest),
            use_case=settings.use_case,
            data=data,
            recipe=recipe,
            versions=training.versions(),
            hardware=str(this_machine()),
            identity=identity,
            examples=len(examples),
            replayed=done.replayed,
            trained_tokens=done.tokens,
            learned_tokens=done.learned,
            losses=done.losses,
            seconds=done.seconds,
        )
        fields = card_fields(parent / CARD)
        (model / CARD).write_text(card(tuned, license_name(fields)), encoding="utf-8")
        tuned = tuned.model_copy(update={"digest": digest(model)})
        _publish(model, tuned, place)
    return tuned


def examples_table(settings: Settings) -> Any:
    """Return a row for each category: examples, and characters of question and answer on average."""
    import pandas as pd

    rows = load_examples(settings.training_data)
    return pd.DataFrame(_counted(rows)).set_index("category") if rows else pd.DataFrame()


def _counted(rows: Sequence[Example]) -> list[dict[str, Any]]:
    found = Counter(row.category for row in rows)
    asked, said = Counter[str](), Counter[str]()
    for row in rows:
        for turn in row.messages:
            (said if turn.role == "assistant" else asked)[row.category] += len(turn.content)
    return [
        {"category": name, "examples": n, "characters asked": asked[name] / n, "characters learned": said[name] / n}
        for name, n in found.most_common()
    ]


def _data(settings: Settings) -> dict[str, str]:
    named = {"training": settings.training_data, "replay": settings.replay}
    return {f"{role}/{path.name}": digest_of_file(path) for role, path in named.items() if path}


def _identity(selection: Selection, data: dict[str, str], recipe: dict[str, Parameter], called: list[str]) -> str:
    """Return what changes with anything that decides the weights, but for the hardware, and with what it is called."""
    decides: dict[str, Any] = {"parent": selection.digest, "data": data, "recipe": recipe, "called": called}
    decides["versions"] = training.versions()
    return canonical.digest(decides).removeprefix("sha256:")


def _known(place: str, identity: str) -> Tuned | None:
    """Return what is in the store where a trusted key signed it for this identity."""
    uri = f"{place}/{Tuned.filename}"
    if not storage.exists(uri):
        return None
    try:
        found = read_signed(uri, storage.get(uri))
    except SignatureInvalid as error:
        print(f"{error.what}: it is tuned again")
        return None
    return found if found.identity == identity else None


def _check(parent: Path, selection: Selection) -> None:
    """Refuse what cannot be merged. Raises InvalidInput."""
    config = json.loads((parent / "config.json").read_text(encoding="utf-8"))
    if config.get("quantization_config"):
        raise InvalidInput(
            f"{selection.label} is quantized: LoRA cannot be merged into its weights",
            do="Tune the version in bfloat16, then quantize what was tuned",
        )
    if not any((parent / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        raise InvalidInput(f"{selection.label} has no tokenizer", do="Ingest it with its tokenizer's files")


def _complete(model: Path, parent: Path) -> None:
    """Put the parent's other files beside the merged weights: tokenizer, chat template, configuration, licence."""
    for path in parent.iterdir():
        if path.is_file() and not any(path.match(pattern) for pattern in WEIGHTS) and path.name != CARD:
            shutil.copyfile(path, model / path.name)


def _next(registry: Registry, name: str) -> str:
    """Return the version after those that the registry has of a model."""
    taken = {version.version for version in registry.versions() if version.name == name}
    return next(version for n in range(len(taken) + 1) if (version := f"1.{n}.0") not in taken)


def _publish(model: Path, tuned: Tuned, place: str) -> None:
    """Write the files to the store, and last, signed where there is a key to sign with, what they are."""
    for path in sorted(file for file in model.rglob("*") if file.is_file()):
        storage.put(path, f"{tuned.uri}/{path.relative_to(model).as_posix()}")
    if keys.can_sign(keys.MEASURING):
        payload = {"kind": KIND, "tuned": tuned.model_dump(mode="json", exclude={"run"})}
        signed = signing.sign(payload, keys.signing_key(keys.MEASURING))
        storage.put(json.dumps(signed.fields()).encode(), f"{place}/{Tuned.filename}")
        print(
            f"Its baseline is measured with PIPELINE=model-ops SOURCE={place.removeprefix('file://')}/{Tuned.filename}"
        )
    else:
        print(f"Nobody signed {tuned.label}: there is no {keys.MEASURING.private}. It is never taken over.")
