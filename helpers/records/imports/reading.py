"""Read what one has: a file, or a folder with all that was measured of one model."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

from helpers.artifacts import AnyMeasurement, Hardware, LoadTest
from helpers.errors import InvalidResults, NotFound
from helpers.records.imports import evalhub, garak, guidellm, inference_perf, lm_eval, own, promptfoo, vllm_bench
from helpers.records.imports.contract import Imported, Reader
from helpers.records.imports.files import as_written, contents
from helpers.records.imports.loads import merged
from helpers.records.imports.recording import record_name
from helpers.records.imports.remote import fetch, is_remote

READERS: dict[str, Reader] = {
    "lm-eval": lm_eval,
    "GuideLLM": guidellm,
    "vllm bench serve": vllm_bench,
    "inference-perf": inference_perf,
    "promptfoo": promptfoo,
    "garak": garak,
    "EvalHub": evalhub,
    "Assay": own,
}
SUFFIXES = (".json", ".jsonl")
MOST_FILES = 2000
MOST_MODELS = 3  # that a sentence names
DO_ONE = "Give each model a folder of its own, or name the one file"


def read_all(sources: Sequence[str], metric: str = "") -> list[Imported]:
    """Return the sources in their order, each model under a name of its own.

    A source is a folder or a file, `NAME=` before it calls the model so. Raises what `read_source` raises, for all
    sources at once, and InvalidResults for a name that is there twice.
    """
    found, faults = [], []
    for source in sources:
        try:
            found.append(read_source(source, metric))
        except (InvalidResults, NotFound) as error:
            faults.append(error)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise InvalidResults("; ".join(error.what for error in faults), do=faults[0].do)
    return _told_apart(found, sources)


def read_source(source: str, metric: str = "") -> Imported:
    """Return what a folder or a file holds of one model. Raises NotFound or InvalidResults."""
    name, given = _named(source)
    place = Path(given)
    if is_remote(given):
        place, found = fetch(given)
        reads = [_of_content(place, found, metric)]
    else:
        reads = [each for path in _files(place) for each in _read(path, metric, alone=place.is_file())]
    parts = [part for part in reads if part and part.measurements]
    if not parts:
        known = ", ".join(READERS)
        raise InvalidResults(f"{place}: holds no results of {known}", do="Name the folder that the tool wrote into")
    models = {part.model.rpartition("/")[2].lower(): part for part in parts}
    if len(models) > 1:
        told = " and ".join(f"{part.model} ({part.place})" for part in list(models.values())[:MOST_MODELS])
        told += f" and {len(models) - MOST_MODELS} more" if len(models) > MOST_MODELS else ""
        raise InvalidResults(f"{place}: is a folder of several models: {told}", do=DO_ONE)
    where: dict[str, Path] = {}
    for part in parts:
        for each in part.evaluations:
            if each.name in where:
                twice = f"{where[each.name]} and {part.place}"
                raise InvalidResults(f"{place}: holds {each.subject} of one model twice: {twice}", do=DO_ONE)
            where[each.name] = part.place
    return Imported(
        model=name or parts[0].model,
        place=place,
        measurements=_joined(parts, place),
        samples={key: samples for part in parts for key, samples in part.samples.items()},
        hardware=_hardware([part.hardware for part in parts]),
        notes=tuple(chain.from_iterable(part.notes for part in parts)),
    )


def _joined(parts: Sequence[Imported], place: Path) -> tuple[AnyMeasurement, ...]:
    """Return all by name, files of one load each as one load test. Raises InvalidResults for two workloads."""
    every = [each for part in parts for each in part.measurements]
    loads = merged(each for each in every if isinstance(each, LoadTest))
    if len(loads) > 1:
        told = " and ".join(f"{each.workload} ({each.report})" for each in loads)
        raise InvalidResults(f"{place}: holds load tests of several workloads: {told}", do=DO_ONE)
    return tuple(sorted([*loads, *(each for part in parts for each in part.evaluations)], key=lambda each: each.name))


def _named(source: str) -> tuple[str, str]:
    """Return the name that stands before the path, "" where there is none, and the path."""
    name, equals, path = source.partition("=")
    return (name, path) if equals and not (is_remote(source) or Path(source).exists()) else ("", source)


def _files(place: Path) -> list[Path]:
    if place.is_file():
        return [place]
    if not place.is_dir():
        raise NotFound(f"{place} is not there", do="Give a folder or a file that a tool wrote")
    found = sorted(path for path in _visible(place) if path.suffix in SUFFIXES)
    if len(found) > MOST_FILES:
        raise InvalidResults(f"{place}: holds {len(found):,} files", do="Name the folder that the tool wrote into")
    return [path for path in found if not path.name.startswith("samples_") and not path.name.endswith(own.RAW)]


def _visible(place: Path) -> Iterator[Path]:
    """Yield every file below a folder that is not hidden. Raises NotFound for a folder that cannot be read."""

    def refuse(error: OSError) -> None:
        raise NotFound(f"{error.filename} cannot be read: {error.strerror}", do="Correct the path") from error

    for folder, folders, files in os.walk(place, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(folder) / name for name in files if not name.startswith("."))


def _read(path: Path, metric: str, *, alone: bool) -> list[Imported]:
    """Return what a file holds, nothing where no reader knows its format; raises where it was named itself."""
    read = [each for found in contents(path) if (each := _of_content(path, found, metric))]
    if alone and not read:
        raise InvalidResults(f"{path}: is no results file of {', '.join(READERS)}", do="Name one of theirs")
    return read


def _of_content(path: Path, found: Any, metric: str) -> Imported | None:
    known = next(((tool, reader) for tool, reader in READERS.items() if reader.claims(found)), None)
    if known is None:
        return None
    tool, reader = known
    with as_written(str(path), tool):
        return reader.read(path, found, metric)


def _hardware(told: Sequence[Hardware | None]) -> Hardware | None:
    known = {str(each): each for each in told if each}
    return next(iter(known.values())) if len(known) == 1 else None


def _told_apart(found: Sequence[Imported], sources: Sequence[str]) -> list[Imported]:
    """Return the models, those of one name told apart by their place."""
    names = [record_name(each.model) for each in found]
    told: list[Imported] = []
    for each, plain in zip(found, names, strict=True):
        name = record_name(f"{plain} ({each.place.stem})") if names.count(plain) > 1 else plain
        if any(other.model == name for other in told):
            raise InvalidResults(
                f"{', '.join(sources)}: two are called {name}", do="Name them apart: FIRST=path SECOND=path"
            )
        told.append(replace(each, model=name))
    return told
