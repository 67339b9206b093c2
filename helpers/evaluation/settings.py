"""What lm_eval_task measures, checked before anything starts."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from helpers import parameters
from helpers.artifacts import Parameter


class Settings(parameters.Settings):
    """Which task, how much of it, and how hard to press the server; raises InvalidParameter when out of bounds."""

    task: str = Field(
        default="ops_assistant", pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="lm-eval task or group"
    )
    include_path: Path | None = Field(default=None, description="folder with task YAML; None for lm-eval's own tasks")
    num_fewshot: int = Field(
        default=0, ge=-1, le=64, description="worked examples before each question; -1 as the task says"
    )
    limit: int = Field(default=0, ge=0, description="first questions only; 0 for all")
    # The fastest of the pairs tried on two cores (160 questions x 4 choices); more in flight only queues in vLLM.
    num_concurrent: int = Field(default=8, ge=1, le=1024, description="requests in flight")
    batch_size: int = Field(default=32, ge=1, le=1024, description="prompts in one request")
    request_timeout: float = Field(default=120.0, gt=0, le=3600, description="seconds for one request")
    confidence: float = Field(default=0.95, ge=0.5, le=0.999, description="of the interval around the score")
    allow_partial: bool = Field(default=False, description="accept questions without an answer")
    seed: int = Field(default=1234, ge=0, description="chooses the worked examples")

    def parameters(self) -> dict[str, Parameter]:
        """Return the settings as the artifact keeps them: without the path, which differs between machines."""
        return self.model_dump(exclude={"include_path"})
