"""How many tokens a prompt is for the served model, its chat template included."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers.artifacts import write_atomic
from helpers.errors import ArtifactMissing, InvalidInput

BYTES = 4  # of English text in a token, where the model's own tokenizer is not known


class TokenCounter:
    """Counts with the model's own tokenizer, as transformers and vLLM load it."""

    def __init__(self, folder: Path, chat: bool = True) -> None:
        """Raises ArtifactMissing where `folder` holds no tokenizer.json."""
        from transformers import PreTrainedTokenizerFast

        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ArtifactMissing(
                f"{path} is not there, so prompts cannot be made or counted",
                do="Ingest the model with its tokenizer files, then run deploy_model again",
            )
        self._folder = folder
        self._tokenizer: Any = PreTrainedTokenizerFast.from_pretrained(str(folder))
        self._chat = chat and bool(self._tokenizer.chat_template)

    def prompt(self, text: str) -> int:
        """Return the tokens of a request with `text`: for a chat, as its only message."""
        return self.chat([{"role": "user", "content": text}])

    def chat(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Return the tokens of a conversation, rendered by the model's chat template where it has one.

        Raises InvalidInput where the template refuses the conversation.
        """
        if not self._chat:
            return len(self._tokenizer("".join(message["content"] for message in messages))["input_ids"])
        from jinja2 import TemplateError

        try:
            rendered = self._tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
        except TemplateError as error:
            raise InvalidInput(
                f"The chat template in {self._folder} refuses {[message['role'] for message in messages]}: {error}",
                do="Set API to completions, or ask for roles that the model's template renders",
            ) from error
        return self._count(rendered)

    @property
    def around_a_prompt(self) -> int:
        """Tokens that the request adds to a prompt: the chat template's, or those that begin a text."""
        return max(0, self.prompt("a a") - self._count("a a"))

    def text(self, tokens: int) -> str:
        """Return a text of about so many tokens."""
        ids = self._tokenizer("restart the pod and read its log. " * tokens, add_special_tokens=False)["input_ids"]
        return str(self._tokenizer.decode(ids[:tokens]))

    def _count(self, text: str) -> int:
        return len(self._tokenizer(text, add_special_tokens=False)["input_ids"])


def bytes_only(folder: Path) -> Path:
    """Write a tokenizer for which each byte is a token into `folder` and return it.

    GuideLLM makes synthetic prompts by a tokenizer. Without the model's own, this one makes them by length.
    """
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE({letter: index for index, letter in enumerate(alphabet)}, []))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    write_atomic(folder / "tokenizer.json", made.to_str().encode())
    write_atomic(folder / "tokenizer_config.json", json.dumps({"tokenizer_class": "PreTrainedTokenizerFast"}).encode())
    return folder
