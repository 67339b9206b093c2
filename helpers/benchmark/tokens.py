"""How many tokens a prompt is for the served model, its chat template included."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

from helpers.errors import ArtifactMissing


class TokenCounter:
    """Counts with the model's own tokenizer; `tokenizers` and `jinja2` load in a tenth of transformers' time."""

    def __init__(self, folder: Path) -> None:
        """Raises ArtifactMissing where `folder` holds no tokenizer.json."""
        from tokenizers import Tokenizer

        path = folder / "tokenizer.json"
        if not path.is_file():
            raise ArtifactMissing(
                f"{path} is not there, so prompts cannot be made or counted",
                do="Ingest the model with its tokenizer files, then run deploy_model again",
            )
        self._folder = folder
        self._tokenizer = Tokenizer.from_file(str(path))

    def prompt(self, text: str) -> int:
        """Return the tokens of `text` as the only message of a chat."""
        return self._count(self._template.render(messages=[{"role": "user", "content": text}], **self._variables))

    @property
    def around_a_prompt(self) -> int:
        """Tokens that the chat template adds to a message."""
        return max(0, self.prompt("a a") - self._count("a a"))

    def _count(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    @cached_property
    def _config(self) -> dict[str, Any]:
        path = self._folder / "tokenizer_config.json"
        config: dict[str, Any] = json.loads(path.read_text("utf-8")) if path.is_file() else {}
        return config

    @cached_property
    def _variables(self) -> dict[str, Any]:
        special = {k: _content(v) for k, v in self._config.items() if k.endswith("_token") and v}
        return {"bos_token": "", "eos_token": "", **special, "add_generation_prompt": True}

    @cached_property
    def _template(self) -> Any:
        from jinja2.sandbox import ImmutableSandboxedEnvironment

        environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True)
        environment.globals["strftime_now"] = lambda pattern: pattern
        file = self._folder / "chat_template.jinja"
        text = file.read_text("utf-8") if file.is_file() else self._config.get("chat_template")
        if isinstance(text, list):  # several named templates
            text = next((t["template"] for t in text if t["name"] == "default"), text[0]["template"])
        return environment.from_string(text or "{% for m in messages %}{{ m['content'] }}{% endfor %}")


def _content(token: Any) -> str:
    return str(token["content"] if isinstance(token, dict) else token)
