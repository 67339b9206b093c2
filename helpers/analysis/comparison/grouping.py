"""Which records are held against each other: those that were asked the same; of each version the newest."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from helpers.artifacts import AnyMeasurement, Evaluation, LoadTest, Record
from helpers.artifacts.accuracy import COVERAGE
from helpers.artifacts.measurement import EVALUATION, LOAD_TEST

# Settings of lm_eval_task that decide an answer, beside those that are fields of the evaluation.
DECIDING = ("system_instruction", "gen_kwargs")
EXAMPLES = ("seed", "fewshot_as_multiturn")  # these two only where there are worked examples, the last in a chat
DEFAULTS = ("", "auto", "none", "False", "None")


class Asked(NamedTuple):
    """What a version was asked, and how; two records with the same are compared."""

    partial: str
    task: str
    questions: str
    metric: str
    kind: str
    api: str
    shots: int
    settings: tuple[str, ...]
    workload: str
    prompts: str
    tokens: tuple[int | None, int]


class Chosen(NamedTuple):
    """The records to compare, one of each version, and why each other is not among them."""

    records: list[Record]
    notes: list[str]


def asked(record: Record, coverage: float = COVERAGE) -> Asked:
    """Return what a record's version was asked."""
    load = _of_load_test(record.sweep) if record.load_tests else ("", "", (None, 0))
    return Asked(*_of_evaluation(record.evaluation, coverage), *load)


def asked_of(measurement: AnyMeasurement) -> tuple[Any, ...]:
    """Return what a measurement asked, and how; two with the same are compared."""
    if isinstance(measurement, Evaluation):
        return _of_evaluation(measurement)
    return *_of_load_test(measurement), measurement.slo.model_dump_json()


def most_alike(measured: Sequence[tuple[str, AnyMeasurement]], own: str) -> tuple[Any, ...]:
    """Return what the record `own` was asked, or else what most records were, no trial where there is a whole one."""
    whole = [(record, each) for record, each in measured if not each.partial] or list(measured)
    mine = [asked_of(each) for record, each in measured if record == own]
    return mine[0] if mine else Counter(asked_of(each) for _, each in whole).most_common(1)[0][0]


def _of_evaluation(evaluation: Evaluation, coverage: float = COVERAGE) -> tuple[Any, ...]:
    names = (*DECIDING, *EXAMPLES[: 1 + (evaluation.api == "chat")]) if evaluation.num_fewshot else DECIDING
    how = [str(evaluation.settings.get(name, "")) for name in names]
    return (
        f"first {evaluation.limit}" if evaluation.trial else "unanswered" if evaluation.short_of(coverage) else "",
        evaluation.task,
        evaluation.dataset_digest,
        evaluation.metric,
        evaluation.score_kind,
        evaluation.api,
        evaluation.num_fewshot,
        tuple("" if value in DEFAULTS else value for value in how),
    )


def _of_load_test(load_test: LoadTest) -> tuple[Any, ...]:
    tokens = (load_test.prompt_tokens, load_test.output_tokens)
    return load_test.workload, load_test.dataset_digest or "", tokens


def narrowed(records: Sequence[Record], task: str = "", ranked: Collection[str] = ()) -> Chosen:
    """Return each record with its evaluation of the task and one load test alone, by which versions are ranked.

    Those named in `ranked` are taken first, then those with the shipped names.

    A record that lacks one of the two cannot be placed by accuracy and speed, and is noted.
    """
    found, notes = [], []
    for record in records:
        asked = [each for each in record.evaluations if task in ("", each.task)]
        if asked and record.load_tests:
            first = min(record.load_tests, key=lambda each: (each.name not in ranked, each.name != LOAD_TEST))
            scored = min(asked, key=lambda each: (each.name not in ranked, each.name != EVALUATION))
            found.append(record.model_copy(update={"measurements": (first, scored)}))
        else:
            lacks = "load test" if asked else f"evaluation of {task}" if task else "evaluation"
            notes.append(f"{record.label}: record {record.record_id} is not compared: it holds no {lacks}")
    return Chosen(found, notes)


