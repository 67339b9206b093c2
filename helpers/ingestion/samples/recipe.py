"""What each sample model is: its shape, what it sees, and for how long."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from helpers.datasets import digest
from helpers.runtime.workspace import ROOT

DATA = ROOT / "datasets" / "ops-assistant"
TRAINED_ON = ("handbook.jsonl", "prompts.jsonl")
# What decides the weights; a change here trains anew, a change to the wording of the card does not.
DECIDING_CODE = ("texts.py", "tokenizer.py", "training.py")


class Recipe(BaseModel):
    """Everything that decides a sample model's weights, beside the data and the code."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    hidden: int = Field(gt=0, description="width")
    layers: int = Field(gt=0)
    heads: int = Field(gt=0)
    intermediate: int = Field(gt=0, description="width of the feed-forward part")
    vocabulary: int = Field(gt=260, description="upper bound on the number of tokens")
    share_of_topics: float = Field(gt=0, le=1, description="how much of the handbook is seen")
    steps: int = Field(gt=0)
    batch: int = Field(gt=0, description="examples per step")
    learning_rate: float = Field(gt=0)
    seed: int = 20
    data: Path = Field(default=DATA, exclude=True, description="folder with the texts")

    def inputs_digest(self) -> str:
        """Return `sha256:…` over the recipe, the data and the deciding code."""
        here = Path(__file__).parent
        parts = [self.model_dump_json()]
        parts += [digest(self.data / name) for name in TRAINED_ON]
        parts += [digest(here / name) for name in DECIDING_CODE]
        return f"sha256:{hashlib.sha256(chr(10).join(parts).encode()).hexdigest()}"

    def make(self, folder: Path, say: Callable[[str], None]) -> None:
        """Train the model and write its files into `folder`. Raises InvalidDataset."""
        from helpers.ingestion.samples.training import train_into

        train_into(folder, self, say)


SMALL = Recipe(
    name="ops-small",
    hidden=128,
    layers=4,
    heads=4,
    intermediate=384,
    vocabulary=1500,
    share_of_topics=0.5,
    steps=300,
    batch=32,
    learning_rate=4e-3,
)
LARGE = Recipe(
    name="ops-large",
    hidden=256,
    layers=6,
    heads=4,
    intermediate=704,
    vocabulary=1500,
    share_of_topics=1.0,
    steps=400,
    batch=32,
    learning_rate=2e-3,
)
