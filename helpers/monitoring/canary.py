"""Canary questions: some of a record's own questions asked again, held against the record in a control chart."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path

from pydantic import ValidationError

from helpers import storage
from helpers.artifacts import Evaluation, Record, Sample
from helpers.artifacts.observation import Canary, Observation
from helpers.errors import InvalidInput, NotFound
from helpers.evaluation import lm_eval
from helpers.evaluation.samples import read_answers
from helpers.monitoring.settings import Settings
from helpers.records import reading
from helpers.serving import existing, targets
from helpers.serving import settings as serving

SIGMAS = 3  # Shewhart's control limits, outside of which a stable process comes 3 times in 1,000
KEPT = "observations"
LOOKS = 100  # that a control chart shows


def ask(settings: Settings, record: Record, asked: lm_eval.Settings, policy: Path) -> Canary | None:
    """Ask the first questions of one of the record's evaluations again, as it was asked; None where none is wanted.

    `asked` is how the use case asks it. Raises NotFound where the record has none or nobody serves it, InvalidInput
    for one that lm-eval did not ask, and as `lm_eval.evaluate`.
    """
    if not settings.canary_questions:
        return None
    known = next((each for each in record.evaluations if each.name == settings.evaluation), None)
    if known is None or not known.samples:
        raise NotFound(
            f"Record {record.record_id} has no answers of an evaluation {settings.evaluation}", do="Correct EVALUATION"
        )
    if known.evaluator != "lm_eval" or known.task != asked.task:
        raise InvalidInput(
            f"{known.name} of record {record.record_id} is {known.task} by {known.evaluator}, and canary questions are "
            f"{asked.task} by lm-eval", do="Name an accuracy evaluation in EVALUATION"
        )  # fmt: skip
    url = settings.endpoint_url or _served(record)
    before = reading_of(record, known)
    how = {"name": "canary", "api": known.api, "num_fewshot": known.num_fewshot, "limit": settings.canary_questions}
    limited = lm_eval.Settings(**{**asked.model_dump(), **how, "allow_partial": True})
    endpoint = existing.connect(record.selection, serving.Settings(target="existing", endpoint_url=url, policy=policy))
    with tempfile.TemporaryDirectory(prefix="assay-canary-") as folder:
        found = lm_eval.evaluate(limited, endpoint, Path(folder))
        answers = read_answers(Path(folder) / found.samples, found.metric)
    return compared(settings.evaluation, before, answers, found.total)


def reading_of(record: Record, evaluation: Evaluation) -> dict[str, Sample]:
    """Return the record's answers to an evaluation, by the question's id. Raises as `reading.raw_file`."""
    with tempfile.TemporaryDirectory(prefix="assay-canary-") as folder:
        path = Path(folder) / evaluation.samples
        path.write_bytes(reading.raw_file(record, evaluation.samples))
        return read_answers(path, evaluation.metric)


def compared(name: str, before: dict[str, Sample], after: dict[str, Sample], asked: int) -> Canary:
    """Return how the same questions were answered now; the limits are three standard errors around the record's score.

    Where the record has all of them right, or all wrong, its spread is not zero: then a rule of three takes its place.
    Raises InvalidInput where no question is in both.
    """
    if not (shared := sorted(before.keys() & after.keys())):
        raise InvalidInput("No canary question has an answer in the record", do="Measure the version again")
    then, now = ([float(each[key].score) for key in shared] for each in (before, after))
    count, expected = len(shared), math.fsum(then) / len(then)
    variance = math.fsum((score - expected) ** 2 for score in then) / count
    width = SIGMAS * math.sqrt(variance / count) if variance else min(1.0, 3 / count)
    return Canary(
        evaluation=name, asked=asked, answered=count, score=math.fsum(now) / count, expected=expected,
        low=max(0.0, expected - width), high=min(1.0, expected + width),
        lost=sum(one > two for one, two in zip(then, now, strict=True)),
        gained=sum(one < two for one, two in zip(then, now, strict=True)),
    )  # fmt: skip


def keep(seen: Observation, store: str) -> str:
    """Write an observation without its points into the store, for later control charts; return its address."""
    place = f"{_place(seen, store)}/{seen.ended:%Y%m%dT%H%M%SZ}.json"
    return storage.put(seen.model_dump_json(exclude={"signals"}).encode(), place)


def history(seen: Observation, store: str) -> list[Observation]:
    """Return the earlier looks with canary questions, oldest first, and this one."""
    place = _place(seen, store)
    try:
        kept = storage.listing(place)[-LOOKS:]
    except NotFound:  # this is the first look
        kept = []
    read = [found for name in kept if (found := _observation(f"{place}/{name}"))]
    return [each for each in (*read, seen) if each.canary and each.ended <= seen.ended]


def _observation(uri: str) -> Observation | None:
    """Return an earlier look; what is none is told and passed over."""
    try:
        return Observation.model_validate_json(_whole(storage.get(uri)))
    except ValidationError:
        print(f"{uri} is no observation and is passed over")
        return None


def _whole(content: bytes) -> bytes:
    return content.rstrip().removesuffix(b"}") + b',"signals":[]}'


def _place(seen: Observation, store: str) -> str:
    return f"{storage.resolve(store)}/{KEPT}/{seen.label.replace(' ', '/')}"


def _served(record: Record) -> str:
    """Return where this machine serves the record's version. Raises NotFound."""
    if not (found := targets.served(record.selection.name, record.selection.version)):
        raise NotFound(
            f"Nobody serves {record.selection.label} here", do="Deploy it (deploy_model), or set ENDPOINT_URL"
        )
    return found.url
