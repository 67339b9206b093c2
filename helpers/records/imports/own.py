"""Assay's own measurements, beside other tools': the folder `artifacts` of a run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from helpers.artifacts import AnyMeasurement, Evaluation, Hardware, LoadTest, Sample
from helpers.artifacts.canonical import digest
from helpers.errors import ArtifactMissing, InvalidInput, InvalidResults
from helpers.evaluation.samples import read_samples
from helpers.records.imports import lm_eval
from helpers.records.imports.contract import Imported
from helpers.records.imports.files import DO, short_name
from helpers.records.imports.scores import questions

KINDS: dict[str, type[AnyMeasurement]] = {"evaluation": Evaluation, "load_test": LoadTest}
RAW = (".lm_eval.json", ".guidellm.json", ".repeats.json")  # what belongs to a measurement and is none itself


def claims(content: Any) -> bool:
    """Return whether this is a measurement's file."""
    return isinstance(content, dict) and str(content.get("kind")) in KINDS and {"tier", "name"} <= content.keys()


def read(path: Path, content: Mapping[str, Any], metric: str = "") -> Imported:
    """Return the measurement, its evaluation called after the task, its samples known by their documents.

    Raises InvalidResults where the file or its samples log is not whole.
    """
    model, hardware = _served(path.parent)
    try:
        found = KINDS[content["kind"]].model_validate(content)
        if not isinstance(found, Evaluation):
            return Imported(model=model or path.stem, place=path, measurements=(found,), hardware=hardware)
        samples = [renamed(each) for each in read_samples(path.parent / found.samples, metric or found.metric)]
    except ValidationError as error:
        raise InvalidResults(f"{path}: {error.errors()[0]['msg']}", do=DO) from error
    except (ArtifactMissing, InvalidInput) as error:
        raise InvalidResults(f"{path}: {error.what}", do="Give the folder as the run left it") from error
    name = short_name(found.task)
    report = _report(path.parent, found)
    asked = settings(report, found) if report else dict(found.settings)
    known = {"name": name, "dataset_digest": questions(samples), "settings": asked}
    return Imported(
        model=model or path.stem,
        place=path,
        measurements=(found.model_copy(update=known),),
        samples={name: samples},
        hardware=hardware,
    )


def renamed(sample: Sample) -> Sample:
    """Return the sample by the document's hash, as an imported one is named; the place of a document may change."""
    return sample.model_copy(update={"id": f"{sample.id.rpartition('/')[0]}/{sample.digest}", "replies": {}})


def settings(report: Mapping[str, Any], found: Evaluation) -> dict[str, Any]:
    """Return how the questions were asked as it is known of an import, from lm-eval's report of the measurement."""
    system = found.settings.get("system_instruction")
    told = {"system_instruction": digest({"system_instruction": system})[:19]} if system else {}
    return lm_eval.settings(report, list(report["configs"])) | told


def _report(folder: Path, found: Evaluation) -> dict[str, Any] | None:
    try:
        return dict(json.loads((folder / found.report).read_bytes()))
    except (OSError, ValueError):
        return None


def _served(folder: Path) -> tuple[str, Hardware | None]:
    """Return model and hardware from the endpoint's file beside the measurement, as far as it is there."""
    try:
        endpoint = json.loads((folder / "endpoint.json").read_bytes())
        return str(endpoint["model"]), Hardware.model_validate(endpoint["hardware"])
    except (OSError, ValueError, KeyError):
        return "", None
