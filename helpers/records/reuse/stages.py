"""The measuring stages: take an earlier result over where there is one, else measure."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from helpers import load_test
from helpers.artifacts import FOLDER, Endpoint, Evaluation, LoadTest, NotMeasured
from helpers.evaluation import evaluator, lm_eval
from helpers.evaluation.asked import Asked
from helpers.evaluation.lm_eval import results
from helpers.evaluation.lm_eval.results import ELSEWHERE, score_again
from helpers.records.reuse import answers, files, identity
from helpers.records.reuse.archive import Archive
from helpers.records.reuse.known import Result, Wanted, asked, here, recorded
from helpers.records.reuse.known import evaluation as an_evaluation
from helpers.records.reuse.known import load_test as a_load_test
from helpers.records.reuse.settings import Settings
from helpers.serving.guard import Guard

Say = Callable[[str], None]
Serve = Callable[[], Endpoint]  # returns the endpoint with its server up, started where that is not done yet
AGAIN = "FRESH=true measures it again"
SAME = "data, tools, engine, hardware and parameters"


def _say(text: str) -> None:
    print(text, flush=True)


def sweep(
    settings: load_test.Settings,
    endpoint: Endpoint,
    known: Settings,
    folder: Path = FOLDER,
    say: Say = _say,
    serve: Serve | None = None,
) -> LoadTest:
    """Return the sweep of this identity where one is known, else measure as `load_test.sweep` does, and raise as it.

    `serve` is called only where something is measured, and what it returns is guarded.
    """
    own = identity.of_sweep(settings, endpoint) if _verified(endpoint, say) and _named(endpoint, say) else ""
    if (
        own
        and not known.fresh
        and (taken := _take(a_load_test(settings.name, own), Archive(known.registry), folder, say))
    ):
        return taken.model_copy(update={"digest": endpoint.digest})
    endpoint, guard = _served(endpoint, serve)
    own = own and identity.of_sweep(settings, endpoint)
    measured = load_test.sweep(settings, endpoint, folder, say, guard)
    return measured.model_copy(update={"identity": own, "files": files.digests(folder, measured.raw.values())})


def evaluate(
    settings: lm_eval.Settings,
    endpoint: Endpoint,
    known: Settings,
    folder: Path = FOLDER,
    say: Say = _say,
    serve: Serve | None = None,
) -> Evaluation | NotMeasured:
    """Return the evaluation of this identity where one is known, else ask what no earlier evaluation has asked.

    What the use case does not name is not measured. `serve` is called only where something is asked, and what it
    returns is guarded. Raises as `lm_eval.evaluate`.
    """
    if settings.unwanted:
        own_files = results.files(settings.name)
        return NotMeasured(name=settings.name, why=settings.unwanted, empty=(own_files.results, own_files.samples))
    task = lm_eval.check_task(settings)
    verified = _verified(endpoint, say)
    own = identity.of_evaluation(settings, endpoint, task) if verified else ""
    alike = identity.of_answers(endpoint) if verified else ""
    if verified and not own:
        say(f"Only answers of {settings.task} are taken over, never its result: {'; '.join(task.content.gaps[:3])}.")
    archive = Archive(known.registry)
    if own and not known.fresh and (taken := _take(an_evaluation(settings.name, own), archive, folder, say)):
        return _with_confidence(taken, folder, settings.confidence).model_copy(update={"digest": endpoint.digest})
    endpoint, guard = _served(endpoint, serve)
    own, alike = own and identity.of_evaluation(settings, endpoint, task), alike and identity.of_answers(endpoint)
    with tempfile.TemporaryDirectory(prefix="assay-answers-") as scratch:
        wanted = alike and not known.fresh
        answered = (
            answers.collect(alike, settings.name, settings.task, archive, folder, Path(scratch)) if wanted else None
        )
        archive.tell(say)
        measured = lm_eval.evaluate(settings, endpoint, folder, known=answered, show=say, guard=guard)
    elsewhere = measured.settings.get(ELSEWHERE)
    if own and elsewhere:
        say(f"This result will not be taken over: the task's code used {elsewhere}, which no digest covers.")
    # A result that lacks answers is never taken over whole, so that they are asked for again.
    marks = {"identity": "" if measured.failed or elsewhere else own, "answers_identity": alike}
    return measured.model_copy(update={**marks, "files": files.digests(folder, measured.raw.values())})


def measure(
    settings: Asked,
    endpoint: Endpoint,
    known: Settings,
    folder: Path = FOLDER,
    say: Say = _say,
    serve: Serve | None = None,
) -> Evaluation | NotMeasured:
    """Do as `evaluate` for the other evaluators; what the use case does not name is not measured.

    Raises InvalidDataset before anything is asked, and then what the evaluator raises.
    """
    if settings.unwanted:
        outputs = evaluator.raw(settings.evaluator, settings.name).values()
        return NotMeasured(name=settings.name, why=settings.unwanted, empty=tuple(outputs))
    by, verified = evaluator.of(settings), _verified(endpoint, say)
    content = by.content(settings)

    def own(endpoint: Endpoint) -> str:
        parts = {"tools": dict(by.versions()), "settings": settings.deciding(), "subject": settings.subject}
        return identity.of_asked(settings.evaluator, endpoint, content, **parts) if verified else ""

    archive, wanted = Archive(known.registry), verified and not known.fresh
    if wanted and (taken := _take(asked(settings.evaluator, settings.name, own(endpoint)), archive, folder, say)):
        return _with_confidence(taken, folder, settings.confidence).model_copy(update={"digest": endpoint.digest})
    endpoint, guard = _served(endpoint, serve)
    alike = identity.of_answers(endpoint) if verified else ""
    with tempfile.TemporaryDirectory(prefix="assay-answers-") as scratch:
        place = (archive, folder, Path(scratch))
        answered = answers.collect(alike, settings.name, settings.subject, *place) if wanted else None
        archive.tell(say)
        measured = by.evaluate(settings, endpoint, folder, known=answered, show=say, guard=guard)
    marks = {"identity": "" if measured.failed else own(endpoint), "answers_identity": alike}
    return measured.model_copy(update={**marks, "files": files.digests(folder, measured.raw.values())})


def _served(endpoint: Endpoint, serve: Serve | None) -> tuple[Endpoint, Guard | None]:
    if serve is None:
        return endpoint, None
    endpoint = serve()
    return endpoint, Guard(endpoint)


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


def _take(wanted: Wanted[Result], archive: Archive, folder: Path, say: Say) -> Result | None:
    """Return the result of this identity and say whose it is; None, with the reason, where there is none to be had."""
    if (found := here(wanted, folder)) and not archive.withdrew(identity=wanted.identity):
        origin = f"record {found.taken_from}" if found.taken_from else str(folder / found.file)
        say(f"{wanted.name} was measured {_when(found.ended)} ({origin}) and stands; {AGAIN}.")
        return found
    if known := recorded(wanted, archive, folder):
        record, found = known
        origin = found.taken_from or record.record_id
        told = f"{wanted.name} was measured {_when(found.ended)} (record {origin}, {record.selection.label})"
        say(f"{told} and is taken over; {AGAIN}.")
        return found.model_copy(update={"taken_from": origin})
    if not archive.tell(say):
        say(f"No earlier measurement of this model has the same {SAME}, so {wanted.name} is measured.")
    return None


def _when(moment: datetime) -> str:
    return f"on {moment:%Y-%m-%d} at {moment:%H:%M} UTC"


def _with_confidence(taken: Evaluation, folder: Path, confidence: float) -> Evaluation:
    """Return it with the interval that is asked for now: the answers do not depend on it."""
    if taken.interval.confidence == confidence:
        return taken
    interval = score_again(taken, folder, confidence)
    return taken.model_copy(update={"interval": interval, "settings": {**taken.settings, "confidence": confidence}})
