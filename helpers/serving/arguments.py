"""Which arguments of vLLM may be set beside our own: how fast it serves, not what it serves, loads or lets in."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from helpers.runtime.workspace import ROOT

SHORT = {"-tp": "tensor-parallel-size", "-pp": "pipeline-parallel-size", "-dp": "data-parallel-size"}
FLAGS = {
    "async-scheduling", "disable-cascade-attn", "disable-custom-all-reduce", "disable-log-requests",
    "disable-log-stats", "disable-sliding-window", "enable-auto-tool-choice", "enable-chunked-prefill",
    "enable-expert-parallel", "enable-log-requests", "enable-prefix-caching", "enforce-eager",
}  # fmt: skip
VALUED = {
    "attention-backend", "block-size", "chat-template-content-format", "cpu-offload-gb", "distributed-executor-backend",
    "dtype", "gpu-memory-utilization", "kv-cache-dtype", "kv-cache-memory-bytes", "max-logprobs",
    "max-num-batched-tokens", "max-num-partial-prefills", "max-num-seqs", "num-gpu-blocks-override",
    "optimization-level", "quantization", "reasoning-parser", "scheduling-policy", "seed", "swap-space",
    "tokenizer-mode", "tool-call-parser", "uvicorn-log-level", *SHORT.values(),
}  # fmt: skip
NUMBER = re.compile(r"-?\d+(\.\d+)?[A-Za-z]?", re.ASCII)
TEMPLATES = ROOT / "runtime-images" / "vllm" / "chat-templates"
TEMPLATE = "chat-template"  # one of Assay's own, by its name: a text that vLLM renders in a sandbox
PLAIN = r"[A-Za-z][\w-]*"  # no path, and no name of code: both have dots


def check(words: Sequence[str], own: Mapping[str, str] | None = None) -> None:
    """Raise ValueError for a word that is no allowed argument in full, with or without its one plain value.

    `own` names further ones with a pattern of their value. vLLM reads `--some_name` as `--some-name`, completes what is
    abbreviated, and takes a word that belongs to no argument as the model.
    """
    for given, value in _options(words):
        name = _named(given)
        allowed = {**dict.fromkeys(VALUED, PLAIN), **(own or {})}
        if given not in SHORT and not given.startswith("--"):
            name = ""
        if name.removeprefix("no-") in FLAGS:
            if value is not None:
                raise ValueError(f"{given} takes no value, and {value!r} follows it")
        elif name not in allowed:
            known = ", ".join(sorted(FLAGS | VALUED))
            raise ValueError(f"{given} could change what is served, or who may ask; what may be set is {known}")
        elif value is None:
            raise ValueError(f"{given} has no value")
        elif not (NUMBER.fullmatch(value) or re.fullmatch(allowed[name], value, re.ASCII)):
            raise ValueError(f"{given} is {value!r}, which is neither a number nor one plain word")


def templates() -> str:
    """Return a pattern of the names of Assay's own chat templates."""
    return "|".join(sorted(re.escape(path.stem) for path in TEMPLATES.glob("*.jinja")))


def with_templates(words: Sequence[str]) -> list[str]:
    """Return the words with each chat template's name as its path, where vLLM reads it."""
    found: list[str] = []
    for name, value in _options(words):
        path = TEMPLATES / f"{value}.jinja" if _named(name) == TEMPLATE else value
        found += [name] if value is None else [name, str(path)]
    return found


def given(words: Sequence[str]) -> dict[str, str | None]:
    """Return the value of each argument by its long name, None for a flag."""
    return {_named(name): value for name, value in _options(words)}


def _named(given: str) -> str:
    return SHORT.get(given) or given.removeprefix("--").replace("_", "-")


def _options(words: Sequence[str]) -> list[tuple[str, str | None]]:
    """Return each argument as it is spelled, with its value, None where none follows."""
    found: list[tuple[str, str | None]] = []
    for word in words:
        if word.startswith("-") and not NUMBER.fullmatch(word):
            name, equals, value = word.partition("=")
            found.append((name, value if equals else None))
        elif found and found[-1][1] is None:
            found[-1] = (found[-1][0], word)
        else:
            raise ValueError(f"{word!r} is no option; begin with one, for example --enable-prefix-caching")
    return found
