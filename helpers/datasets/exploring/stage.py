"""The stage: read all texts of a use case, hold them against each other, and stop a run where the use case says so."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple, get_args

from pydantic import BeforeValidator, Field

from helpers.artifacts import Dataset
from helpers.artifacts.dataset import Kind, Role
from helpers.datasets.arrival import located
from helpers.datasets.exploring.answers import Logs, doubted
from helpers.datasets.exploring.counting import counted, in_tokens, in_words
from helpers.datasets.exploring.finding import findings
from helpers.datasets.exploring.texts import READABLE, Texts, read
from helpers.datasets.files import digest, files
from helpers.datasets.stated import find_use_case
from helpers.datasets.use_case import STORED, UseCase, placed
from helpers.errors import DatasetRefused, InvalidParameter
from helpers.runtime import parameters

NOTHING = "none"
SHOWN = 5  # rows in a message


class Settings(parameters.Settings):
    """Which use case is looked at, and from when on texts count as shared."""

    use_case: str = Field(default="ops-assistant", min_length=1)
    model: Annotated[Path | None, BeforeValidator(lambda value: None if value == NOTHING else value)] = Field(
        default=None, description="folder with the tokenizer.json in whose tokens lengths are counted; none: words"
    )
    run_words: int = Field(default=8, ge=4, le=100, description="words in a row that two texts share: an overlap")
    similar: float = Field(
        default=0.3, gt=0, le=1, description="Jaccard index of three-word runs from which another set's text is alike"
    )
    similar_inside: float = Field(
        default=0.8, gt=0, le=1, description="the same within a set, whose rows often share a form"
    )


class Gathered(NamedTuple):
    """The texts of a use case, and what of it could not be read and why."""

    use_case: UseCase
    sets: list[Texts]
    absent: dict[str, str]


def gather(settings: Settings, asked: Mapping[str, Sequence[Path]]) -> Gathered:
    """Read all texts of a use case; `asked` are the files with the questions of each evaluation.

    Raises InvalidParameter where USE_CASE is a mere name, InvalidDataset for rows that cannot be read.
    """
    found = find_use_case(settings.use_case)
    if found is None:
        raise InvalidParameter(
            f"Parameter USE_CASE is {settings.use_case!r}: there is no use case of that name, so there are no data",
            do="Name one that there is, or make it: make use-case NAME=…",
        )
    named: list[tuple[str, Role, list[Path]]] = [(name, "questions", [*paths]) for name, paths in asked.items()]
    sent = {name: each.prompts for name, each in found.workloads.items() if each.prompts}
    named += [(name, "prompts", [_here(found, prompts)]) for name, prompts in sent.items()]
    for role in get_args(Role):
        named += [(Path(name).name, role, [_here(found, name)]) for name in getattr(found.explore, role, ())]
    learned = [found.training.data, found.training.replay] if found.training else []
    named += [(Path(name).name, "documents", [_here(found, name)]) for name in learned if name]
    gathered = Gathered(found, [], {})
    for name, role, places in named:
        paths = [file for place in places for file in (files(place) if place.is_dir() else [place])]
        readable = [path for path in paths if path.suffix.lower() in READABLE]
        rows = [row for path in readable for row in read(path, role, _name(found, path))]
        if rows:
            gathered.sets.append(Texts(name, role, tuple(readable), rows))
        else:
            gathered.absent[name] = (
                f"its {role} stand in no file that can be read here: name one under explore in {found.file.name}"
            )
    return gathered


def explore(settings: Settings, gathered: Gathered, logs: Mapping[str, Logs], unknown: str = "") -> Dataset:
    """Return what there is and what is wrong; `logs` are the answers of measured versions by evaluation.

    `unknown` says why there are none. Raises as `in_tokens`.
    """
    use_case, sets, absent = gathered
    count = in_tokens(settings.model) if settings.model else in_words
    found = findings(sets, **settings.model_dump(include={"run_words", "similar", "similar_inside"}))
    lacking = dict(absent)
    for each in (each for each in sets if each.role == "questions"):
        more, why = doubted(each, logs.get(each.name, {}))
        found += more
        lacking |= {f"{kind} of {each.name}": unknown or told for kind, told in why.items()}
    paths = {_name(use_case, path): path for each in sets for path in each.files}
    return Dataset(
        use_case=use_case.name,
        digests={name: digest(path) for name, path in sorted(paths.items())},
        unit="tokens" if settings.model else "words",
        settings=settings.model_dump(mode="json", exclude_none=True),
        sets=tuple(counted(each, count, tuple(_name(use_case, path) for path in each.files)) for each in sets),
        findings=tuple(found),
        absent=lacking,
        at_most=use_case.explore.at_most,
    )


def told(dataset: Dataset) -> str:
    """Return what was found in each set, and what could not be looked at, line by line."""
    lines = []
    for each in dataset.sets:
        kinds = dict.fromkeys(found.kind for found in dataset.findings if found.set == each.name)
        held = ", ".join(f"{kind} {dataset.count(kind, each.name)}" for kind in kinds)
        role = "passages of documents" if each.role == "documents" else each.role
        lines.append(f"{each.name}: {each.rows} {role}" + (f"; {held}" if held else ""))
    return "\n".join([*lines, *(f"{what} is not known: {why}" for what, why in dataset.absent.items())])


def enforce(dataset: Dataset) -> None:
    """End the stage where there is more than the use case allows. Raises DatasetRefused with all that is too much."""
    counts = {kind: dataset.count(kind) for kind in dataset.at_most}
    wrong = [kind for kind, most in dataset.at_most.items() if counts[kind] > most]
    if wrong:
        told = "; ".join(f"{kind}: {counts[kind]}, {dataset.at_most[kind]} allowed ({_first(dataset, kind)})"
                         for kind in wrong)  # fmt: skip
        raise DatasetRefused(
            f"The data of {dataset.use_case} hold what its use-case.yaml does not allow: {told}",
            do="Correct these rows, all of which stand in dataset.json, or raise explore.at_most",
        )


def _first(dataset: Dataset, kind: Kind) -> str:
    rows = dataset.rows(kind)
    return ", ".join(rows[:SHOWN]) + (f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else "")


def _here(use_case: UseCase, name: str) -> Path:
    return Path(located("EXPLORE", name)) if name.startswith(STORED) else placed(use_case.folder, name)


def _name(use_case: UseCase, path: Path) -> str:
    return Path(os.path.relpath(path.resolve(), use_case.folder.resolve())).as_posix()
