"""Why vLLM did not come up, read from its log and exit code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from helpers import errors
from helpers.errors import DeploymentFailed


class Cause(NamedTuple):
    """A likely reason, what to do about it, its error, and whether a second start would end so too."""

    text: str
    do: str
    error: type[DeploymentFailed] = DeploymentFailed
    final: bool = True


KILLED = Cause(
    "it was killed, most likely because memory ran out",
    "Lower KV_CACHE_GIB or MAX_MODEL_LEN, or free memory",
    errors.OutOfMemory,
)
OLD_PROCESSOR = Cause(
    "the processor lacks an instruction set that this vLLM build needs",
    "Use a machine with AVX2 or AVX-512, or TARGET existing",
)
# What is no error: lines of another level, warnings of Python, advice, and the source lines of a traceback.
PREFIX = re.compile(r"^(\([^)]*pid=\d+\)\s?)*((ERROR|CRITICAL|FATAL) [\d:. -]*(\[[^\]]*\] ?)?)?")
HARMLESS = re.compile(
    r"^(INFO|WARNING|DEBUG|WARN)\b|\b[A-Z]\w*Warning: |^\s*warnings\.warn|"
    r"If you are running out of memory|^ {4,}|^\s*File \""
)
LIFETIME_OVER = 124  # how coreutils' timeout ends
CAUSES: tuple[tuple[str, Cause], ...] = (
    (
        r"address already in use|Errno 98",
        Cause("its port is taken", "End what holds the port, or let a free one be taken", final=False),
    ),
    (r"Illegal instruction|SIGILL|unsupported instruction", OLD_PROCESSOR),
    (
        r"CUDA out of memory|OutOfMemoryError|CUDA error: out of memory|Free memory on device|MemoryError|"
        r"larger than the available KV cache|Cannot allocate memory|[Oo]ut of memory|No available memory|"
        r"not enough memory|Available memory .* is less than|bad_alloc|exceeds? .*memory",
        Cause(
            "memory is short",
            "Lower MAX_MODEL_LEN or KV_CACHE_GIB, give it more memory or GPUs, or choose a smaller model",
            errors.OutOfMemory,
        ),
    ),
    (
        r"[Mm]odel architectures? .*(not supported|failed to be inspected)|Unrecognized model|"
        r"does not recognize this architecture",
        Cause(
            "vLLM does not know the model's architecture",
            "Check `architectures` in config.json against the list of models of this vLLM, or use a newer one",
            errors.ModelNotLoaded,
        ),
    ),
    (
        r"max_model_len.*(greater|larger) than",
        Cause("MAX_MODEL_LEN is larger than the model's context", "Lower MAX_MODEL_LEN", errors.InvalidDeployment),
    ),
    (
        r"unrecognized arguments|invalid .* value|expected one argument",
        Cause("vLLM refused an argument", "Correct ENGINE_ARGS", errors.InvalidDeployment),
    ),
    (r"No module named", Cause("the serving environment is not complete", "Run make setup, or use another image")),
    (
        r"Failed to infer device type|no NVIDIA GPU|NVIDIA driver on your system is too old|libcuda\.so",
        Cause(
            "vLLM finds no GPU",
            "Ask for a GPU in RESOURCES, or take a SERVING_RUNTIME for the CPU",
            errors.InvalidDeployment,
        ),
    ),
    (
        r"SafetensorError|size mismatch|(Can't|Unable to|Cannot) load",
        Cause(
            "the model's files could not be loaded",
            "Check the weights and the tokenizer",
            errors.ModelNotLoaded,
            final=False,  # an image with a model may be mounted a moment after the server starts
        ),
    ),
)


def cause_of(log: str) -> Cause | None:
    """Return the likely reason that a log's last error tells, None where it tells none that is known."""
    for line in reversed(log.splitlines()):
        text = PREFIX.sub("", line)
        if HARMLESS.search(text):
            continue
        if found := next((cause for pattern, cause in CAUSES if re.search(pattern, text)), None):
            return found
    return None


def explain(log: Path, code: int | None, label: str) -> DeploymentFailed:
    """Return the error for a server that ended with `code` (None: still running, but too slow)."""
    text = log.read_text(errors="replace") if log.is_file() else ""
    cause = _cause(text, code)
    error = cause.error(f"vLLM did not start for {label}: {cause.text} (log: {log})", do=cause.do)
    error.add_note(last_lines(text))
    return error


def last_lines(log: str) -> str:
    """Return the end of a log, as it is shown below an error."""
    return "Last lines of its log:\n" + "\n".join(line[:300] for line in log.splitlines()[-15:])


def _cause(text: str, code: int | None) -> Cause:
    if code in (-4, 132):
        return OLD_PROCESSOR
    if code in (-9, 137):
        return KILLED
    if code in (LIFETIME_OVER, 143, -15):
        return Cause("its lifetime was over before it was ready", "Raise LIFETIME_SECONDS", errors.StartTimedOut)
    if found := cause_of(text):
        return found
    if code is None:
        do = "Raise START_TIMEOUT_SECONDS, or read the log"
        return Cause("it was not ready in time", do, errors.StartTimedOut)
    return Cause(f"it ended with exit code {code}", "Read the log lines below", errors.ServerCrashed)
