"""How many rows there are and how long they are, by category."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median, quantiles

from helpers.artifacts.dataset import Lengths, TextSet
from helpers.datasets.exploring.finding import places
from helpers.datasets.exploring.texts import Texts, words
from helpers.errors import ArtifactMissing, NotMeasurable

Count = Callable[[Sequence[str]], list[int]]
ALL = "all"


def in_words(texts: Sequence[str]) -> list[int]:
    """Return the number of words of each text."""
    return [len(words(text)) for text in texts]


def in_tokens(folder: Path) -> Count:
    """Return what counts in the tokens of the model in `folder`, without a chat template.

    Raises ArtifactMissing where it holds no tokenizer.json, NotMeasurable where nothing here can read one.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ArtifactMissing(
            f"{path} is not there", do="Set MODEL to a folder with the model's tokenizer.json, or none"
        )
    try:
        from tokenizers import Tokenizer
    except ImportError as error:
        raise NotMeasurable(
            "The package tokenizers is not installed here, so tokens cannot be counted", do="Leave MODEL out"
        ) from error
    tokenizer = Tokenizer.from_file(str(path))
    return lambda texts: [len(each.ids) for each in tokenizer.encode_batch(list(texts), add_special_tokens=False)]


def counted(texts: Texts, count: Count, files: tuple[str, ...]) -> TextSet:
    """Return the counts and lengths of a set, of all its rows first and then by category."""
    lengths = count([row.text for row in texts.rows])
    parts: dict[str, list[int]] = {ALL: lengths}
    for row, length in zip(texts.rows, lengths, strict=True):
        parts.setdefault(row.category or "without category", []).append(length)
    return TextSet(
        name=texts.name,
        role=texts.role,
        files=files,
        rows=len(texts.rows),
        lengths=tuple(_lengths(name, found) for name, found in parts.items()),
        positions=places(texts),
    )


def _lengths(category: str, found: Sequence[int]) -> Lengths:
    high = quantiles(found, n=20, method="inclusive")[-1] if len(found) > 1 else found[0]
    return Lengths(
        category=category, rows=len(found), shortest=min(found), median=median(found), p95=high, longest=max(found)
    )
