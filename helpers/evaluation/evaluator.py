"""The one protocol of all evaluators beside lm-eval: what a folder of this room offers in `measuring.py`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, cast

from helpers.artifacts import Endpoint, Evaluation
from helpers.evaluation.asked import Asked
from helpers.evaluation.files import Files, named
from helpers.runtime.partial import Guard

# How the tool's own report ends, which an evaluator writes beside the measurement and its samples; "" for none.
REPORTS = {"structured_output": "", "tool_calling": "", "promptfoo": "json", "garak": "jsonl"}


class Evaluator(Protocol):
    """What `reuse.measure` needs of an evaluator."""

    def content(self, settings: Any) -> Mapping[str, str]:
        """Return the digest of each file that decides what is asked. Raises InvalidDataset, with file and line."""

    def versions(self) -> Mapping[str, str]:
        """Return the versions of the tools that decide an answer or its score."""

    def evaluate(
        self,
        settings: Any,
        endpoint: Endpoint,
        folder: Path,
        *,
        known: Path | None = None,
        show: Callable[[str], object] = print,
        guard: Guard | None = None,
    ) -> Evaluation:
        """Measure; the raw files are left in `folder`, those that `files` names."""


def of(settings: Asked) -> Evaluator:
    """Return the evaluator of these settings."""
    return cast(Evaluator, import_module(f"helpers.evaluation.{settings.evaluator}.measuring"))


def check(evaluator: str, name: str, said: Mapping[str, Any]) -> Asked:
    """Return the settings that a use case gives an evaluation. Raises InvalidParameter and InvalidDataset."""
    found: Asked = import_module(f"helpers.evaluation.{evaluator}.settings").Settings(name=name, **said)
    if not found.unwanted:
        of(found).content(found)
    return found


def files(evaluator: str, name: str) -> Files:
    """Return what the files of the measurement `name` are called."""
    return named(name, evaluator, REPORTS[evaluator])


def raw(evaluator: str, name: str) -> dict[str, str]:
    """Return the raw files of a measurement by what they are."""
    own = files(evaluator, name)
    return {"results": own.results, "samples": own.samples} if REPORTS[evaluator] else {"samples": own.samples}
