"""The two measuring stages: take an earlier result over where there is one, else measure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from helpers import benchmark, evaluation
from helpers.artifacts import FOLDER, Endpoint, Evaluation, Sweep
from helpers.earlier import answers, files, identity
from helpers.earlier.archive import Archive
from helpers.earlier.known import EVALUATION, SWEEP, Kind, Result, here, recorded
from helpers.earlier.settings import Settings
from helpers.partial import Guard
from helpers.statistics import wilson

Say = Callable[[str], None]
AGAIN = "FRESH=true measures it again"
SAME = "data, tools, engine, hardware and parameters"


def _say(text: str) -> None:
    print(text, flush=True)


def sweep(
    settings: benchmark.Settings,
    endpoint: Endpoint,
    known: Settings,
    folder: Path = FOLDER,
    say: Say = _say,
    guard: Guard | None = None,
) -> Sweep:
    """Return the sweep of this identity where one is known, else measure as `benchmark.sweep` does, and raise as it."""
    own = identity.of_sweep(settings, endpoint) if _verified(endpoint, say) and _named(endpoint, say) else ""
    if own and not known.fresh and (taken := _take(SWEEP, own, Archive(known.registry), folder, say)):
        return taken.model_copy(update={"digest": endpoint.digest})
    measured = benchmark.sweep(settings, endpoint, folder, say, guard)
    return measured.model_copy(update={"identity": own, "files": files.digests(folder, SWEEP.files)})


def evaluate(
    settings: evaluation.Settings,
    endpoint: Endpoint,
    known: Settings,
    folder: Path = FOLDER,
    say: Say = _say,
    guard: Guard | None = None,
) -> Evaluation:
    """Return the evaluation of this identity where one is known, else ask what no earlier evaluation has asked.

    Raises as `evaluation.evaluate`.
    """
    task = evaluation.check_task(settings)
    verified = _verified(endpoint, say)
    own = identity.of_evaluation(settings, endpoint, task) if verified else ""
    alike = identity.of_answers(endpoint) if verified else ""
    if verified and not own:
        say(f"The data of {settings.task} lies elsewhere, so its result is not taken over, only answers are.")
    archive = Archive(known.registry)
    if own and not known.fresh and (taken := _take(EVALUATION, own, archive, folder, say)):
        return _with_confidence(taken, settings.confidence).model_copy(update={"digest": endpoint.digest})
    with tempfile.TemporaryDirectory(prefix="assay-answers-") as scratch:
        wanted = alike and not known.fresh
        answered = answers.collect(alike, settings.task, archive, folder, Path(scratch)) if wanted else None
        archive.tell(say)
        measured = evaluation.evaluate(settings, endpoint, folder, known=answered, show=say, guard=guard)
    # A result that lacks answers is never taken over whole, so that they are asked for again.
    marks = {"identity": "" if measured.failed else own, "answers_identity": alike}
    return measured.model_copy(update={**marks, "files": files.digests(folder, EVALUATION.files)})


def _verified(endpoint: Endpoint, say: Say) -> bool:
    """Return whether it is known what is served, by what and on what; say so where it is not."""
    if endpoint.target == "existing" or not endpoint.digest_verified:
        say(f"Nobody verified which model {endpoint.url} serves, or on what hardware, so nothing is taken over.")
        return False
    if endpoint.engine_version == "unknown":
        say(f"{endpoint.url} does not say which version of {endpoint.engine} it is, so nothing is taken over.")
        return False
    return True


def _named(endpoint: Endpoint, say: Say) -> bool:
    """Return whether the hardware is known by its product, which a speed depends on; say so where it is not."""
    hardware = endpoint.hardware.type
    named = hardware != "CPU" and "/" not in hardware
    if not named:
        say(f"The hardware of {endpoint.url} is known as {hardware} only, not by its product, so it is measured.")
    return named


def _take(kind: Kind[Result], own: str, archive: Archive, folder: Path, say: Say) -> Result | None:
    """Return the result of this identity and say whose it is; None, with the reason, where there is none to be had."""
    if found := here(kind, own, folder):
        origin = f"record {found.taken_from}" if found.taken_from else str(folder / kind.artifact.filename)
        say(f"This {kind.name} was measured {_when(found.ended)} ({origin}) and stands; {AGAIN}.")
        return found
    if record := recorded(kind, own, archive, folder):
        found = kind.of(record)
        origin = found.taken_from or record.record_id
        told = f"This {kind.name} was measured {_when(found.ended)} (record {origin}, {record.selection.label})"
        say(f"{told} and is taken over; {AGAIN}.")
        return found.model_copy(update={"taken_from": origin})
    if not archive.tell(say):
        say(f"No earlier {kind.name} of this model has the same {SAME}, so it is measured.")
    return None


def _when(moment: datetime) -> str:
    return f"on {moment:%Y-%m-%d} at {moment:%H:%M} UTC"


def _with_confidence(taken: Evaluation, confidence: float) -> Evaluation:
    """Return it with the interval that is asked for now: the answers do not depend on it."""
    if taken.interval.confidence == confidence:
        return taken
    interval = wilson(taken.correct, taken.n, confidence)
    return taken.model_copy(update={"interval": interval, "settings": {**taken.settings, "confidence": confidence}})
