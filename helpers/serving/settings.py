"""How to serve: validated before anything is started."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from helpers.runtime.account import in_pod
from helpers.runtime.parameters import Settings as _Settings
from helpers.runtime.parameters import words
from helpers.serving.amounts import Resources, Toleration, parse_hardware, parse_resources, parse_toleration

API = re.compile(r"/v1(/chat/completions|/completions|/models)?/*$")
NAME = r"^([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?)?$"  # of an object in Kubernetes, or nothing
Where = Literal["local", "existing", "kserve"]
LIFETIME = {"local": 3600, "existing": 3600, "kserve": 4 * 3600}
PATIENCE = {"local": 300, "existing": 300, "kserve": 1800}  # a cluster pulls an image and a model of many GiB first


class Place(_Settings):
    """Where something is served, and is to be removed."""

    target: Literal["auto", "local", "existing", "kserve"] = Field(
        default="auto", description="local process, endpoint that exists, KServe; auto is KServe in a pod, else local"
    )

    @property
    def where(self) -> Where:
        """The target, with `auto` resolved."""
        if self.target != "auto":
            return self.target
        return "kserve" if in_pod() else "local"


class Settings(Place):
    """Where and how the selected version is served."""

    max_model_len: int = Field(default=2048, ge=16, le=1_048_576, description="context of the server, tokens")
    engine_args: str = Field(
        default="", description="further vLLM arguments, separated by blanks; what they may be stands in `arguments`"
    )
    slo: str = Field(
        default="", description="limits in ms as ttft:500,itl:50, where vLLM's histograms get an edge; no limit is kept"
    )
    lifetime_seconds: int = Field(
        default=0,
        ge=0,
        le=86_400,
        description="after this, and the queue's time, the deployment is removed; 0 is the target's own default",
    )
    start_timeout_seconds: int = Field(
        default=0, ge=0, le=7200, description="how long to wait for the server; 0 is the target's own default"
    )
    kv_cache_gib: int = Field(default=1, ge=1, le=1024, description="memory for the KV cache of vLLM on the CPU")
    port: int = Field(default=0, ge=0, le=65_535, description="of a local process; 0 takes a free one")
    policy: Path = Field(default=Path("policy.yaml"), description="whose signature is trusted on what is served")
    verify: Literal["digest", "bytes"] = Field(
        default="digest",
        description="of a model in a bucket or image: what is signed of how it is stored is compared, or all is read",
    )
    require_approval: bool = Field(default=True, description="refuse what is not approved; false for a baseline")
    endpoint_url: str = Field(
        default="", pattern=r"^(https?://[^\s?#@]+)?$", description="for target existing, with or without /v1"
    )
    endpoint_model: str = Field(
        default="",
        pattern=r"^([@A-Za-z0-9][\w.@+~-]*((:+|/)[\w.@+~-]+)*)?$",
        description="for target existing: served model name; the only one that the server has where empty",
    )
    hardware: str = Field(default="unknown", description="for target existing: what it runs on, as name:count")
    resources: str = Field(
        default="cpu:4,memory:16Gi,nvidia.com/gpu:1",
        description="for target kserve: what the server's pod gets, no more and no less, as name:quantity,…",
    )
    tolerations: str = Field(
        default="nvidia.com/gpu:NoSchedule",
        description="for target kserve: taints of nodes that are no obstacle, as key[=value][:effect],…",
    )
    serving_runtime: str = Field(
        default="", pattern=NAME, description="for target kserve: a ServingRuntime of the project; ours where empty"
    )
    connection: str = Field(
        default="", pattern=NAME, description="for target kserve: the secret that opens the model's bucket or registry"
    )
    service_account: str = Field(
        default="", pattern=NAME, description="for target kserve: the server's; the project's default where empty"
    )
    queue_seconds: int = Field(
        default=1800, ge=0, le=86_400, description="for target kserve: how long to wait for what others hold, s"
    )
    queue: str = Field(
        default="", pattern=NAME, description="for target kserve: Kueue's local queue that the server waits in"
    )
    access: Literal["cluster", "token", "exposed"] = Field(
        default="cluster",
        description="for target kserve: open inside the cluster, with a token only, or by a Route with a token",
    )

    @property
    def base_url(self) -> str:
        """The endpoint's address, without the paths of the API that may stand at its end."""
        return API.sub("", self.endpoint_url).rstrip("/")

    @property
    def lifetime(self) -> int:
        """Seconds after which the deployment is removed."""
        return self.lifetime_seconds or LIFETIME[self.where]

    @property
    def start_timeout(self) -> int:
        """Seconds to wait for the server."""
        return self.start_timeout_seconds or PATIENCE[self.where]

    @property
    def arguments(self) -> tuple[str, ...]:
        """Further arguments of vLLM; on this machine it starts without compiling first unless others are given."""
        return tuple(self.engine_args.split()) or (("--enforce-eager",) if self.where == "local" else ())

    @property
    def pod_resources(self) -> Resources:
        """What the server's pod requests and is limited to."""
        return parse_resources(self.resources)

    @property
    def pod_tolerations(self) -> list[Toleration]:
        """Which taints the server's pod tolerates."""
        return [parse_toleration(item) for item in words(self.tolerations)]

    @field_validator("engine_args")
    @classmethod
    def _safe(cls, value: str) -> str:
        from helpers.serving import arguments

        if "--api-key" in value.replace("_", "-"):
            raise ValueError("a key is a secret and comes from the environment (ENDPOINT_API_KEY)")
        arguments.check(value.split(), {arguments.TEMPLATE: arguments.templates()})
        return value

    @field_validator("slo")
    @classmethod
    def _limits(cls, value: str) -> str:
        from helpers.serving import histograms

        histograms.parse(value)
        return value

    @field_validator("lifetime_seconds", "start_timeout_seconds")
    @classmethod
    def _not_too_short(cls, value: int) -> int:
        if 0 < value < 5:
            raise ValueError("5 seconds is the least, 0 the target's own default")
        return value

    @field_validator("resources", "tolerations", "hardware")
    @classmethod
    def _parses(cls, value: str, info: ValidationInfo) -> str:
        if info.field_name == "tolerations":
            for item in words(value):
                parse_toleration(item)
        else:
            {"resources": parse_resources, "hardware": parse_hardware}[str(info.field_name)](value)
        return value

    @model_validator(mode="after")
    def _template_is_here(self) -> Settings:
        from helpers.serving import arguments

        if self.where == "kserve" and arguments.TEMPLATE in arguments.given(self.engine_args.split()):
            raise ValueError("ENGINE_ARGS names a chat template, which no pod has: serve a model that has its own")
        return self

    @model_validator(mode="after")
    def _existing_has_url(self) -> Settings:
        if self.target == "existing" and not self.endpoint_url:
            raise ValueError("ENDPOINT_URL is not set, and TARGET is existing")
        if self.endpoint_url and self.target != "existing":
            raise ValueError(f"ENDPOINT_URL is set, and TARGET is {self.target}: set TARGET=existing")
        if self.target == "existing" and not self.require_approval:
            raise ValueError(
                "TARGET is existing, whose weights are unknown, so that it cannot be a baseline: run ai-engineer"
            )
        return self
