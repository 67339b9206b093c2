"""What the requests look like, and whether they fit into the model's context."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import floor
from pathlib import Path

from helpers import datasets
from helpers.artifacts import Endpoint
from helpers.datasets.lines import Faults
from helpers.errors import EndpointUnreachable, InvalidDataset, InvalidParameter
from helpers.load_test.settings import Settings
from helpers.load_test.tokens import BYTES, TokenCounter
from helpers.serving.offers import CHAT, COMPLETIONS, offers

NONCE = "[00000000] "  # what the driver puts before each prompt of a file, with other digits every time


@dataclass(frozen=True)
class Workload:
    """Requests of one shape; `prompt_tokens` is None where a file decides."""

    name: str
    prompt_tokens: int | None
    output_tokens: int
    prompts: Path | None = None
    digest: str | None = None
    asked: tuple[int, ...] = ()  # output tokens of each prompt of the file
    path: str = CHAT  # of the server's interface
    tokenizer: Path | None = None  # folder of the model's own; None where it is not known
    unit: int = 1  # tokens of the tokenizer that GuideLLM gets for each of the model's
    plain: bool = False  # no ignore_eos: the server refuses what is not OpenAI's own, or pays no heed to it
    example: tuple[str, int] = ("", 1)  # a prompt and how many tokens it asks for

    @property
    def outputs(self) -> tuple[int, ...]:
        """Output tokens that the requests ask for, in turn; () where the model ends its answers as it likes."""
        return () if self.plain else self.asked or (self.output_tokens,)


def load(settings: Settings, endpoint: Endpoint) -> Workload:
    """Return the workload once it is known to fit. Raises InvalidParameter or InvalidDataset before anything runs."""
    path, no_chat = _path(settings, endpoint)
    folder = endpoint.tokenizer_folder() if endpoint.tokenizer else None
    counter = TokenCounter(folder, path == CHAT) if folder else None
    if settings.workload == "prompts":
        return _from_file(Path(settings.prompts), counter, endpoint.max_model_len, path, folder, no_chat)
    prompt, output = settings.tokens
    around = counter.around_a_prompt if counter else 0
    needed = prompt + output + around
    if needed > endpoint.max_model_len:
        largest = settings.scale * (endpoint.max_model_len - around) / (prompt + output)
        raise InvalidParameter(
            f"SCALE={settings.scale:g} of the workload {settings.workload} needs {needed} tokens ({prompt} in the "
            f"prompt, {around} around it, {output} in the answer); "
            f"{endpoint.model} has room for {endpoint.max_model_len}",
            do=f"Set SCALE to {floor(1000 * largest) / 1000:g} or less",
        )
    text = counter.text(prompt) if counter else "pod " * prompt
    shape = Workload(settings.workload_name, prompt, output, path=path, example=(text, output))
    return replace(shape, tokenizer=folder, unit=1 if folder else BYTES)


def _path(settings: Settings, endpoint: Endpoint) -> tuple[str, str]:
    """Return the interface that is asked, and why not chat: chat where it is offered, unless API says which."""
    if settings.api != "auto":
        return (CHAT, "") if settings.api == "chat" else (COMPLETIONS, "API is completions")
    offered = offers(endpoint)
    if offered.chat and offered.completions:
        raise EndpointUnreachable(
            f"{endpoint.url} ({endpoint.model}) offers nothing that can be loaded: {offered.chat}; "
            f"{offered.completions}",
            do="Serve the model with an OpenAI-compatible server",
        )
    return (COMPLETIONS, offered.chat) if offered.chat else (CHAT, "")


def _from_file(
    file: Path, counter: TokenCounter | None, room: int, path: str, tokenizer: Path | None, no_chat: str
) -> Workload:
    rows = datasets.load_prompts(file)
    if path != CHAT and (talks := [row.line for row in rows if row.history]):
        raise InvalidDataset(
            f"{file}: {len(talks)} of {len(rows)} prompts are conversations (the first in line {talks[0]}), and no "
            f"chat is asked: {no_chat.rstrip('.')}",
            do="Give single prompts, or measure a model with a chat template by API=auto",
        )
    faults = Faults(file)
    for row in rows:
        tokens = counter.chat([*row.messages[:-1], {"role": "user", "content": NONCE + row.prompt}]) if counter else 0
        if tokens + row.output_tokens > room:
            reason = (
                f"{tokens} tokens, and {row.output_tokens} more for the answer, are more than the context of {room}"
            )
            faults.add(row.line, reason, "prompt")
    faults.tell("Shorten or remove what is named, or deploy the model with a larger MAX_MODEL_LEN")
    asked = tuple(row.output_tokens for row in rows)
    mean, middle = round(sum(asked) / len(asked)), sorted(rows, key=lambda row: row.output_tokens)[len(rows) // 2]
    shown = (middle.prompt, mean)
    return Workload("prompts", None, mean, file.resolve(), datasets.digest(file), asked, path, tokenizer, example=shown)
