"""Further figures of a task: what its YAML's `metadata: {figures: …}` says of its rows' scores."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import ConfigDict, ValidationError

from helpers.artifacts import Interval, Metric, Sample
from helpers.artifacts.base import Contract
from helpers.errors import InvalidDataset
from helpers.evaluation.samples import clusters
from helpers.statistics import mean_of_scores


class Figure(Contract):
    """The mean of a score over the rows of a category.

    With `zero` the score says to which of two sides an answer leans, 0.5 to neither, and the figure is |2 * mean - 1|.
    """

    model_config = ConfigDict(extra="forbid")

    of: str
    category: str = ""  # all rows where there is none
    better: Literal["higher", "lower", "zero"] = "higher"


def stated(tasks: Mapping[Path, Mapping[str, Any]]) -> dict[str, Figure]:
    """Return the figures of the tasks, whose YAML is given by its file. Raises InvalidDataset with file and field."""
    found: dict[str, Figure] = {}
    for file, config in tasks.items():
        said = (config.get("metadata") or {}).get("figures") or {}
        for name, fields in said.items() if isinstance(said, Mapping) else [("", said)]:
            try:
                found[str(name)] = Figure.model_validate(fields)
            except ValidationError as error:
                first = error.errors()[0]
                where = ".".join(str(part) for part in ("metadata.figures", name, *first["loc"]) if part)
                raise InvalidDataset(
                    f"{file}, field {where}: {first['msg']}",
                    do="Write NAME: {of: METRIC, category: CATEGORY, better: higher, lower or zero}",
                ) from error
    return found


def figures(
    stated: Mapping[str, Figure], samples: Sequence[Sample], confidence: float
) -> tuple[tuple[Metric, ...], dict[str, Any]]:
    """Return the figures of these samples, and for each that is best at zero how many answers lean to which side."""
    found, sides = list[Metric](), dict[str, Any]()
    for name, figure in stated.items():
        rows = [each for each in samples if figure.of in each.scores and figure.category in ("", each.category)]
        scores = [each.scores[figure.of] for each in rows]
        if not rows:
            continue
        value, interval = math.fsum(scores) / len(scores), mean_of_scores(scores, confidence, clusters(rows))
        kind: Literal["proportion", "mean"] = "proportion" if all(score in (0, 1) for score in scores) else "mean"
        if figure.better == "zero":
            sides[name] = dict(Counter(_sides(scores)))
            value, interval, kind = abs(2 * value - 1), _size(interval), "mean"
        found.append(
            Metric(name=name, value=value, better=figure.better, n=len(rows), kind=kind, interval=interval)
        )  # fmt: skip
    return tuple(found), sides


def _size(of_mean: Interval) -> Interval:
    """Return the interval of |2m - 1|: from 0 where it is not shown to which side it leans."""
    ends = 2 * of_mean.low - 1, 2 * of_mean.high - 1
    low = 0.0 if ends[0] < 0 < ends[1] else min(map(abs, ends))
    return of_mean.model_copy(update={"low": low, "high": max(map(abs, ends))})


def _sides(scores: Iterable[float]) -> Iterator[str]:
    for score in scores:
        yield "neither" if score == 0.5 else "towards" if score > 0.5 else "against"
