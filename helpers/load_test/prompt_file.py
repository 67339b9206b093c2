"""A kind of data for GuideLLM: the use case's prompts, over and over, and yet none twice."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

ORDER_SEED = 0  # the same order for every model, strategy and run, so that they are measured on the same requests


def register() -> None:
    """Make `kind=prompt_file,path=…` known to GuideLLM, before it builds its command line from the known kinds."""
    from guidellm.schemas.data import DataArgs

    @DataArgs.register("prompt_file")
    class PromptFileArgs(DataArgs):
        kind: Literal["prompt_file"] = "prompt_file"
        path: Path

    from guidellm.data.deserializers import DatasetDeserializer, DatasetDeserializerFactory

    @DatasetDeserializerFactory.register("prompt_file")
    class PromptFileDeserializer(DatasetDeserializer):
        def __call__(self, config: PromptFileArgs, processor_factory: Any, random_seed: int) -> Any:
            import datasets

            huggingface: Any = datasets  # not helpers.datasets
            return huggingface.IterableDataset.from_generator(requests, gen_kwargs={"path": str(config.path)})


def requests(path: str) -> Iterator[dict[str, Any]]:
    """Yield the file's rows for ever; a few random digits before each prompt keep it out of the prefix cache.

    Where one is a conversation, all are sent as messages: GuideLLM takes the names of its columns from the first row.
    """
    from helpers.datasets import load_prompts

    rows = load_prompts(Path(path))
    conversations = any(row.history for row in rows)
    random.Random(ORDER_SEED).shuffle(rows)
    while True:
        for row in rows:
            nonce = f"[{uuid.uuid4().hex[:8]}] "
            messages = row.messages
            messages[0]["content"] = nonce + messages[0]["content"]
            request = {"messages": messages} if conversations else {"prompt": nonce + row.prompt}
            yield {**request, "output_tokens_count": row.output_tokens}
