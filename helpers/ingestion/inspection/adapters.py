"""Adapters, and the files that a model or an adapter has to have."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from helpers.errors import RefusedModel
from helpers.ingestion.findings import Finding
from helpers.ingestion.inspection.json_files import Scalar, values
from helpers.ingestion.names import shown
from helpers.ingestion.policy import Policy

CONFIG, ADAPTER_CONFIG, ADAPTER_WEIGHTS = "config.json", "adapter_config.json", "adapter_model.safetensors"
WEIGHTS = ".safetensors"
REQUIRED = (CONFIG, "tokenizer_config.json")
ADD = "Add the file that the model's publisher ships"
MERGE = "Merge the adapter into its model, or set files.adapters in the policy"


def inspect_parts(folder: Path, names: list[str], policy: Policy) -> Iterator[Finding]:
    """Yield what is missing in the folder, and every adapter that the policy refuses or that is incomplete."""
    found = set(names)
    configs = [name for name in names if PurePosixPath(name).name == ADAPTER_CONFIG]
    weights = [name for name in names if PurePosixPath(name).name.startswith("adapter_model.")]
    if ADAPTER_CONFIG not in found or CONFIG in found:
        yield from _missing(names)
    for name in sorted({*configs, *weights}) if not policy.files.adapters else ():
        problem = "is an adapter, which changes a model that was measured without it; the policy refuses adapters"
        yield Finding(shown(name), "adapter", "medium", problem, MERGE)
    for name in configs if policy.files.adapters else ():
        yield from _adapter(folder, name, found, policy)


def _missing(names: list[str]) -> Iterator[Finding]:
    for name in REQUIRED:
        if name not in names:
            yield Finding(name, "missing", "medium", "is missing", ADD)
    if not any(name.endswith(WEIGHTS) and "/" not in name for name in names):
        yield Finding(".", "missing", "medium", "holds no safetensors weights", "Convert the weights to safetensors")


def _adapter(folder: Path, name: str, found: set[str], policy: Policy) -> Iterator[Finding]:
    weights = name.removesuffix(ADAPTER_CONFIG) + ADAPTER_WEIGHTS
    if weights not in found:
        yield Finding(shown(weights), "missing", "medium", "is missing", ADD)
    try:
        fields = _fields(folder / name, policy.limits.json_bytes)
    except RefusedModel:
        return  # the file's own inspection says what is wrong with it
    for field in ("peft_type", "base_model_name_or_path"):
        if not isinstance(fields.get(field), str) or not fields[field]:
            yield Finding(shown(name), "adapter", "medium", f"does not say its {field}", "Export the adapter with PEFT")


def _fields(path: Path, limit: int) -> dict[str, Scalar]:
    """Return the scalars of the outermost object."""
    return {place[0]: scalar for place, scalar in values(path, limit) if len(place) == 1}