def choose(records: Sequence[Record], own: str = "", coverage: float = COVERAGE) -> Chosen:
    """Return the records that were asked the same as the record `own`, or else as most versions were (the newest such).

    A trial, or an evaluation with too few answers, is chosen only where there is nothing else. Of each version the
    newest counts, or the own one.
    """
    groups: dict[Asked, list[Record]] = {}
    for record in sorted({record.record_id: record for record in records}.values(), key=_ended):  # stable: as logged
        groups.setdefault(asked(record, coverage), []).append(record)
    pool = [found for what, found in groups.items() if not what.partial] or list(groups.values())
    best = max(pool, key=lambda found: (_has(found, own), len({each.label for each in found}), _ended(found[-1])))
    kept: dict[str, Record] = {}
    for record in best:
        if record.label not in kept or kept[record.label].record_id != own:
            kept[record.label] = record
    chosen = list(kept.values())
    others = sorted((record for record in records if record not in chosen), key=lambda record: record.label)
    return Chosen(chosen, list(dict.fromkeys(_note(record, kept, chosen[0], own, coverage) for record in others)))


def asked_so_far(chosen: Sequence[Record], records: Iterable[Record]) -> dict[str, dict[str, int]]:
    """Return for each version the digests of all questions that it was ever asked like now, with how many they were.

    Of a trial nothing was concluded.
    """
    found: dict[str, dict[str, int]] = {record.label: {} for record in chosen}
    like = {asked(record)._replace(questions="") for record in chosen}
    for record in (*records, *chosen):
        evaluation = record.evaluation
        if record.label in found and asked(record)._replace(questions="") in like:
            known = found[record.label]
            known[evaluation.dataset_digest] = max(evaluation.n, known.get(evaluation.dataset_digest, 0))
    return found


def looks(mine: Mapping[str, int], theirs: Mapping[str, int], now: str) -> tuple[int, ...]:
    """Return on how many questions two versions were compared, each time on more; the last are those of the digest."""
    both = {digest: min(mine[digest], theirs[digest]) for digest in mine.keys() & theirs.keys()}
    return *sorted({n for n in both.values() if n < both[now]}), both[now]


def _has(records: Sequence[Record], own: str) -> bool:
    return any(record.record_id == own for record in records)


def _ended(record: Record) -> datetime:
    return max(each.ended for each in (*record.load_tests[:1], record.evaluation))


def _note(record: Record, kept: dict[str, Record], reference: Record, own: str, coverage: float) -> str:
    """Return why a record is not compared."""
    what = f"{record.label}: record {record.record_id}"
    differing = list(_differs(record, reference, coverage))
    if differing:
        return f"{what} is not compared: {', '.join(differing)}"
    other = kept[record.label]
    if record.selection.digest != other.selection.digest:
        return f"{what} is not compared: another model under the same name and version"
    if other.record_id == own:
        return f"{what} is left out: {own} is this run's"
    return f"{what} is older than {other.record_id} and left out"


def _differs(record: Record, reference: Record, coverage: float) -> Iterator[str]:
    mine, theirs = asked(record, coverage), asked(reference, coverage)
    if mine.partial != theirs.partial:
        yield record.evaluation.short_of(coverage) or "all questions were asked"
    if (mine.task, mine.questions) != (theirs.task, theirs.questions):
        yield f"other questions ({mine.task}, {mine.questions[:19]}\u2026)"
    if (mine.metric, mine.kind) != (theirs.metric, theirs.kind):
        yield f"scored by {mine.metric} instead of {theirs.metric}"
    if mine.api != theirs.api:
        yield f"asked through {mine.api} instead of {theirs.api}"
    if mine.shots != theirs.shots:
        yield f"{mine.shots} worked examples instead of {theirs.shots}"
    if mine.settings != theirs.settings and (mine.shots, mine.api) == (theirs.shots, theirs.api):
        names = (*DECIDING, *EXAMPLES)
        changed = [name for name, a, b in zip(names, mine.settings, theirs.settings, strict=False) if a != b]
        yield f"another {' and '.join(changed)}"
    if mine.workload != theirs.workload:
        yield f"load test with {mine.workload} instead of {theirs.workload}"
    elif (mine.prompts, mine.tokens) != (theirs.prompts, theirs.tokens):
        yield f"load test with other {'prompts' if mine.prompts != theirs.prompts else 'numbers of tokens'}"
