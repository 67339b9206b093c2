"""Another tool's measurements beside a run's own: they are logged with its version, marked as imported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from helpers.artifacts import FOLDER, AnyMeasurement, LoadTest, Selection, measurements_in, run, write_atomic
from helpers.errors import InvalidResults
from helpers.evaluation.samples import write_samples
from helpers.records.imports.contract import Imported
from helpers.records.reuse.files import digests


def attach(found: Sequence[Imported], folder: Path = FOLDER) -> list[str]:
    """Write the measurements of one model into `folder` as the selected version's; return a line for each.

    They stay `imported`: `log_results` refuses them for a baseline and for an approval. Raises InvalidResults for
    several models, and for a name that a measurement of this run has already.
    """
    if not found:
        return ["No results of another tool are attached."]
    if len(found) > 1:
        models = ", ".join(each.model for each in found)
        raise InvalidResults(
            f"ATTACHED_RESULTS holds {len(found)} models ({models})", do="Give the folder of one model"
        )
    (model,) = found
    selection = Selection.read(folder)
    own = {name for name, content in measurements_in(folder).items() if not content.get("imported")}
    if twice := sorted(own & {each.name for each in model.measurements}):
        raise InvalidResults(
            f"This run measured {', '.join(twice)} itself, and so does {model.model}",
            do="Leave ATTACHED_RESULTS out, or give the node that measures another NAME",
        )
    return [_attached(each, model, selection, folder) for each in model.measurements]


def _attached(measurement: AnyMeasurement, model: Imported, selection: Selection, folder: Path) -> str:
    name = measurement.name
    about = {"digest": selection.digest, "run": run.current(folder), "imported": True}
    raw: dict[str, Any]
    if isinstance(measurement, LoadTest):
        report = f"{name}.imported.json"
        source = model.place if model.place.is_file() else next(model.place.rglob(measurement.report))
        write_atomic(folder / report, source.read_bytes())
        raw = {"report": report, "repeats_report": "", "files": digests(folder, [report])}
    else:
        log = f"{name}.samples.jsonl" if name in model.samples else ""
        if log:
            write_samples(model.samples[name], folder / log)
        raw = {"report": "", "samples": log, "files": digests(folder, [log] if log else [])}
    measurement.model_copy(update={**about, **raw}).write(folder)
    return f"{name}: {measurement.subject} of {model.model}, imported for {selection.label}"
