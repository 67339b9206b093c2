"""Examples as the model reads them: token ids, and which of them are learned."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from helpers.errors import InvalidDataset

IGNORED = -100  # the label of a token that is read and not learned, as PyTorch's cross entropy has it
Turns = list[dict[str, str]]


@dataclass(frozen=True)
class Conversation:
    """One row of training: ids and labels have one length."""

    input_ids: list[int]
    labels: list[int]

    @property
    def learned(self) -> int:
        """How many tokens are learned."""
        return sum(label != IGNORED for label in self.labels)


def conversations(
    tokenizer: Any, examples: Sequence[tuple[str, Turns]], *, turns: int, max_length: int, seed: int
) -> list[Conversation]:
    """Return the examples in a drawn order, up to `turns` exchanges to a conversation of at most `max_length` tokens.

    An example with a system prompt or several exchanges stays by itself. All do where the chat template writes an
    earlier answer in another way than the last. Raises InvalidDataset with the ids of examples that are too long.
    """
    drawn = list(examples)
    random.Random(seed).shuffle(drawn)
    read = [(turns_, encoded(tokenizer, turns_)) for _, turns_ in drawn]
    names = [name for name, _ in drawn]
    if long := [name for name, (_, row) in zip(names, read, strict=True) if len(row.input_ids) > max_length]:
        raise InvalidDataset(
            f"{', '.join(long[:5])}{' and more' if long[5:] else ''}: longer than {max_length} tokens",
            do="Shorten them, or raise MAX_LENGTH",
        )
    if turns == 1:
        return [row for _, row in read]
    return list(_joined(tokenizer, read, turns, max_length))


def _joined(
    tokenizer: Any, read: Sequence[tuple[Turns, Conversation]], turns: int, max_length: int
) -> Iterator[Conversation]:
    """Join single exchanges: one system prompt, which many templates add, then serves several."""
    open_, kept = Turns(), None
    for said, row in read:
        if len(said) != 2:
            yield row
            continue
        more = encoded(tokenizer, open_ + said) if open_ else row
        whole = not open_ or (kept is not None and more.learned == kept.learned + row.learned)
        if kept is not None and (len(open_) == 2 * turns or len(more.input_ids) > max_length or not whole):
            yield kept
            open_, more = Turns(), row
        open_, kept = open_ + said, more
    if kept is not None:
        yield kept


def encoded(tokenizer: Any, turns: Turns) -> Conversation:
    """Return a conversation with every answer learned, its end mark included.

    What an answer is follows from the model's own chat template: what it writes for the conversation up to the answer,
    and with it. Where a template writes an earlier answer otherwise once more follows, only the last is learned.
    """

    def text(until: int, *, asks: bool = False) -> str:
        return str(tokenizer.apply_chat_template(turns[:until], tokenize=False, add_generation_prompt=asks))

    whole = text(len(turns))
    spans = list[tuple[int, int]]()
    for place, turn in enumerate(turns):
        if turn["role"] == "assistant":
            before, after = text(place, asks=True), text(place + 1)
            if whole.startswith(after) and after.startswith(before):
                spans.append((len(before), len(after)))
    read = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    labels = [
        token if end > start and any(low <= start and end <= high for low, high in spans) else IGNORED
        for token, (start, end) in zip(read["input_ids"], read["offset_mapping"], strict=True)
    ]
    return Conversation(list(read["input_ids"]), labels)
