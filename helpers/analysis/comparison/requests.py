"""Every request at a version's operating point, from GuideLLM's raw reports in the store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from helpers.artifacts import Contract, Record
from helpers.errors import AssayError
from helpers.records.reading import raw_file

READERS = 4
Times = tuple[float, ...]


class FirstTokens(Contract):
    """Times to first token (ms) by version: of the sweep first, then of each repeat; and why one has none."""

    runs: dict[str, tuple[Times, ...]]
    missing: tuple[str, ...] = ()


def first_tokens(records: Sequence[Record]) -> FirstTokens:
    """Return the times of every request that was answered at the operating point; what cannot be read is told."""
    loaded = [record for record in records if record.load_tests]
    with ThreadPoolExecutor(READERS) as readers:
        found = list(readers.map(_read, loaded))
    labels = [record.label for record in loaded]
    return FirstTokens(
        runs={label: runs for label, runs in zip(labels, found, strict=True) if not isinstance(runs, str)},
        missing=tuple(f"{label}: {why}" for label, why in zip(labels, found, strict=True) if isinstance(why, str)),
    )


def _read(record: Record) -> tuple[Times, ...] | str:
    """Return the times of each run, or why there are none."""
    sweep = record.sweep
    if sweep.chosen is None:
        return "no load met the SLO, so there is no operating point"
    try:
        swept = _benchmarks(record, sweep.report)[sweep.operating_point.index or 0]
        # Before these stand the repeats of higher loads that did not hold.
        repeats = _benchmarks(record, sweep.repeats_report)[-len(sweep.repeats) :] if sweep.repeats else []
        runs = tuple(_times(part) for part in (swept, *repeats))
    except (AssayError, ValueError, KeyError, IndexError, TypeError) as error:
        return f"its requests cannot be read: {str(error) or type(error).__name__}"
    return tuple(run for run in runs if run) or "its report holds no request at the operating point"


def _benchmarks(record: Record, name: str) -> list[Mapping[str, Any]]:
    return list(json.loads(raw_file(record, name))["benchmarks"])


def _times(benchmark: Mapping[str, Any]) -> Times:
    requests = benchmark["requests"]["successful"] or ()
    return tuple(time for r in requests if (time := r["time_to_first_token_ms"]) is not None)
