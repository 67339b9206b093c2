"""Where the figures are from: digests, tools, hardware, settings, and the record that holds it all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.artifacts import Record
from helpers.reporting.page.rendering import render

UNKNOWN = "n/a"


@dataclass(frozen=True)
class Provenance:
    """One folded section for each record."""

    records: Sequence[Record]

    def html(self) -> str:
        """Return a closed section for each record, without style."""
        return render("provenance.html", sections=[(each.label, facts(each)) for each in self.records])

    def _repr_html_(self) -> str:
        return render("cell.html", body=self.html())

    def __repr__(self) -> str:
        told = [f"{each.label}: {key}: {value}" for each in self.records for key, value in facts(each).items()]
        return "\n".join(told)


def facts(record: Record) -> dict[str, str]:
    """Return what made this record what it is, by name; "n/a" where it is not known."""
    if all(each.imported for each in record.measurements):
        return _imported(record)
    selection, endpoint, sweep = record.selection, record.endpoint, record.sweep
    begun, ended = min(each.started for each in record.measurements), record.ended
    taken = {each.taken_from for each in record.measurements} - {""}
    hardware = endpoint.hardware
    memory = f", {hardware.memory_gib:.1f} GiB" if hardware.memory_gib else ""
    return {
        "record": record.record_id,
        "record's address": record.raw.get(Record.filename, UNKNOWN),
        "measured": f"{begun:%Y-%m-%d %H:%M} to {ended:%Y-%m-%d %H:%M %Z}",
        "taken over from": ", ".join(sorted(taken)) or "nothing",
        "operating point": sweep.operating_point.reason,
        "model's digest": selection.digest or UNKNOWN,
        **({"tuned from": record.parent} if record.parent else {}),
        "verified before serving": (endpoint.verified_by or "every byte") if endpoint.digest_verified else "not",
        "model's files": f"{selection.uri} ({selection.size_bytes:,} bytes, licence {selection.license})",
        "use case": _listed(record.use_case_files) if record.use_case_files else record.use_case,
        **{f"data of {each.name}": f"{each.subject}, {each.dataset_digest}" for each in record.evaluations},
        "prompts": f"{sweep.workload}, {sweep.dataset_digest or 'made by the load generator'}",
        "hardware": f"{hardware}{memory}",
        "engine": f"{endpoint.engine} {endpoint.engine_version}",
        "engine's arguments": " ".join(endpoint.engine_args) or UNKNOWN,
        "context": f"{endpoint.max_model_len:,} tokens",
        "tools": _listed(record.versions),
        "settings of the load test": _listed(sweep.settings),
        **{f"settings of {each.name}": _listed(each.settings) for each in record.evaluations},
        "git commit": record.git_commit or UNKNOWN,
        "run": record.run or UNKNOWN,
        "written by": record.account or UNKNOWN,
        "started by": record.started_by or record.trigger or UNKNOWN,
        "raw files": ", ".join(sorted(record.raw.values())) or UNKNOWN,
    }


def _imported(record: Record) -> dict[str, str]:
    """Return what is known of measurements that another tool made."""
    told = {
        f"{each.name}: {each.subject}": f"{_listed(each.versions)}; {_listed(each.settings)}"
        for each in record.measurements
    }
    return {
        "read from": record.selection.uri.partition(":")[2],
        "measured": f"{min(each.started for each in record.measurements):%Y-%m-%d %H:%M %Z}",
        "hardware": str(record.endpoint.hardware),
        **told,
    }


def _listed(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {value}" for key, value in sorted(values.items())) or UNKNOWN
