"""Names in JSON that make transformers, PEFT, vLLM or sentence-transformers import or download code."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath
from typing import NamedTuple

from helpers.ingestion.findings import Severity
from helpers.ingestion.inspection.json_files import Scalar, Value

REMOVE = "Remove the entry and use the class that the library itself ships"
INSIDE = "Remove the entry; the file is found by its name in the model's folder"
CLASS = re.compile(r"[A-Za-z_]\w*", re.ASCII)
KIND = re.compile(r"\w+([.-]\w+)*", re.ASCII)
TRANSFORMERS = re.compile(r"transformers(\.[A-Za-z_]\w*)*", re.ASCII)
TORCH = re.compile(r"torch\.nn(\.[A-Za-z_]\w*)+|[^.:/]*", re.ASCII)
SENTENCE = re.compile(r"sentence_transformers(\.[A-Za-z_]\w*)+", re.ASCII)

Check = Callable[[str], str]


class Hook(NamedTuple):
    """What is wrong at one place of a JSON file."""

    rule: str
    severity: Severity
    problem: str
    do: str


def _any(value: str) -> str:
    return "names code that is loaded with the model" if value else ""


def _unless(pattern: re.Pattern[str], otherwise: str) -> Check:
    return lambda value: "" if not value or pattern.fullmatch(value) else otherwise


def _kernel(value: str) -> str:
    return "names a repository whose kernel is downloaded and run" if "/" in value else ""


def _leaves(value: str) -> str:
    if "://" in value:
        return "names an address from which a file would be loaded"
    parts = re.split(r"[/\\]", value)
    if value.startswith(("/", "\\", "~")) or value[1:2] == ":" or ".." in parts:
        return "names a file outside the model's folder"
    return ""


CODE: dict[str, Check] = {
    **dict.fromkeys(("auto_map", "custom_pipelines", "custom_generate"), _any),
    **dict.fromkeys(
        ("tokenizer_class", "processor_class", "_class_name", "architectures", "image_processor_type",
         "feature_extractor_type", "video_processor_type", "base_model_class"),
        _unless(CLASS, "is no plain class name"),
    ),
    "model_type": _unless(KIND, "is no plain kind of model"),
    "parent_library": _unless(TRANSFORMERS, "names a library other than transformers to import"),
    "megatron_core": _unless(re.compile(r"megatron\.core"), "names a library other than megatron.core to import"),
    **dict.fromkeys(
        ("activation_fn", "activation_function", "sbert_ce_default_activation_function"),
        _unless(TORCH, "names an activation outside torch.nn to import"),
    ),
    **dict.fromkeys(
        ("attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation",
         "_experts_implementation", "_experts_implementation_internal"),
        _kernel,
    ),
}  # fmt: skip
FILES = frozenset(
    ("vocab_file", "merges_file", "tokenizer_file", "spm_file", "sp_model_file", "source_spm", "target_spm",
     "added_tokens_file", "chat_template_file", "fast_tokenizer_files", "bpe_file", "bpe_codes_file", "emoji_file",
     "normalizer_file", "entity_vocab_file", "target_vocab_file", "src_vocab_file", "tgt_vocab_file", "model_file",
     "monolingual_vocab_file", "dict_file", "word_shape_file", "word_pronunciation_file", "speaker_embeddings_path")
)  # fmt: skip
WATCHED = frozenset(CODE) | FILES | {"special_tokens_map_file", "trust_remote_code", "type"}


def hooks(file: str, value: Value) -> Iterator[Hook]:
    """Yield what one value of a JSON file would load. Numbers never do: a vocabulary may have a token of any name."""
    place, scalar = value
    if file.endswith("modules.json") and "type" in place:
        yield from _module(file, value)
    if "trust_remote_code" in place and _truthy(scalar):
        yield Hook("remote-code", "critical", f"{where(place)} asks to run the model's own code", REMOVE)
    if not isinstance(scalar, str):
        return
    for name in place:
        if (check := CODE.get(name)) and (problem := check(scalar)):
            yield Hook("remote-code", "critical", f"{where(place)} {problem}: {scalar[:80]!a}", REMOVE)
    if not FILES.isdisjoint(place) and (problem := _leaves(scalar)):
        yield Hook("path", "high", f"{where(place)} {problem}: {scalar[:80]!a}", INSIDE)
    if place[-1] == "special_tokens_map_file" and _leaves(scalar):
        yield Hook("path", "low", f"{where(place)} tells of the publisher's machine: {scalar[:80]!a}", INSIDE)


def _module(file: str, value: Value) -> Iterator[Hook]:
    scalar = value.scalar
    if PurePosixPath(file).name != "modules.json" or (isinstance(scalar, str) and SENTENCE.fullmatch(scalar)):
        return
    problem = f"{where(value.place)} names a module outside sentence_transformers to import: {str(scalar)[:80]!a}"
    yield Hook("remote-code", "critical", problem, REMOVE)


def _truthy(scalar: Scalar) -> bool:
    return scalar is True or (isinstance(scalar, str) and scalar.strip().casefold() in ("true", "yes", "1"))


def where(place: tuple[str, ...]) -> str:
    """Return a place as it can be printed, for example `vision_config.auto_map.AutoModel`."""
    return ascii(".".join(place)[:120])[1:-1]
