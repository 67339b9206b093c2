"""Whether an answer follows its prompt's instructions, by the rules of IFEval that lm-eval ships; works offline."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

SEED = 20261201  # of the guess at a text's language, which draws


def followed(doc: dict[str, Any], results: list[str]) -> dict[str, float]:
    """Return whether all instructions are followed and which share of them, as they are (strict) and by IFEval's loose
    reading: without the first or the last line, or without asterisks.
    """
    from langdetect import DetectorFactory

    DetectorFactory.seed = SEED
    rules = _rules()
    row = rules.InputExample(doc["id"], doc["instruction_id_list"], doc["prompt"], doc["kwargs"])
    strict = rules.test_instruction_following_strict(row, results[0])
    loose = rules.test_instruction_following_loose(row, results[0])
    return {
        "prompt_strict": int(strict.follow_all_instructions),
        "prompt_loose": int(loose.follow_all_instructions),
        "instruction_strict": _share(strict.follow_instruction_list),
        "instruction_loose": _share(loose.follow_instruction_list),
    }


def _share(found: list[bool]) -> float:
    return sum(found) / len(found)


def _rules() -> Any:
    """Return lm-eval's rules. Where NLTK does not have `punkt_tab`, importing them asks the network for it.

    It is used by two rules only, on sentences and on words in capitals, which no row here names. So it finds a folder.
    """
    import nltk

    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "tokenizers" / "punkt_tab").mkdir(parents=True)
        nltk.data.path.append(folder)
        try:
            from lm_eval.tasks.ifeval import utils
        finally:
            nltk.data.path.remove(folder)
    return utils
