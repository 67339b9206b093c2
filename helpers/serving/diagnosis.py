"""Why vLLM did not come up, read from its log and exit code."""

from __future__ import annotations

import re
from pathlib import Path

from helpers.errors import DeploymentFailed

CAUSES: tuple[tuple[str, str, str], ...] = (
    (r"address already in use|Errno 98", "its port is taken", "Set PORT to 0, or end what holds the port"),
    (
        r"Illegal instruction|SIGILL|unsupported instruction",
        "the processor lacks an instruction set that this vLLM build needs",
        "Use a machine with AVX2 or AVX-512, or TARGET existing",
    ),
    (
        r"Cannot allocate memory|MemoryError|[Oo]ut of memory|No available memory|not enough memory|"
        r"Available memory .* is less than|larger than the available KV cache|bad_alloc|exceeds? .*memory",
        "memory is short",
        "Lower KV_CACHE_GIB or MAX_MODEL_LEN, or free memory",
    ),
    (
        r"[Mm]odel architectures? .*(not supported|failed to be inspected)|Unrecognized model|"
        r"does not recognize this architecture",
        "vLLM does not know the model's architecture",
        "Check `architectures` in config.json against vLLM's list of models",
    ),
    (
        r"max_model_len.*(greater|larger) than|max_position_embeddings",
        "MAX_MODEL_LEN is larger than the model's context",
        "Lower MAX_MODEL_LEN",
    ),
    (
        r"unrecognized arguments|invalid .* value|expected one argument",
        "vLLM refused an argument",
        "Correct ENGINE_ARGS",
    ),
    (r"No module named", "the serving environment is not complete", "Run make setup"),
    (
        r"SafetensorError|size mismatch|(Can't|Unable to|Cannot) load",
        "the model's files could not be loaded",
        "Check the weights and the tokenizer",
    ),
)


def explain(log: Path, code: int | None, label: str) -> DeploymentFailed:
    """Return the error for a server that ended with `code` (None: still running, but too slow)."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    cause, do = _cause(text, code)
    tail = "\n".join(line[:300] for line in text.splitlines()[-15:])
    error = DeploymentFailed(f"vLLM did not start for {label}: {cause} (log: {log})", do=do)
    error.add_note(f"Last lines of its log:\n{tail}")
    return error


def _cause(text: str, code: int | None) -> tuple[str, str]:
    if code in (-4, 132):
        return CAUSES[1][1:]
    if code in (-9, 137):
        return "it was killed, most likely because memory ran out", CAUSES[2][2]
    if code in (124, 143, -15):
        return "its lifetime was over before it was ready", "Raise LIFETIME_SECONDS"
    for pattern, cause, do in CAUSES:
        if re.search(pattern, text):
            return cause, do
    if code is None:
        return "it was not ready in time", "Raise START_TIMEOUT_SECONDS, or read the log"
    return f"it ended with exit code {code}", "Read the log lines below"
