"""How to serve: validated before anything is started."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator

from helpers.parameters import Settings as _Settings

SAFE_ARGUMENT = re.compile(r"[A-Za-z0-9._=:/,+-]+")


class Settings(_Settings):
    """Where and how the selected version is served."""

    target: Literal["local", "existing"] = Field(
        default="local", description="local process, or an endpoint that exists"
    )
    max_model_len: int = Field(default=2048, ge=16, le=1_048_576, description="context of the server, tokens")
    engine_args: str = Field(default="--enforce-eager", description="further vLLM arguments, separated by blanks")
    lifetime_seconds: int = Field(
        default=3600, ge=10, le=86_400, description="after this the deployment removes itself"
    )
    start_timeout_seconds: int = Field(default=300, ge=5, le=7200, description="how long to wait for the server")
    kv_cache_gib: int = Field(default=1, ge=1, le=1024, description="memory for the KV cache of vLLM on the CPU")
    port: int = Field(default=0, ge=0, le=65_535, description="0 takes a free one")
    policy: Path = Field(default=Path("policy.yaml"), description="whose signature is trusted on what is served")
    endpoint_url: str = Field(
        default="", pattern=r"^(https?://[^\s?#@]+)?$", description="for target existing, without /v1"
    )
    endpoint_model: str = Field(default="", description="served model name; the selection's name where empty")
    hardware_type: str = Field(default="unknown", description="for target existing: the accelerator")
    hardware_count: int = Field(default=1, ge=1, description="for target existing: how many of them")

    @field_validator("engine_args")
    @classmethod
    def _safe(cls, value: str) -> str:
        for argument in value.split():
            if not SAFE_ARGUMENT.fullmatch(argument):
                raise ValueError(f"{argument!r} has characters that no engine argument needs")
            if argument.startswith("--api-key"):
                raise ValueError("a key is a secret and comes from the environment (ENDPOINT_API_KEY)")
        return value

    @model_validator(mode="after")
    def _existing_has_url(self) -> Settings:
        if self.target == "existing" and not self.endpoint_url:
            raise ValueError("endpoint_url is empty, and target is existing")
        return self
