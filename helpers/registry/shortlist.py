"""Which versions meet the constraints, and why the others do not."""

from __future__ import annotations

import difflib
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Annotated, TypeVar

from pydantic import Field

from helpers.errors import ModelNotFound, NoMatch
from helpers.registry.documents import Version
from helpers.registry.history import RETIRED, baseline
from helpers.registry.properties import Property, as_float
from helpers.registry.review import Review
from helpers.runtime.parameters import Settings

if TYPE_CHECKING:
    import pandas as pd

MOST_REASONS = 10
FIRST = "only "  # what begins so is no whole measurement
Named = TypeVar("Named", "Row", Version)
DO_FILL = "Fill it with `make run` or the model-ops pipeline"


class Constraints(Settings):
    """What a version's baseline must meet; None and an empty tuple mean not limited."""

    min_baseline_accuracy: float | None = Field(default=None, ge=0, le=1, description="lowest accepted accuracy")
    max_ttft_p95_ms: float | None = Field(default=None, gt=0, description="highest accepted 95th percentile, ms")
    licenses: tuple[Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 .+()-]*$")], ...] = ()
    only_approved: bool = True


@dataclass(frozen=True)
class Row:
    """A version in the shortlist's table; `excluded` is empty where it meets the constraints.

    `accuracy` is the mean over the baseline's evaluations of that tier, `ttft_p95_ms` the highest of its load tests.

    `review` says when its approval has to be looked at again; `apart` why its baseline cannot be held against those of
    the others, "" where it can.
    """

    name: str
    version: str
    approval: str
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    ttft_p95_ms: float | None
    license: str
    task: str
    questions: str
    how: str
    workload: str
    hardware: str
    registered_model_id: str
    model_version_id: str
    review: str
    apart: str
    excluded: str

    @property
    def label(self) -> str:
        """Name and version as messages show them."""
        return f"{self.name} {self.version}"


def shortlist(versions: Sequence[Version], constraints: Constraints, reviews: Mapping[str, Review]) -> list[Row]:
    """Return a row per version, the best first, then those that cannot be compared with it, the excluded last.

    `reviews` are by the version's id.
    """
    return _compared([_row(version, constraints, reviews.get(version.model_version_id)) for version in versions])


def _compared(rows: Sequence[Row]) -> list[Row]:
    """Return the rows in order, like held against like: what most were measured on is what counts."""
    fitting = [row for row in rows if not row.excluded and row.accuracy is not None]
    counts = Counter(_measured(row) for row in fitting if not row.how.startswith(FIRST))
    counts = counts or Counter(_measured(row) for row in fitting)
    # As many on one as on another: the versions that came last tell.
    reference = max(fitting, key=lambda row: (counts[_measured(row)], int(row.model_version_id)), default=None)
    rows = [replace(row, apart="" if row.excluded else _apart(row, reference)) for row in rows]
    return sorted(rows, key=lambda row: (row.excluded != "", row.apart != "", *_rank(row)))


def _measured(row: Row) -> tuple[str, ...]:
    return row.task, row.questions, row.how, row.workload, row.hardware


def _apart(row: Row, reference: Row | None) -> str:
    """Return why a baseline cannot be held against the reference's, "" where it can."""
    if row.accuracy is None:
        return "no baseline"
    names = {"task": "task", "questions": "questions", "how": "asked", "workload": "load test", "hardware": "hardware"}
    differing = [
        f"{shown}: {getattr(row, name) or 'not known'} instead of {getattr(reference, name) or 'not known'}"
        for name, shown in names.items()
        if reference and getattr(row, name) != getattr(reference, name)
    ]
    return "; ".join(differing)


Figures = Mapping[str, Property]  # of one measurement of the baseline


def _how(measured: Sequence[Figures], asked: Sequence[Figures]) -> str:
    """Return how the questions were asked, and first what makes it no measurement of a version."""
    first = [str(each["partial"]) for each in measured if "partial" in each]
    first += ["an unverified endpoint"] if any(each.get("unverified") for each in measured) else []
    how = [f"{each.get('api', 'completions')}, {each.get('num_fewshot', 0)} examples" for each in asked]
    return ", ".join(dict.fromkeys([*(f"{FIRST}{said}" for said in first), *how]))


def _score(asked: Sequence[Figures], bound: str = "") -> float | None:
    """Return the mean of the scores; a bound only where there is one score."""
    known = [as_float(each.get(f"{each.get('metric', '')}{bound}")) for each in asked]
    scores = [score for score in known if score is not None]
    if not scores or len(scores) < len(known) or (bound and len(scores) > 1):
        return None
    return math.fsum(scores) / len(scores)


def _of_all(measured: Sequence[Figures], key: str) -> str:
    return ", ".join(dict.fromkeys(str(each[key]) for each in measured if key in each))


