"""What the requests look like, and whether they fit into the model's context."""

from __future__ import annotations

from dataclasses import dataclass
from math import floor
from pathlib import Path

from helpers import datasets
from helpers.artifacts import Endpoint
from helpers.benchmark.settings import Settings
from helpers.benchmark.tokens import TokenCounter
from helpers.errors import InvalidDataset, InvalidParameter

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

    @property
    def outputs(self) -> tuple[int, ...]:
        """Output tokens that the requests ask for, in turn."""
        return self.asked or (self.output_tokens,)


def load(settings: Settings, endpoint: Endpoint) -> Workload:
    """Return the workload once it is known to fit. Raises InvalidParameter or InvalidDataset before anything runs."""
    counter = TokenCounter(endpoint.tokenizer_folder())
    if settings.workload == "prompts":
        return _from_file(Path(settings.prompts), counter, endpoint.max_model_len)
    prompt, output = settings.tokens
    around = counter.around_a_prompt
    needed = prompt + output + around
    if needed > endpoint.max_model_len:
        largest = settings.scale * (endpoint.max_model_len - around) / (prompt + output)
        raise InvalidParameter(
            f"SCALE={settings.scale:g} of the workload {settings.workload} needs {needed} tokens ({prompt} in the "
            f"prompt, {around} around it, {output} in the answer); "
            f"{endpoint.model} has room for {endpoint.max_model_len}",
            do=f"Set SCALE to {floor(1000 * largest) / 1000:g} or less",
        )
    return Workload(settings.workload, prompt, output)


def _from_file(path: Path, counter: TokenCounter, room: int) -> Workload:
    rows = datasets.load_prompts(path)
    for line, row in enumerate(rows, start=1):
        tokens = counter.prompt(NONCE + row.prompt)
        if tokens + row.output_tokens > room:
            raise InvalidDataset(
                f"{path}, line {line}, field prompt: {tokens} tokens, and {row.output_tokens} more for the answer, "
                f"do not fit into the model's context of {room}",
                do="Shorten this row, or deploy the model with a larger MAX_MODEL_LEN",
            )
    asked = tuple(row.output_tokens for row in rows)
    mean = round(sum(asked) / len(asked))
    return Workload("prompts", None, mean, path.resolve(), datasets.digest(path), asked)
