"""Which version is measured, and where it is served."""

from __future__ import annotations

import hashlib
from datetime import datetime
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from helpers.artifacts import run
from helpers.artifacts.base import Artifact, Contract, Parameter
from helpers.artifacts.names import AnyName
from helpers.artifacts.tokenizer import unpack_tokenizer
from helpers.errors import ArtifactMissing

UNKNOWN = "unknown"


class Selection(Artifact):
    """Which model version, where its files are, and by which digest they are known; or which endpoint."""

    filename = "selection.json"
    written_by = "ingest_model or registry_lookup"

    name: AnyName
    version: AnyName
    uri: str = Field(description="where the weights are: file:///…, s3://…, oci://…, pvc://…; an endpoint's address")
    digest: str = Field(
        pattern=r"^(sha256:[0-9a-f]{64})?$",
        description="over all files, see helpers.ingestion; empty for an endpoint, whose weights nobody knows",
    )
    model_format: str = "safetensors"
    license: str = "unknown"
    size_bytes: int = Field(ge=0)
    parameters: int | None = Field(default=None, description="number of weights, where known")
    registry: str = Field(description="address of the registry that these ids belong to")
    registered_model_id: str
    model_version_id: str
    model_artifact_id: str
    reason: str = Field(default="", description="why this version was selected")

    @property
    def label(self) -> str:
        """Name and version as plots and messages show them."""
        return f"{self.name} {self.version}"

    @property
    def is_endpoint(self) -> bool:
        """Whether this is an endpoint that exists, of which only address and name are known."""
        return not self.digest

    @model_validator(mode="after")
    def _weights_have_a_digest(self) -> Self:
        if self.is_endpoint and not self.uri.startswith(("http://", "https://", "imported:")):
            raise ValueError("digest: weights without one cannot be verified")
        return self

    def _run(self, folder: Path) -> str:
        return run.of_selection(folder, self.digest or f"{self.uri} {self.name}")


class Hardware(Contract):
    """What the engine ran on."""

    type: str = Field(description="accelerator, or the CPU's model name; unknown where nobody said")
    count: int | float = Field(
        gt=0, description="accelerators, or CPU cores that the engine may use: 0.5 for half a one"
    )
    memory_gib: float | None = Field(default=None, gt=0, description="None where it cannot be seen from here")

    def __str__(self) -> str:
        return self.type if self.type == UNKNOWN else f"{self.count} x {self.type}"


class Server(Contract):
    """Which very server answers: what becomes another when somebody replaces, restarts or changes it."""

    uid: str = Field(default="", description="of the InferenceService")
    generation: int = Field(default=0, ge=0, description="of the InferenceService; each change of its spec counts")
    pod: str = Field(default="", description="name of the pod that serves")
    pod_uid: str = ""
    image: str = Field(default="", description="that the pod's serving container runs, by digest")
    restarts: int = Field(default=0, ge=0, description="of the pod's serving container")
    pid: int = Field(default=0, ge=0, description="of the process on this machine")
    started: datetime | None = Field(default=None, description="start of the pod or the process")


class Endpoint(Artifact):
    """An OpenAI-compatible server that serves the selected version, and how to remove it."""

    filename = "endpoint.json"
    written_by = "deploy_model"

    target: Literal["local", "existing", "kserve", "imported"]
    url: str = Field(description="base address without /v1")
    model: str = Field(description="served model name")
    tokenizer: str = Field(
        description="folder with the tokenizer files, or a zip archive of them; empty where they are not known: token "
        "counts then come from the server's usage"
    )
    max_model_len: int = Field(gt=0, description="tokens")
    engine: str = "vllm"
    engine_version: str
    engine_args: tuple[str, ...] = ()
    hardware: Hardware
    kv_cache_gib: int | None = Field(default=None, gt=0, description="set for vLLM on a CPU, which no argument names")
    startup_seconds: float | None = Field(default=None, ge=0, description="None where the endpoint existed already")
    digest: str = Field(description="digest of the version that is served; empty where nobody knows the weights")
    digest_verified: bool = Field(
        description="whether signature and digests were verified before serving; false for an endpoint that existed"
    )
    verified_by: str = Field(default="", description="signed digest, or every byte, of which files and why")
    started: datetime
    expires: datetime | None = Field(default=None, description="when it removes itself")
    handle: str = Field(
        default="",
        description="what remove_deployment needs: a local process, or namespace/name of an InferenceService",
    )
    auth: Literal["key", "service-account"] = Field(
        default="key",
        description="what opens it: ENDPOINT_API_KEY where that is set, or the pod's own token; neither is kept here",
    )
    server: Server | None = Field(default=None, description="None where it existed already, and in files of before")
    settings: dict[str, Parameter] = Field(default={}, description="of deploy_model: by these it can be served again")

    @property
    def engine_options(self) -> list[list[str]]:
        """The engine's arguments in the order of their names, each with its own values: the order says nothing."""
        found: list[list[str]] = []
        for word in self.engine_args:
            if word.startswith("--") or not found:
                found.append([])
            found[-1].append(word)
        return sorted(found, key=lambda option: option[0])

    def tokenizer_folder(self) -> Path:
        """Return the absolute path of the folder with the tokenizer's files, unpacked here where they are packed.

        Raises ArtifactMissing where the endpoint has none.
        """
        if not self.tokenizer:
            raise ArtifactMissing(
                f"The tokenizer of {self.model} at {self.url} is not known",
                do="Measure what needs none, or serve a registered version",
            )
        path = Path(self.tokenizer)
        return (unpack_tokenizer(path) if path.suffix == ".zip" else path).resolve()

    def tokenizer_digest(self) -> str:
        """Return `sha256:…` over `tokenizer.json`, "" where there is none."""
        path = self.tokenizer_folder() / "tokenizer.json" if self.tokenizer else None
        return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}" if path and path.is_file() else ""