def _row(version: Version, constraints: Constraints, review: Review | None) -> Row:
    properties, measured = version.properties, [each for _, each in sorted(baseline(version.properties).items())]
    asked = [each for each in measured if each.get("tier") == "accuracy"]
    loads = [each for each in measured if each.get("kind") == "load_test"]
    waits = [wait for each in loads if (wait := as_float(each.get("ttft_p95_ms"))) is not None]
    row = Row(
        name=version.name,
        version=version.version,
        approval=str(properties.get("approval", "unknown")),
        accuracy=_score(asked),
        accuracy_low=_score(asked, "_low"),
        accuracy_high=_score(asked, "_high"),
        ttft_p95_ms=max(waits) if waits and len(waits) == len(loads) else None,
        license=str(properties.get("license", "unknown")),
        task=_of_all(asked, "subject"),
        questions=", ".join(str(each.get("dataset_digest", "")).removeprefix("sha256:")[:12] for each in asked),
        how=_how(measured, asked),
        workload=_of_all(loads, "subject"),
        hardware=_of_all(measured, "hardware"),
        review=str(review or ""),
        apart="",
        registered_model_id=version.registered_model_id,
        model_version_id=version.model_version_id,
        excluded="",
    )
    if row.approval == RETIRED:
        return replace(row, excluded=f"retired: {properties.get('approval_reasons')}")
    reasons = ("archived" if version.archived else "", *_reasons(row, constraints, version.doubt))
    return replace(row, excluded="; ".join(filter(None, reasons)))


def _reasons(row: Row, wanted: Constraints, doubt: str) -> Iterator[str]:
    if wanted.only_approved and row.approval != "approved":
        yield f"not approved ({doubt or row.approval})"
    if wanted.licenses and row.license.lower() not in {name.lower() for name in wanted.licenses}:
        yield f"license {row.license} not allowed"
    least = wanted.min_baseline_accuracy
    no_accuracy = least is not None and row.accuracy is None
    if no_accuracy or (wanted.max_ttft_p95_ms and row.ttft_p95_ms is None):
        yield "no baseline" if row.accuracy is None and row.ttft_p95_ms is None else "baseline incomplete"
    if least is not None and row.accuracy is not None and row.accuracy < least:
        yield f"accuracy {row.accuracy:.2f} below {least:g}"
    if wanted.max_ttft_p95_ms and row.ttft_p95_ms is not None and row.ttft_p95_ms > wanted.max_ttft_p95_ms:
        yield f"TTFT p95 {row.ttft_p95_ms:.0f} ms above {wanted.max_ttft_p95_ms:g} ms"


def _rank(row: Row) -> tuple[float, float, str, int]:
    accuracy = row.accuracy if row.accuracy is not None else -1.0
    ttft = row.ttft_p95_ms if row.ttft_p95_ms is not None else float("inf")
    return -accuracy, ttft, row.name, -int(row.model_version_id)


def choose(rows: Sequence[Row], name: str, version: str, address: str) -> tuple[Row, str]:
    """Return the best row that meets the constraints, of all or of the named model, and the reason for it.

    Highest baseline accuracy, then lowest TTFT. Raises ModelNotFound for an empty registry or an unknown name, and
    NoMatch with each version's reason where the constraints exclude all.
    """
    if not rows:
        raise ModelNotFound(f"The registry at {address} has no models", do=DO_FILL)
    named = _compared(_named(rows, name, version) if name else rows)
    fitting = [row for row in named if not row.excluded]
    if not fitting:
        reasons = [f"{row.label}: {row.excluded}" for row in named[:MOST_REASONS]]
        more = f" and {len(named) - MOST_REASONS} more" if len(named) > MOST_REASONS else ""
        raise NoMatch(
            f"No version meets the constraints. {'. '.join(reasons)}{more}", do="Relax the constraints or approve one"
        )
    return fitting[0], _why(fitting, name)


def find(versions: Sequence[Version], name: str, version: str) -> Version:
    """Return the version of that name; raises ModelNotFound with the closest names."""
    [found, *_] = _named(versions, name, version)
    return found


def _named(rows: Sequence[Named], name: str, version: str) -> list[Named]:
    of_name = [row for row in rows if row.name == name]
    if not of_name:
        raise ModelNotFound(
            f"The registry has no model {name!r}", do=_closest(name, sorted({row.name for row in rows}))
        )
    found = [row for row in of_name if version in ("", row.version)]
    if not found:
        do = _closest(version, sorted({row.version for row in of_name}))
        raise ModelNotFound(f"{name} has no version {version!r}", do=do)
    return found


def _closest(word: str, known: list[str]) -> str:
    folded = {name.lower(): name for name in known}
    close = [folded[match] for match in difflib.get_close_matches(word.lower(), folded, n=3, cutoff=0.4)]
    return f"Use one of the closest names: {', '.join(close or known[:5])}" if known else DO_FILL


def _why(fitting: Sequence[Row], name: str) -> str:
    best, alike = fitting[0], [row for row in fitting if not row.apart]
    accuracy = "no baseline accuracy" if best.accuracy is None else f"baseline accuracy {best.accuracy:.2f}"
    ttft = "" if best.ttft_p95_ms is None else f", TTFT p95 {best.ttft_p95_ms:.0f} ms"
    of_name = f" of {name}" if name else ""
    if len(fitting) == 1:
        return f"the only version{of_name} that meets the constraints: {accuracy}{ttft}"
    if not alike:
        return f"one of {len(fitting)} versions{of_name} without a baseline that meet the constraints"
    said = f"best of {len(alike)} versions{of_name} that meet the constraints"
    others = len(fitting) - len(alike)
    more = f"; {others} more were measured otherwise, or not, and are not compared" if others else ""
    return f"{said}: {accuracy}{ttft}{more}"


def shortlist_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the rows as a table to look at."""
    import pandas as pd

    columns = list(Row.__dataclass_fields__)
    return pd.DataFrame([asdict(row) for row in rows], columns=columns)
