"""What a model is tuned on and how, checked before anything starts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from helpers import storage
from helpers.artifacts.names import OWN
from helpers.runtime import parameters

if TYPE_CHECKING:
    from helpers.artifacts import Parameter

SMALL = 500_000_000  # weights: below, a LoRA needs larger steps to learn anything in two epochs
LEARNING_RATE, OF_SMALL = 2e-4, 1.5e-3


class Settings(parameters.Settings):
    """Which examples, under which name the tuned model comes in, and the recipe. Raises InvalidParameter."""

    training_data: Path = Field(description="conversations, JSON lines: messages, or prompt and completion")
    replay: Path | None = Field(default=None, description="prompts; the parent's own answers to them are mixed in")
    use_case: str = Field(pattern=OWN)
    policy: Path = Field(description="by which the parent's signature is trusted")
    tuned_name: str = Field(default="", pattern=rf"^$|{OWN}", description="parent and use case where empty")
    tuned_version: str = Field(default="", pattern=rf"^$|{OWN}", description="the next free one where empty")
    store: Annotated[str, parameters.held_by(storage.check_form)] = "local"
    fresh: bool = Field(default=False, description="tune again what was tuned before")
    epochs: int = Field(default=2, ge=1, le=100)
    learning_rate: float = Field(default=0.0, ge=0, le=0.1, description="0 chooses by the number of weights")
    rank: int = Field(default=16, ge=1, le=512, description="of the LoRA matrices, whose alpha is twice that")
    train_batch_size: int = Field(default=2, ge=1, le=1024, description="conversations for each step")
    turns: int = Field(default=1, ge=1, le=64, description="short examples that share one conversation")
    max_length: int = Field(default=1024, ge=16, le=131072, description="tokens of one conversation")
    seed: int = Field(default=20, ge=0)

    def rate(self, parameters: int | None) -> float:
        """Return the learning rate for a model of so many weights."""
        return self.learning_rate or (OF_SMALL if parameters and parameters < SMALL else LEARNING_RATE)

    def recipe(self, parameters: int | None) -> dict[str, Parameter]:
        """Return the settings that decide the weights."""
        chosen: dict[str, Any] = {
            name: getattr(self, name) for name in ("epochs", "rank", "train_batch_size", "turns", "max_length", "seed")
        }
        return {**chosen, "learning_rate": self.rate(parameters), "method": "lora"}
