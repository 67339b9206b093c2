"""Version 1 of the contracts, which held one load test and one evaluation: read here, and known nowhere else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from helpers.artifacts.measurement import EVALUATION, LOAD_TEST

# What the registry's summary of a record said of each, and is not the record's own.
_OF_EVALUATION = {
    "task": "subject", "accuracy_n": "n", "chance": "chance", "partial": "partial", "api": "api", "metric": "metric",
    "num_fewshot": "num_fewshot", "dataset_digest": "dataset_digest", "evaluation_identity": "identity",
    "answers_identity": "answers_identity",
}  # fmt: skip
_OF_LOAD_TEST = {
    "workload": "subject", "operating_point": "operating_point", "sweep_identity": "identity",
    **{name: name for name in (
        "requests_per_second", "output_tokens_per_second", "ttft_p95_ms", "itl_p95_ms", "e2e_p95_ms", "goodput",
        "slo_attainment",
    )},
}  # fmt: skip
_OF_BOTH = ("hardware", "unverified", "ended", "record")
_BASELINE, _USE_CASE = "baseline_", "use_case_"  # how the properties of a version began
Properties = dict[str, Any]


def record(values: Any) -> Any:
    """Return a record's content as version 2 has it; whatever is not of version 1 comes back as it is."""
    if not (isinstance(values, dict) and {"sweep", "evaluation"} <= values.keys()):
        return values
    rest = {key: value for key, value in values.items() if key not in ("sweep", "evaluation", "schema_version")}
    return {**rest, "measurements": [_load_test(values["sweep"]), _evaluation(values["evaluation"])]}


def _load_test(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    return {**values, "schema_version": 2, "kind": "load_test", "tier": "performance", "name": LOAD_TEST}


def _evaluation(values: Any) -> Any:
    if not isinstance(values, dict):
        return values
    about = {"schema_version": 2, "kind": "evaluation", "tier": "accuracy", "name": EVALUATION}
    score_kind = values.get("kind", "proportion")
    return {**values, **about, "score_kind": score_kind}


def summary(properties: Mapping[str, Any]) -> tuple[Properties, dict[str, Properties]]:
    """Return a record's own properties and those of its two measurements, from the registry's summary of version 1."""
    metric = str(properties.get("metric", "acc")).split(",")[0]
    score = {"accuracy": metric, "accuracy_low": f"{metric}_low", "accuracy_high": f"{metric}_high"}
    about = {key: properties[key] for key in _OF_BOTH if key in properties}
    parts = {
        LOAD_TEST: ("load_test", "performance", _OF_LOAD_TEST),
        EVALUATION: ("evaluation", "accuracy", {**_OF_EVALUATION, **score}),
    }
    measured, taken = {}, set[str]()
    for name, (kind, tier, names) in parts.items():
        found = {new: properties[old] for old, new in names.items() if old in properties}
        taken |= names.keys()
        if found:
            measured[name] = {**about, "kind": kind, "tier": tier, **found}
    if EVALUATION in measured:
        measured[EVALUATION]["metric"] = metric
    return {key: value for key, value in properties.items() if key not in taken}, measured


def of_version_1(properties: Mapping[str, Any]) -> bool:
    """Return whether a record's summary in the registry is of version 1."""
    return "measurements" not in properties


def baseline(properties: Mapping[str, Any]) -> dict[str, Properties]:
    """Return what a version's properties of version 1 say of its baseline's measurements."""
    own = {key.removeprefix(_BASELINE): value for key, value in properties.items() if key.startswith(_BASELINE)}
    return summary(own)[1]


def is_property(name: str) -> bool:
    """Return whether version 1 derived this property of a version from its records."""
    return name.startswith((_BASELINE, _USE_CASE))
