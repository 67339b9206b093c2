"""What one stage hands to the next: small versioned JSON files under `artifacts/`, written whole or not at all.

selection.json -> endpoint.json -> sweep.json + evaluation.json -> record.json
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from helpers.errors import ArtifactMissing, InvalidInput, StoreFailed

FOLDER = Path("artifacts")
Parameter = str | int | float | bool
Probability = Annotated[float, Field(ge=0, le=1)]


def now() -> datetime:
    """Return the current time in UTC."""
    return datetime.now(UTC)


def write_atomic(path: Path, data: bytes) -> Path:
    """Write `data` under a temporary name beside `path`, then rename; raise StoreFailed when the disk refuses."""
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except OSError as error:
        if temporary:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
        raise StoreFailed(
            f"Could not write {path}: {error.strerror or error}",
            do="Free some space or choose another folder, then run this stage again",
        ) from error
    return path


class Contract(BaseModel):
    """A frozen part of an artifact; unknown fields are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Artifact(Contract):
    """A file that one stage writes and a later one reads."""

    filename: ClassVar[str]
    written_by: ClassVar[str]
    schema_version: Literal[1] = 1

    def write(self, folder: Path = FOLDER) -> Path:
        """Write this artifact into `folder` under its fixed name and return the path."""
        return write_atomic(folder / self.filename, (self.model_dump_json(indent=2) + "\n").encode())

    @classmethod
    def read(cls, folder: Path = FOLDER) -> Self:
        """Read the artifact from `folder`; raises ArtifactMissing, or InvalidInput where it is malformed."""
        path = folder / cls.filename
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError as error:
            raise ArtifactMissing(f"{path} is not there", do=f"Run {cls.written_by} first") from error
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise InvalidInput(f"{path}, field {field}: {first['msg']}", do=f"Run {cls.written_by} again") from error


class Selection(Artifact):
    """Which model version, where its files are, and by which digest they are known."""

    filename = "selection.json"
    written_by = "ingest_model or registry_lookup"

    name: str
    version: str
    uri: str = Field(description="where the weights are: file:///…, s3://…, oci://…")
    digest: str = Field(pattern=r"^sha256:[0-9a-f]{64}$", description="over all files, see helpers.ingestion")
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


class Hardware(Contract):
    """What the engine ran on."""

    type: str = Field(description="accelerator, or the CPU's model name")
    count: int = Field(ge=1, description="accelerators, or CPU cores that the engine may use")
    memory_gib: float | None = Field(default=None, gt=0, description="None where it cannot be seen from here")


class Endpoint(Artifact):
    """An OpenAI-compatible server that serves the selected version, and how to remove it."""

    filename = "endpoint.json"
    written_by = "deploy_model"

    target: Literal["local", "existing", "kserve"]
    url: str = Field(description="base address without /v1")
    model: str = Field(description="served model name")
    tokenizer: str = Field(description="folder with the tokenizer files")
    max_model_len: int = Field(gt=0, description="tokens")
    engine: str = "vllm"
    engine_version: str
    engine_args: tuple[str, ...] = ()
    hardware: Hardware
    startup_seconds: float | None = Field(default=None, ge=0, description="None where the endpoint existed already")
    digest: str = Field(description="digest of the version that is served")
    digest_verified: bool = Field(
        description="whether the served files were hashed just before; false for an endpoint that existed"
    )
    started: datetime
    expires: datetime | None = Field(default=None, description="when it removes itself")
    handle: str = Field(
        default="", description="what remove_deployment needs: name of the local process or InferenceService"
    )


class Percentiles(Contract):
    """One distribution over successful requests."""

    mean: float
    p50: float
    p90: float
    p95: float
    p99: float


class SLO(Contract):
    """Service-level objective on the 95th percentile; None means not limited. All in milliseconds."""

    ttft_ms: float | None = Field(default=None, gt=0)
    itl_ms: float | None = Field(default=None, gt=0)
    e2e_ms: float | None = Field(default=None, gt=0)


