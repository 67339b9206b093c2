"""`make run`: a model in, tuned, and both versions measured, recorded and compared on this machine."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from helpers.analysis.comparison import Comparison
from helpers.analysis.gate import Judgement
from helpers.analysis.recommendation import Decision
from helpers.artifacts import Record, Selection, Tuned, write_atomic
from helpers.artifacts.speed import figures
from helpers.datasets.stated import find_use_case
from helpers.errors import AssayError, InvalidParameter
from helpers.ingestion.samples import SAMPLES, ensure_samples
from helpers.local import pipelines, stack
from helpers.pipelines import Pipeline
from helpers.pipelines.values import assigned, check_values, stage_variables
from helpers.runtime import interrupts, runs
from helpers.runtime.workspace import ROOT, home

BASE, OTHER = "smollm2-135m-instruct", "ops-large"  # the other stands in where the use case has nothing to tune on
# Nothing is compared by the baseline: fewer loads and no repeats keep the whole run near 16 minutes on two cores.
PIPELINES = {
    "model-ops": {"SWEEP_SIZE": "3", "REPEATS": "0"},
    "ai-engineer": {"SWEEP_SIZE": "3"},
    # Two sessions on one machine say too little about speed for the gate to be sure; what it says stands in its report.
    "fine-tune": {"SWEEP_SIZE": "3", "ON_INCONCLUSIVE": "pass"},
}
FIXED = {"SOURCE", "MODEL_NAME", "TUNED_NAME", "TUNED_VERSION"}  # make run brings its own
DO_OWN = "it measures the sample models. For your own `make pipeline PIPELINE=model-ops SOURCE=…`, then ai-engineer"
OF_THE_USE_CASE = {
    "USE_CASE", "PROMPTS", "TASK", "INCLUDE_PATH", "METRIC", "NUM_FEWSHOT", "FEWSHOT_AS_MULTITURN",
    "SYSTEM_INSTRUCTION", "GEN_KWARGS", "LIMIT", "CRITERIA",
}  # fmt: skip
SHOWN = {
    "requests_per_second": "requests/s",
    "ttft_p95_ms": "TTFT p95, ms",
    "itl_p95_ms": "ITL p95, ms",
    "output_tokens_per_second": "output tokens/s",
}


def main() -> int:
    """Run everything and return the exit code: 0 done, 1 a stage failed."""
    parser = argparse.ArgumentParser(prog="make run", description=__doc__)
    parser.add_argument("--name", help="name of the run (default: its time, or that of the one that is gone on with)")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="folder that the run's folder is made in")
    parser.add_argument(
        "words",
        nargs="*",
        metavar="NAME=VALUE",
        help="a parameter, for example USE_CASE=mine, or FRESH=true, which measures again what is known",
    )
    arguments = parser.parse_intermixed_args()
    words, all_runs = assigned(arguments.words), arguments.runs.resolve()
    started = time.monotonic()
    try:
        check(words)
        folder: Path = all_runs / arguments.name if arguments.name else runs.place(all_runs, "run", words)
        with runs.begun(folder, "run", words):
            run(folder, words)
    except AssayError as error:
        print(f"\n{type(error).__name__}: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
        return 1
    _report(folder, time.monotonic() - started)
    return 0


def check(words: dict[str, str]) -> None:
    """Raise InvalidParameter with every fault of the values."""
    faults = [f"{name} is no parameter of make run: {DO_OWN}" for name in sorted(FIXED & words.keys())]
    wanted = [Pipeline(name) for name in PIPELINES if name != "fine-tune" or _tunes(words)]
    known = {name for pipeline in wanted for name in _names(pipeline)}
    try:
        Pipeline("ai-engineer").known({name: value for name, value in words.items() if name not in known})
    except InvalidParameter as error:
        faults.append(f"{error.what} ({error.do})")
    for pipeline in wanted:
        try:
            check_values(pipeline, _own(pipeline, words), stage_variables(pipeline))
        except InvalidParameter as error:
            faults += error.what.split("; ")
    if faults:
        raise InvalidParameter("; ".join(dict.fromkeys(faults)), do="Correct what is named; nothing has been started")


def _names(pipeline: Pipeline) -> set[str]:
    return {*pipeline.parameters, *stage_variables(pipeline)}


def _own(pipeline: Pipeline, words: dict[str, str]) -> dict[str, str]:
    """Return the values that a pipeline gets: the baseline keeps its own task, and all of its questions."""
    others = OF_THE_USE_CASE if pipeline.name == "model-ops" else set()
    return {name: value for name, value in words.items() if name in _names(pipeline) - others - FIXED}


def run(folder: Path, words: dict[str, str]) -> None:
    """Bring the stack up, measure a model, tune it, measure what came of it, and write summary.json. Raises AssayError.

    Where the use case has nothing to tune on, a second sample model takes the tuned one's place.
    """
    tunes = _tunes(words)
    with _stage("stack", "the local model registry") as say:
        say(stack.up())
    with _stage("samples", "the sample models"):
        ensure_samples(home() / "samples", [SAMPLES[model] for model in (BASE, *(() if tunes else (OTHER,)))])
    _measure(folder, BASE, f"sample://{BASE}", words)
    if tunes:
        notebooks = _run(folder, "fine-tune", BASE, words, MODEL_NAME=BASE)
        tuned = Tuned.model_validate_json((notebooks / "artifacts" / Tuned.filename).read_bytes())
        _measure(folder, other := tuned.name, tuned.source, words)
    else:
        _measure(folder, other := OTHER, f"sample://{OTHER}", words)
    summary = summarise(folder, (BASE, other)) | ({"gate": _gate(folder, notebooks)} if tunes else {})
    write_atomic(folder / "summary.json", json.dumps(summary, indent=2).encode())


def _gate(folder: Path, notebooks: Path) -> dict[str, str]:
    """Return what the gate said of the tuned version, and where its report is."""
    judged = Judgement.model_validate_json((notebooks / "artifacts" / Judgement.filename).read_bytes())
    return {"state": judged.state, "report": str((notebooks / "regression_gate.html").relative_to(folder))}


def _tunes(words: dict[str, str]) -> bool:
    """Return whether there is something to tune a model on."""
    found = find_use_case(words.get("USE_CASE", Pipeline("fine-tune").parameters["USE_CASE"]))
    return bool("TRAINING_DATA" in words or (found and found.training))


def _measure(folder: Path, model: str, source: str, words: dict[str, str]) -> None:
    """Let a model in with its baseline, then measure it on the use case and compare it with what is known."""
    _run(folder, "model-ops", model, words, SOURCE=source)
    _run(folder, "ai-engineer", model, words, MODEL_NAME=model)


def _run(folder: Path, pipeline: str, model: str, words: dict[str, str], **given: str) -> Path:
    own = {**PIPELINES[pipeline], **_own(Pipeline(pipeline), words), **given}
    return pipelines.run(pipeline, folder / f"{pipeline}-{model}", own, title=f"{pipeline} {model}")


@contextmanager
def _stage(name: str, what: str) -> Iterator[Any]:
    started = time.monotonic()
    details: list[str] = []
    print(f"{name}: {what}", flush=True)
    yield details.append
    print(f"{name}: {' '.join(details) or 'ready'}, {time.monotonic() - started:.1f} s", flush=True)


def _artifacts(folder: Path, pipeline: str, model: str) -> Path:
    return folder / f"{pipeline}-{model}" / "notebooks" / "artifacts"


def summarise(folder: Path, models: tuple[str, ...]) -> dict[str, Any]:
    """Return one entry per model from what the notebooks left in `folder`, and the comparison's verdict."""
    last = _artifacts(folder, "ai-engineer", models[-1])
    comparison = Comparison.read(last)
    verdicts = {row.record_id: row.verdict for row in comparison.standings}
    found = [Record.read(_artifacts(folder, "ai-engineer", model)) for model in models]
    return {
        "run": folder.name,
        "decision": Decision.read(last).sentence,
        "verdict": comparison.verdict,
        "comparison": str(last.parent.relative_to(folder) / "compare_models.html"),
        "report": str(last.relative_to(folder) / "report.html"),
        "models": [_entry(record, verdicts.get(record.record_id, "not compared")) for record in found],
    }


