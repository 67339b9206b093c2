"""What lm_eval_task measures, checked before anything starts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator

from helpers.artifacts import Parameter
from helpers.artifacts.measurement import EVALUATION, NAME
from helpers.runtime import parameters

PAIR = re.compile(r"^\s*[A-Za-z_][A-Za-z0-9_.]*\s*=.+$")


class Settings(parameters.Settings):
    """Which task, how much of it, and how hard to press the server; raises InvalidParameter when out of bounds."""

    prose = frozenset({"system_instruction", "unwanted"})
    name: str = Field(default=EVALUATION, pattern=NAME, description="of the measurement and its files")
    task: str = Field(
        default="ops_assistant", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="lm-eval task or group"
    )
    unwanted: str = Field(default="", description="why nothing is to be asked; empty: it is")
    include_path: Path | None = Field(default=None, description="folder with task YAML; None for lm-eval's own tasks")
    api: Literal["auto", "chat", "completions"] = Field(
        default="auto", description="how the server is asked; auto: chat for generated answers where it has it"
    )
    num_fewshot: int | None = Field(
        default=None, ge=0, le=64, description="worked examples before each question; auto as the task says"
    )
    fewshot_as_multiturn: bool = Field(default=True, description="chat only: each worked example as a turn of its own")
    system_instruction: str = Field(default="", max_length=4000, description="none for none")
    gen_kwargs: str = Field(
        default="", description="over the task's generation_kwargs: max_gen_toks=512,temperature=0.7; none for none"
    )
    metric: str = Field(
        default="auto",
        pattern=r"^[A-Za-z0-9_@.+-]+(,[A-Za-z0-9_@.+-]+)?$",
        description="the task's metric, with its filter after a comma; auto: the first that scores each question",
    )
    limit: int = Field(default=0, ge=0, description="first questions only; 0 for all")
    # The fastest of the pairs tried on two cores (160 questions x 4 choices); more in flight only queues in vLLM.
    num_concurrent: int = Field(default=8, ge=1, le=1024, description="requests in flight")
    batch_size: int = Field(default=32, ge=1, le=1024, description="prompts in one request")
    request_timeout: float = Field(default=600.0, gt=0, le=3600, description="seconds for one request")
    time_limit: float = Field(default=43200.0, gt=0, le=604800, description="seconds for the whole task")
    memory_limit: float = Field(default=8.0, gt=0, le=4096, description="GiB, all processes together")
    confidence: float = Field(default=0.95, ge=0.5, le=0.999, description="of the interval around the score")
    allow_partial: bool = Field(default=False, description="accept questions without an answer")
    ask_again: int = Field(
        default=0, ge=0, le=10_000, description="questions asked a second time: how often the model answers otherwise"
    )
    seed: int = Field(default=1234, ge=0, description="chooses the worked examples")

    @field_validator("num_fewshot", mode="before")
    @classmethod
    def _as_the_task_says(cls, value: Any) -> Any:
        return None if value == parameters.AUTO else value

    @field_validator("system_instruction", "gen_kwargs", mode="before")
    @classmethod
    def _none(cls, value: Any) -> Any:
        return "" if value == "none" else value

    @field_validator("gen_kwargs")
    @classmethod
    def _pairs(cls, value: str) -> str:
        bad = [pair for pair in value.split(",") if value and not PAIR.match(pair)]
        if bad:
            raise ValueError(f"{bad[0]!r} is no name=value; write max_gen_toks=512,temperature=0.7")
        return value

    @property
    def generation(self) -> dict[str, Any]:
        """The generation settings; a dot in a name leads into an object, as in chat_template_kwargs.enable_thinking."""
        found: dict[str, Any] = {}
        for name, text in (pair.split("=", 1) for pair in self.gen_kwargs.split(",") if pair):
            *path, last = name.strip().split(".")
            inner = found
            for part in path:
                inner = inner.setdefault(part, {})
            inner[last] = _value(text.strip())
        return found

    def parameters(self) -> dict[str, Parameter]:
        """Return the settings as the artifact keeps them: without the path, which differs between machines."""
        values = self.model_dump(exclude={"include_path", "name", "time_limit", "memory_limit", "unwanted"})
        return values | {"num_fewshot": parameters.AUTO if self.num_fewshot is None else self.num_fewshot}


def _value(text: str) -> Any:
    """Return a number, a truth value, or the text itself."""
    try:
        return json.loads(text.lower() if text.lower() in ("true", "false") else "null" if text == "None" else text)
    except json.JSONDecodeError:
        return text