class LoadPoint(Contract):
    """What GuideLLM measured under one strategy."""

    strategy: str
    rate: float | None = Field(description="requests/s asked for; None where the strategy sets no rate")
    concurrency: float = Field(ge=0, description="mean number of requests in flight")
    duration_seconds: float = Field(gt=0)
    successful: int = Field(ge=0)
    errored: int = Field(ge=0)
    incomplete: int = Field(ge=0)
    requests_per_second: float = Field(ge=0)
    output_tokens_per_second: float = Field(ge=0)
    ttft_ms: Percentiles | None
    itl_ms: Percentiles | None
    e2e_ms: Percentiles | None
    tps: Percentiles | None = Field(description="output tokens/s over time (GuideLLM's rate distribution)")
    mean_input_tokens: float = Field(ge=0)
    mean_output_tokens: float = Field(ge=0)
    slo_attainment: Probability | None = Field(default=None, description="share of requests that met the SLO")
    goodput: float | None = Field(default=None, ge=0, description="requests/s that met the SLO")
    meets_slo: bool
    limited_by_load_generator: bool = False


class PrefixCache(Contract):
    """vLLM's prefix cache over the whole sweep, from /metrics before and after, in tokens."""

    queries: float = Field(ge=0)
    hits: float = Field(ge=0)

    @property
    def hit_rate(self) -> float:
        """Share of looked-up tokens that were found, 0 where none was looked up."""
        return self.hits / self.queries if self.queries else 0.0

    def __str__(self) -> str:
        return f"prefix cache: {self.hit_rate:.1%} of looked-up tokens found"


class OperatingPoint(Contract):
    """The highest measured load that meets the SLO; `index` into the sweep's load points, None where none does."""

    index: int | None
    reason: str


class Sweep(Artifact):
    """GuideLLM's results and the operating point; the raw report stays beside it."""

    filename = "sweep.json"
    written_by = "guidellm_sweep"

    profile: str
    workload: str
    prompt_tokens: int | None = Field(description="asked for; None where prompts come from a file")
    output_tokens: int
    dataset_digest: str | None = None
    slo: SLO
    points: tuple[LoadPoint, ...]
    operating_point: OperatingPoint
    prefix_cache: PrefixCache | None
    warnings: tuple[str, ...] = ()
    report: str = Field(description="GuideLLM's JSON, beside this file")
    started: datetime
    ended: datetime
    versions: dict[str, str]
    settings: dict[str, Parameter]

    @property
    def chosen(self) -> LoadPoint | None:
        """The operating point's measurements, or None where no load met the SLO."""
        return None if self.operating_point.index is None else self.points[self.operating_point.index]


class Interval(Contract):
    """A two-sided confidence interval."""

    low: float
    high: float
    confidence: float = Field(gt=0, lt=1)
    method: str


class Evaluation(Artifact):
    """lm-eval's score with its uncertainty; the per-question log stays beside it."""

    filename = "evaluation.json"
    written_by = "lm_eval_task"

    task: str
    metric: str
    score: Probability
    interval: Interval
    n: int = Field(gt=0, description="questions that were answered")
    correct: int = Field(ge=0)
    failed: int = Field(ge=0, description="questions without an answer; never counted as wrong")
    total: int = Field(gt=0)
    num_fewshot: int = Field(ge=0)
    dataset_digest: str
    samples: str = Field(description="per-question log (JSON lines), beside this file")
    report: str = Field(description="lm-eval's results JSON, beside this file")
    started: datetime
    ended: datetime
    request_seconds: float = Field(ge=0)
    versions: dict[str, str]
    settings: dict[str, Parameter]


class Approval(Contract):
    """ModelOps' decision on a version and the reasons for it."""

    state: Literal["candidate", "approved", "rejected"]
    reasons: tuple[str, ...]


class Record(Artifact):
    """Everything about one measured version, joined; worth nothing without its circumstances."""

    filename = "record.json"
    written_by = "log_results"

    record_id: str = Field(
        pattern=r"^[0-9a-f]{16}$", description="digest of the content below: the same content, the same id"
    )
    purpose: Literal["baseline", "use-case"]
    use_case: str
    selection: Selection
    endpoint: Endpoint
    sweep: Sweep
    evaluation: Evaluation
    approval: Approval | None = None
    git_commit: str
    versions: dict[str, str]
    settings: dict[str, Parameter]
    raw: dict[str, str] = Field(description="raw file -> its URI in the store")


def jsonable(value: BaseModel) -> dict[str, Any]:
    """Return the model as plain JSON types."""
    return value.model_dump(mode="json")
