"""Which versions meet the constraints, and why the others do not."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, TypeVar

from pydantic import Field

from helpers.errors import ModelNotFound, NoMatch
from helpers.parameters import Settings
from helpers.registry.listing import Version
from helpers.registry.properties import as_float

if TYPE_CHECKING:
    import pandas as pd

MOST_REASONS = 10
Named = TypeVar("Named", "Row", Version)
DO_FILL = "Fill it with `make run` or the model-ops pipeline"


class Constraints(Settings):
    """What a version's baseline must meet; None and an empty tuple mean not limited."""

    min_accuracy: float | None = Field(default=None, ge=0, le=1, description="lowest accepted accuracy")
    max_ttft_p95_ms: float | None = Field(default=None, gt=0, description="highest accepted 95th percentile, ms")
    licenses: tuple[str, ...] = ()
    only_approved: bool = True


@dataclass(frozen=True)
class Row:
    """A version in the shortlist's table; `excluded` is empty where it meets the constraints."""

    name: str
    version: str
    approval: str
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    ttft_p95_ms: float | None
    license: str
    registered_model_id: str
    model_version_id: str
    excluded: str

    @property
    def label(self) -> str:
        """Name and version as messages show them."""
        return f"{self.name} {self.version}"


def shortlist(versions: Sequence[Version], constraints: Constraints) -> list[Row]:
    """Return a row per version, the best first, the excluded last."""
    rows = [_row(version, constraints) for version in versions]
    return sorted(rows, key=lambda row: (row.excluded != "", *_rank(row)))


def _row(version: Version, constraints: Constraints) -> Row:
    properties = version.properties
    row = Row(
        name=version.name,
        version=version.version,
        approval=str(properties.get("approval", "unknown")),
        accuracy=as_float(properties.get("baseline_accuracy")),
        accuracy_low=as_float(properties.get("baseline_accuracy_low")),
        accuracy_high=as_float(properties.get("baseline_accuracy_high")),
        ttft_p95_ms=as_float(properties.get("baseline_ttft_p95_ms")),
        license=str(properties.get("license", "unknown")),
        registered_model_id=version.registered_model_id,
        model_version_id=version.model_version_id,
        excluded="archived" if version.archived else "",
    )
    reasons = (row.excluded, *_reasons(row, constraints))
    return Row(**{**asdict(row), "excluded": "; ".join(filter(None, reasons))})


def _reasons(row: Row, wanted: Constraints) -> Iterator[str]:
    if wanted.only_approved and row.approval != "approved":
        yield f"not approved ({row.approval})"
    if wanted.licenses and row.license.lower() not in {name.lower() for name in wanted.licenses}:
        yield f"license {row.license} not allowed"
    no_accuracy = wanted.min_accuracy is not None and row.accuracy is None
    if no_accuracy or (wanted.max_ttft_p95_ms and row.ttft_p95_ms is None):
        yield "no baseline" if row.accuracy is None and row.ttft_p95_ms is None else "baseline incomplete"
    if wanted.min_accuracy is not None and row.accuracy is not None and row.accuracy < wanted.min_accuracy:
        yield f"accuracy {row.accuracy:.2f} below {wanted.min_accuracy:g}"
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
    named = _named(rows, name, version) if name else list(rows)
    fitting = sorted((row for row in named if not row.excluded), key=_rank)
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
    best = fitting[0]
    accuracy = "no baseline accuracy" if best.accuracy is None else f"baseline accuracy {best.accuracy:.2f}"
    ttft = "" if best.ttft_p95_ms is None else f", TTFT p95 {best.ttft_p95_ms:.0f} ms"
    of_name = f" of {name}" if name else ""
    if len(fitting) == 1:
        return f"the only version{of_name} that meets the constraints: {accuracy}{ttft}"
    return f"best of {len(fitting)} versions{of_name} that meet the constraints: {accuracy}{ttft}"


def shortlist_table(rows: Sequence[Row]) -> pd.DataFrame:
    """Return the rows as a table to look at."""
    import pandas as pd

    columns = list(Row.__dataclass_fields__)
    return pd.DataFrame([asdict(row) for row in rows], columns=columns)
