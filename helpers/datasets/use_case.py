"""A use case: a folder whose `use-case.yaml` says what there is to measure."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path, PurePath, PurePosixPath
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import (
    AfterValidator,
    AliasChoices,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)  # fmt: skip

from helpers.artifacts.dataset import Kind
from helpers.artifacts.names import SHORT, ShortName
from helpers.datasets.files import digest, files
from helpers.errors import InvalidDataset, InvalidParameter
from helpers.runtime.yaml_files import read_yaml
from helpers.storage import check_form

FILE = "use-case.yaml"
SAFE = SHORT
STORED = "s3://"

Name = ShortName
Tier = Literal["performance", "format", "accuracy", "tools", "safety", "application"]


def placed(folder: Path, name: str) -> Path:
    """Return where a name that the file in `folder` holds leads to."""
    return Path(os.path.normpath(folder / name))


def confined(folder: Path, paths: Iterable[Path]) -> None:
    """Refuse what a use case that was fetched names outside its folder. Raises InvalidDataset."""
    if outside := [str(path) for path in paths if not path.resolve().is_relative_to(folder.resolve())]:
        raise InvalidDataset(
            f"{folder / FILE}: {', '.join(outside)} lies outside the use case",
            do="Put it into the folder that is fetched",
        )


def _there(value: str, info: ValidationInfo, *, folder: bool) -> str:
    here = (info.context or {}).get("folder")
    if value.startswith(STORED):
        try:
            check_form(value)
        except InvalidParameter as error:
            raise ValueError(error.what) from error
    if value.startswith(STORED) or here is None:
        return value
    if Path(value).is_absolute() or value.startswith("~"):
        raise ValueError(f"{value} would not travel with the use case: name it from the use case's folder")
    path, there = placed(here, value), False
    with suppress(OSError):  # a name that is too long
        there = bool(value) and (path.is_dir() if folder else path.is_file())
    if not there:
        raise ValueError(f"there is no {'folder' if folder else 'file'} {value!r} from {here}")
    return value


def _file(value: str, info: ValidationInfo) -> str:
    return _there(value, info, folder=False)


def _folder(value: str, info: ValidationInfo) -> str:
    return _there(value, info, folder=True)


def _any(value: str, info: ValidationInfo) -> str:
    here = (info.context or {}).get("folder")
    return _there(value, info, folder=here is not None and placed(here, value).is_dir())


File = Annotated[str, AfterValidator(_file)]
Folder = Annotated[str, AfterValidator(_folder)]
Place = Annotated[str, AfterValidator(_any)]


class Part(BaseModel):
    """A part of the file; unknown fields are refused, and no value is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Objective(Part):
    """What the 95th percentiles have to meet; what is left out has no limit."""

    ttft_ms: float | None = Field(default=None, gt=0)
    itl_ms: float | None = Field(default=None, gt=0)
    e2e_ms: float | None = Field(default=None, gt=0)

    def settings(self) -> dict[str, Any]:
        """Return the settings of the load test; a limit that is left out is 0, which is none."""
        return {f"slo_{name}": value or 0 for name, value in self.model_dump().items()}


class Workload(Part):
    """What a load test sends, by the names of its settings, whose bounds hold here too."""

    prompts: File | None = Field(default=None, description="a file of prompts")
    workload: str | None = Field(default=None, validation_alias=AliasChoices("profile", "workload"),
                                 description="one of the catalog's workloads")  # fmt: skip
    slo: Objective | None = Field(default=None, description="in place of the use case's")
    scale: float | None = None
    api: str | None = None
    max_seconds: float | None = None
    min_requests: int | None = None
    max_requests: int | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.prompts is None) == (self.workload is None):
            raise ValueError("give either prompts or profile")
        return self

    def settings(self, slo: Objective | None = None) -> dict[str, Any]:
        """Return the settings that are given; `slo` is the use case's."""
        limits = self.slo or slo
        given = self.model_dump(exclude={"slo"}, exclude_none=True)
        kind = {"workload": "prompts"} if self.prompts else {}
        return kind | given | (limits.settings() if limits else {})


