"""What must be the same for an earlier result to stand for a new one, as one sha256; empty where that is not known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from helpers import datasets, load_test
from helpers.artifacts import Endpoint
from helpers.evaluation import lm_eval
from helpers.runtime.partial import served

METHOD = 1  # raise it when a stage comes to measure otherwise: what was measured before is then measured again
LM_EVAL = ("lm_eval", "datasets", "transformers", "tokenizers")
# Where the prompts lie and how many processes send them changes nothing of what is sent.
NOT_OF_THE_SWEEP = {"name", "prompts", "workers"}
NOT_OF_THE_EVALUATION = {
    "name", "task", "include_path", "num_concurrent", "batch_size", "request_timeout", "confidence", "allow_partial",
    "time_limit", "memory_limit", "ask_again",
}  # fmt: skip


def of_sweep(settings: load_test.Settings, endpoint: Endpoint) -> str:
    """Return the sweep's identity; raises InvalidDataset where the prompt file is missing."""
    from_file = settings.workload == "prompts"
    return _digest(
        served=served(endpoint),
        tools={"guidellm": version("guidellm")},
        tokens=None if from_file else settings.tokens,
        prompts=datasets.digest(Path(settings.prompts)) if from_file else None,
        settings=settings.model_dump(mode="json", exclude=NOT_OF_THE_SWEEP),
    )


def of_evaluation(settings: lm_eval.Settings, endpoint: Endpoint, task: lm_eval.Task) -> str:
    """Return the evaluation's identity, "" where not everything that decides the answers is known.

    How hard it presses is no part of it. Neither is the confidence: the interval is computed anew.
    """
    if task.content.gaps:
        return ""
    return _digest(
        served=served(endpoint),
        tokenizer=endpoint.tokenizer_digest(),
        tools={name: version(name) for name in LM_EVAL},
        packages=task.content.packages,
        task=settings.task,
        content=sorted(task.digests.items()),
        settings=settings.model_dump(mode="json", exclude=NOT_OF_THE_EVALUATION),
    )


def of_asked(evaluator: str, endpoint: Endpoint, content: Mapping[str, str], **parts: Any) -> str:
    """Return the identity of an evaluation by one of the other evaluators; `parts` are its tools and settings."""
    return _digest(evaluator=evaluator, served=served(endpoint), content=sorted(content.items()), **parts)


def of_answers(endpoint: Endpoint) -> str:
    """Return what is the same wherever an answer to the same prompt is the same."""
    return _digest(
        served=served(endpoint),
        tokenizer=endpoint.tokenizer_digest(),
        tools={name: version(name) for name in LM_EVAL if name != "datasets"},
    )


def _digest(**parts: Any) -> str:
    canonical = json.dumps({"method": METHOD, **parts}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
