"""Load a tokenizer without loading more than that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from helpers.errors import ArtifactMissing


def load_tokenizer(folder: Path) -> Any:
    """Load the tokenizer; the plain class directly, because AutoTokenizer imports torch: four more seconds."""
    file = folder / "tokenizer_config.json"
    named = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    if (
        named.get("tokenizer_class") in ("PreTrainedTokenizerFast", "TokenizersBackend")
        and (folder / "tokenizer.json").is_file()
    ):
        from transformers import PreTrainedTokenizerFast

        return PreTrainedTokenizerFast.from_pretrained(str(folder))
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(str(folder))


def check_tokenizer(folder: Path | None, model: str) -> None:
    """Raise ArtifactMissing where a folder is given and holds no tokenizer."""
    names = ("tokenizer.json", "tokenizer.model", "vocab.json")
    if folder and not any((folder / name).is_file() for name in names):
        raise ArtifactMissing(
            f"There is no tokenizer of {model} in {folder}, and log-likelihoods need one: "
            "no tokenizer.json, tokenizer.model or vocab.json",
            do="Put the model's tokenizer files there, or deploy the model with the folder that holds them",
        )