class Evaluation(Part):
    """What an evaluator asks, by the names of its settings, whose bounds hold here too."""

    places: ClassVar[tuple[str, ...]] = ("data",)  # fields that name a file or folder

    tier: Tier
    evaluator: str
    limit: int | None = None
    system_instruction: str | None = None

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file and folder that it names, from the use case's folder."""
        return tuple(value for name in self.places if (value := getattr(self, name)))

    @property
    def subject(self) -> str:
        """What is asked, as records and the registry name it."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """Return the settings that are given."""
        return self.model_dump(exclude={"tier", "evaluator"}, exclude_none=True)


class LmEval(Evaluation):
    """A task or group of lm-eval."""

    places = ("include_path",)

    evaluator: Literal["lm_eval"]
    task: str = Field(description="lm-eval's name of the task or group")
    include_path: Folder = Field(default=".", description="folder with the task's YAML, from the use case's folder")
    api: str | None = None
    num_fewshot: int | None = None
    gen_kwargs: str | None = None
    metric: str | None = None

    @property
    def subject(self) -> str:
        """The task."""
        return self.task


class OwnData(Evaluation):
    """Rows of a file that an evaluator of Assay's own asks."""

    evaluator: Literal["structured_output", "tool_calling"]
    data: File = Field(description="the rows, JSON lines")
    max_tokens: int | None = None

    @property
    def subject(self) -> str:
        """The file without its suffix."""
        return PurePosixPath(self.data).stem


class Garak(Evaluation):
    """Probes of garak."""

    places = ()

    evaluator: Literal["garak"]
    limit: None = Field(default=None, description="a scan takes none")
    system_instruction: None = Field(default=None, description="a scan takes none")
    probes: list[str] | None = Field(default=None, min_length=1, description="families, or family.Class")
    soft_probe_prompt_cap: int | None = None
    generations: int | None = None
    max_tokens: int | None = None

    @property
    def subject(self) -> str:
        """The tool: its probes are settings."""
        return self.evaluator


def suite_name(config: PurePath) -> str:
    """Return what a suite is called: its file's name, or its folder's where the file has promptfoo's usual one."""
    return config.parent.name if config.stem == "promptfooconfig" and config.parent.name else config.stem


class Suite(Evaluation):
    """A suite of promptfoo's, in a folder that holds all it names."""

    places = ("config",)

    evaluator: Literal["promptfoo"]
    config: File = Field(description="a promptfooconfig.yaml, in a folder of the use case")
    max_tokens: int | None = None
    grader_url: str | None = Field(default=None, description="of another model, which grades")
    grader_model: str | None = None

    @field_validator("config")
    @classmethod
    def _here(cls, value: str) -> str:
        if value.startswith(STORED):
            raise ValueError("a suite is a folder: bring it into the use case")
        return value

    @property
    def paths(self) -> tuple[str, ...]:
        """The folder of the configuration."""
        return (str(PurePosixPath(self.config).parent),)

    @property
    def subject(self) -> str:
        """The suite's name."""
        return suite_name(PurePosixPath(self.config))


EVALUATORS: dict[str, type[Evaluation]] = {
    "lm_eval": LmEval, "structured_output": OwnData, "tool_calling": OwnData, "promptfoo": Suite,
    "garak": Garak,
}  # fmt: skip


def _known(values: Any) -> Any:
    """Refuse an evaluator that there is not, with those that there are."""
    given = values.get("evaluator") if isinstance(values, dict) else None
    if given is not None and given not in EVALUATORS:
        raise ValueError(f"there is no evaluator {given}; there is {', '.join(EVALUATORS)}")
    return values


AnyEvaluation = Annotated[LmEval | OwnData | Suite | Garak, Field(discriminator="evaluator"), BeforeValidator(_known)]


class Training(Part):
    """What finetune_model tunes a model on, by the names of its settings, whose bounds hold here too."""

    _named: ClassVar[dict[str, str]] = {"data": "training_data", "batch_size": "train_batch_size"}

    data: File = Field(description="conversations, JSON lines")
    replay: File | None = Field(default=None, description="prompts whose answers by the parent are learned too")
    epochs: int | None = None
    learning_rate: float | None = None
    rank: int | None = None
    batch_size: int | None = None
    turns: int | None = None
    max_length: int | None = None
    seed: int | None = None

    def settings(self) -> dict[str, Any]:
        """Return the settings that are given, by the stage's names."""
        given = self.model_dump(exclude_none=True)
        return {self._named.get(name, name): value for name, value in given.items()}


