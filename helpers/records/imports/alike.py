"""Which imported measurements were asked the same; what else differs is said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from helpers.artifacts import AnyMeasurement, Evaluation, LoadTest, Sample
from helpers.artifacts.accuracy import COVERAGE
from helpers.records.imports.contract import Imported
from helpers.records.imports.loads import one_workload

# Settings that change what is asked or how it is scored, and how a reader calls them.
REFUSED = {
    "task_version": "task version",
    "system_instruction": "system instruction",
    "gen_kwargs": "generation settings",
}
Samples = Sequence[Sample]


def alike(found: Sequence[Imported], coverage: float = COVERAGE) -> tuple[list[Imported], list[str]]:
    """Return the sources with the evaluations that were asked the same as the first source's, and what to say.

    Those get one digest of their questions: who answered `coverage` of them has them in common.
    """
    kept: list[Imported] = []
    notes: list[str] = []
    for source in found:
        measured: list[AnyMeasurement] = []
        for each in source.measurements:
            if isinstance(each, LoadTest):
                sent, said = _same_load(each, source.model, kept)
                measured.append(sent)
                notes += said
                continue
            before = _first(kept, each.name)
            if before is None:
                measured.append(each)
                continue
            reference, samples, named = before
            mine = source.samples.get(each.name, ())
            what = f"{each.task} of {source.model}"
            if why := list(_differs(each, mine, reference, samples, coverage)):
                notes.append(f"{what} is not compared with {named}: {', '.join(why)}")
                continue
            notes += [f"{what}: {said}" for said in _said(each, mine, reference, samples)]
            measured.append(each.model_copy(update={"dataset_digest": reference.dataset_digest}))
        kept.append(replace(source, measurements=tuple(measured)))
        notes += [f"{source.model}: {note}" for note in source.notes]
    return kept, notes


def _first(kept: Sequence[Imported], name: str) -> tuple[Evaluation, Samples, str] | None:
    for source in kept:
        for each in source.evaluations:
            if each.name == name:
                return each, source.samples.get(name, ()), source.model
    return None


def _same_load(mine: LoadTest, model: str, kept: Sequence[Imported]) -> tuple[LoadTest, list[str]]:
    """Return the load test under the name of the first source's workload; of another one the speeds stand apart."""
    known = next(((s.model, each) for s in kept for each in s.measurements if isinstance(each, LoadTest)), None)
    if known is None:
        return mine, []
    named, first = known
    if one_workload(first, mine):
        return mine.model_copy(update={"workload": first.workload}), []
    return mine, [f"{model}: its load is not compared with {named}: {_sent(mine)} instead of {_sent(first)}"]


def _sent(load: LoadTest) -> str:
    tokens = f", {load.prompt_tokens} tokens in and {load.output_tokens} out" if load.prompt_tokens else ""
    return load.workload + tokens


def _differs(mine: Evaluation, samples: Samples, theirs: Evaluation, others: Samples, coverage: float) -> Iterator[str]:
    """Yield what makes two evaluations two different ones."""
    if mine.metric != theirs.metric:
        yield f"scored by {mine.metric} instead of {theirs.metric}"
    if mine.num_fewshot != theirs.num_fewshot:
        yield f"{mine.num_fewshot} worked examples instead of {theirs.num_fewshot}"
    if mine.api != theirs.api:
        yield f"asked through {mine.api} instead of {theirs.api}"
    for name, called in REFUSED.items():
        if (one := mine.settings.get(name, "")) != (other := theirs.settings.get(name, "")):
            yield f"another {called}" + (f" ({one} instead of {other})" if name == "task_version" else "")
    if mine.limit != theirs.limit:
        yield " against ".join(f"{each.total} questions{' (cut)' if each.trial else ''}" for each in (mine, theirs))
        return
    if samples and others:
        yield from _other_questions(samples, others, coverage)
        if mine.settings.get("prompt") != theirs.settings.get("prompt") and _asked_otherwise(samples, others):
            yield "another prompt"
    elif (mine.settings.get("prompt"), mine.total) != (theirs.settings.get("prompt"), theirs.total):
        yield "another prompt or other questions"


def _other_questions(samples: Samples, others: Samples, coverage: float) -> Iterator[str]:
    mine, theirs = ({sample.id for sample in each} for each in (samples, others))
    common = len(mine & theirs)
    if common < coverage * max(len(mine), len(theirs)):
        yield f"other questions: {common} of {max(len(mine), len(theirs))} are the same"


def _asked_otherwise(samples: Samples, others: Samples) -> int:
    """Return how many questions were asked by another text."""
    theirs = {sample.id: sample.prompt for sample in others}
    return sum(sample.prompt != theirs.get(sample.id, sample.prompt) for sample in samples)


def _said(mine: Evaluation, samples: Samples, theirs: Evaluation, others: Samples) -> Iterator[str]:
    """Yield what differs and does not change what is asked."""
    count = _asked_otherwise(samples, others)
    template = mine.settings.get("chat_template") != theirs.settings.get("chat_template")
    if count and template:
        yield "each model was asked in its own chat template"
    elif count:
        examples = ", with other worked examples or" if mine.num_fewshot else ", in"
        yield f"{count} questions were asked{examples} other text around them"
    if mine.versions != theirs.versions:
        yield f"measured with {_tools(mine)}, the other with {_tools(theirs)}"


def _tools(evaluation: Evaluation) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(evaluation.versions.items()))
