"""Load a tokenizer without loading more than that."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


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