class Explore(Part):
    """What explore_dataset looks at beside workloads and evaluations, and what may not be in the data."""

    questions: list[Place] = Field(default=[], description="of tasks whose own code reads them")
    examples: list[Place] = Field(default=[], description="worked examples that stand before a question")
    documents: list[Place] = Field(default=[], description="what models are trained on, or look answers up in")
    at_most: dict[Kind, Annotated[int, Field(ge=0)]] = Field(
        default={}, description="rows with a finding of a kind; more end the stage"
    )

    @property
    def paths(self) -> tuple[str, ...]:
        """Every file and folder that it names, from the use case's folder."""
        return (*self.questions, *self.examples, *self.documents)


class UseCase(Part):
    """What there is to measure: workloads for load tests, evaluations for answers, each under a name of its own."""

    name: Name
    description: str = Field(min_length=1)
    slo: Objective | None = None
    workloads: dict[Name, Workload] = Field(default_factory=dict)
    evaluations: dict[Name, AnyEvaluation] = Field(default_factory=dict)
    explore: Explore = Explore()
    criteria: File | None = None
    training: Training | None = None

    _folder: Path = PrivateAttr(default=Path())

    @field_validator("evaluations")
    @classmethod
    def _unique(cls, value: dict[str, Evaluation], info: ValidationInfo) -> dict[str, Evaluation]:
        if twice := sorted(value.keys() & info.data.get("workloads", {}).keys()):
            raise ValueError(f"{', '.join(twice)} is the name of a workload already")
        return value

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.workloads and not self.evaluations:
            raise ValueError("names neither a workload nor an evaluation")
        return self

    @property
    def folder(self) -> Path:
        """The folder that holds the file."""
        return self._folder

    @property
    def file(self) -> Path:
        """The file itself."""
        return self._folder / FILE

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all measurements."""
        return (*self.workloads, *self.evaluations)

    @property
    def paths(self) -> tuple[Path, ...]:
        """Everything on this machine that the file names, with the file itself."""
        named = [FILE, self.criteria, *(each.prompts for each in self.workloads.values())]
        named += [path for each in self.evaluations.values() for path in each.paths]
        named += [self.training.data, self.training.replay] if self.training else []
        named += self.explore.paths
        return tuple(dict.fromkeys(placed(self.folder, name) for name in named if name and not name.startswith(STORED)))

    def digests(self) -> dict[str, str]:
        """Return the digest of each file on this machine that the use case names, by its path from the folder."""
        found = [file for path in self.paths for file in (files(path) if path.is_dir() else [path])]
        return {Path(os.path.relpath(file, self.folder)).as_posix(): digest(file) for file in sorted({*found})}

    def workload(self, name: str) -> dict[str, Any]:
        """Return the load test's settings, paths from here. Raises InvalidDataset for another name."""
        return self._placed(self._named(self.workloads, "workload", name).settings(self.slo), ("prompts",))

    def evaluation(self, name: str) -> dict[str, Any]:
        """Return the evaluator's settings, paths from here. Raises InvalidDataset for another name."""
        found = self._named(self.evaluations, "evaluation", name)
        return self._placed(found.settings(), found.places)

    def tuning(self) -> dict[str, Any]:
        """Return the settings of finetune_model, paths from here. Raises InvalidDataset where there are none."""
        if not self.training:
            raise InvalidDataset(
                f"{self.file}: there is no training",
                do="Add training: {data: examples.jsonl}, as datasets/README.md says",
            )
        return self._placed(self.training.settings(), ("training_data", "replay"))

    def _named(self, among: Mapping[str, Any], kind: str, name: str) -> Any:
        if name not in among:
            raise InvalidDataset(
                f"{self.file}: there is no {kind} {name}, which a node measures; there is {', '.join(among) or 'none'}",
                do=f"Call one of them {name}, or give the node another NAME",
            )
        return among[name]

    def _placed(self, settings: dict[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
        given = {name: value for name in fields if (value := settings.get(name))}
        here = {name: value for name, value in given.items() if not value.startswith(STORED)}
        return settings | {name: str(placed(self.folder, value)) for name, value in here.items()}


def load_use_case(folder: Path) -> UseCase:
    """Return the use case of a folder. Raises InvalidDataset with file, line and field of all that is wrong."""
    use_case, _ = read_yaml(
        folder / FILE, UseCase, InvalidDataset, context={"folder": folder},
        missing="Make one with `make use-case NAME=…`, or correct the path",
        repair="Correct what is named; datasets/ops-assistant/use-case.yaml is an example",
    )  # fmt: skip
    use_case._folder = folder
    return use_case