def _entry(record: Record, verdict: str) -> dict[str, Any]:
    selection, evaluation, headline = record.selection, record.evaluation, record.sweep.headline
    return {
        "name": selection.name,
        "version": selection.version,
        "digest": selection.digest,
        "accuracy": {"score": evaluation.score, "n": evaluation.n, **evaluation.interval.model_dump()},
        "operating_point": {
            "reason": record.sweep.operating_point.reason,
            **(figures(headline) if headline else dict.fromkeys(SHOWN)),
        },
        "registry": _ids(selection) | {"record_id": record.record_id},
        "verdict": verdict,
    }


def _ids(selection: Selection) -> dict[str, str]:
    return {
        "address": selection.registry,
        "registered_model_id": selection.registered_model_id,
        "model_version_id": selection.model_version_id,
        "model_artifact_id": selection.model_artifact_id,
    }


def _report(folder: Path, seconds: float) -> None:
    import pandas as pd

    summary = json.loads((folder / "summary.json").read_text())
    rows = [
        {
            "model": f"{entry['name']} {entry['version']}",
            "accuracy": "{score:.3f} ({low:.3f} to {high:.3f})".format(**entry["accuracy"]),
            **{label: entry["operating_point"][name] for name, label in SHOWN.items()},
        }
        for entry in summary["models"]
    ]
    print(f"\n{pd.DataFrame(rows).to_string(index=False, float_format='{:.1f}'.format, na_rep='n/a')}\n")
    print(f"{summary['decision']}\n\n{summary['verdict']}\n")
    if gate := summary.get("gate"):
        print(f"gate        {gate['state']}: {pipelines.short(folder / gate['report'])}")
    print(f"comparison  {pipelines.short(folder / summary['comparison'])}")
    print(f"report      {pipelines.short(folder / summary['report'])}")
    print(f"summary     {pipelines.short(folder / 'summary.json')}")
    print(f"everything  {pipelines.short(folder)}, in {seconds:.0f} s")


if __name__ == "__main__":
    sys.exit(interrupts.run(main, "the models that are trained stay. The same command goes on"))
