"""What must hold and what counts how much: one line per `measurement.metric`, for approval, gate and recommendation."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping
from difflib import get_close_matches
from math import inf, isfinite
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    PrivateAttr,
    ValidationInfo,
    field_validator,
    model_validator,
)

from helpers.artifacts.accuracy import COVERAGE
from helpers.artifacts.base import Contract
from helpers.artifacts.speed import BETTER
from helpers.errors import InvalidCriteria
from helpers.runtime.yaml_files import lines_of, read_yaml

FILE = "criteria.yaml"  # its name in a use case's folder
COST = "cost.per_thousand_requests"  # of the price table; the only line of no measurement
QUALITY, LATENCY = "knowledge.acc", "chat.ttft_p95_ms"  # what the shipped pipelines measure
NAME = re.compile(r"[A-Za-z0-9][\w-]*\.[A-Za-z0-9][\w@:/-]*")
BOUND = re.compile(r"(>=|<=)\s*(\d+(?:\.\d+)?|\.\d+)", re.ASCII)
NUMBER = re.compile(r"\d*\.?\d+", re.ASCII)
SHARE = re.compile(r"(\d+(?:\.\d+)?|\.\d+)\s*%", re.ASCII)
Kind = Literal["load_test", "evaluation", "cost"]
DEFAULT = Path("default")  # in place of a file, where a use case names none or is only a label
DEFAULTS: dict[str, dict[str, Any]] = {
    QUALITY: {"tolerance": 0.02, "weight": 4},
    LATENCY: {"tolerance": "10%", "weight": 1},
    "chat.itl_p95_ms": {"tolerance": "10%"},
    "chat.requests_per_second": {"tolerance": "10%", "weight": 1},
    COST: {"weight": 1},
}


def kind(name: str) -> Kind:
    """Return what a line speaks about: a figure of a load test, the score of an evaluation, or what a request costs."""
    if name == COST:
        return "cost"
    return "load_test" if name.partition(".")[2] in BETTER else "evaluation"


def better(name: str) -> Literal["higher", "lower"]:
    """Return which way is better for what a line speaks about."""
    return "lower" if name == COST else BETTER.get(name.partition(".")[2], "higher")


class Bound(NamedTuple):
    """What a value must be at least, or at most."""

    sign: Literal[">=", "<="]
    value: float

    def holds(self, value: float) -> bool:
        """Return whether a value is good enough."""
        return value >= self.value if self.sign == ">=" else value <= self.value

    def __str__(self) -> str:
        return f"{self.sign} {self.value:g}"


def _bound(given: Any, info: ValidationInfo) -> Bound:
    found = BOUND.fullmatch(given.strip()) if isinstance(given, str) else None
    if not found:
        raise ValueError('write ">= NUMBER" or "<= NUMBER", in quotes')
    bound = Bound(found[1], float(found[2]))  # type: ignore[arg-type]
    name = info.data.get("name", "")
    if not isfinite(bound.value):
        raise ValueError("no number is that large")
    if name and (kind(name) == "evaluation" or name.endswith(".slo_attainment")) and bound.value > 1:
        raise ValueError("it lies between 0 and 1")
    if name.endswith((".ttft_p95_ms", ".e2e_p95_ms")) and bound.value < 1:
        raise ValueError("it is in milliseconds: write 500 for half a second")
    if kind(name) == "load_test" and bound.sign != {"higher": ">=", "lower": "<="}[better(name)]:
        raise ValueError(f"{better(name)} is better here: turn the sign round")
    return bound


def _tolerance(given: Any, info: ValidationInfo) -> float:
    """Return the share that may be lost of a load test's figure, or how much of a score."""
    name, share = info.data.get("name", ""), SHARE.fullmatch(str(given).strip())
    if isinstance(given, bool) or not (share or isinstance(given, int | float)):
        raise ValueError("write 0.02 for a score, 10% for a figure of a load test")
    value = float(share[1]) / 100 if share else float(given)
    if bool(share) != (kind(name) == "load_test") and name:
        form = f"a score's is absolute: write {value:g}" if share else f"a load test's is relative: write {value:.0%}"
        raise ValueError(form)
    if not 0 < value < (inf if share and better(name) == "lower" else 1):
        raise ValueError("it is more than 0 and, of what can be lost, less than all")
    return value


class Criterion(Contract):
    """One line: what is asked of one metric of one measurement."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)
    name: str = Field(description="measurement.metric")
    must: Annotated[Bound | None, PlainValidator(_bound)] = Field(default=None, description="what is good enough")
    tolerance: Annotated[float | None, BeforeValidator(_tolerance)] = Field(
        default=None, description="what may be lost against a baseline: of a score absolute, else a share"
    )
    gain: float | None = Field(
        default=None,
        gt=-1,
        lt=1,
        description="what a tuned version must have gained over its parent; below 0: may lose",
    )
    margin: float = Field(default=0.0, ge=0, lt=1, description="smaller differences between versions do not matter")
    weight: float = Field(default=0.0, ge=0, allow_inf_nan=False, description="in the ranking")

    @model_validator(mode="before")
    @classmethod
    def _a_line(cls, given: Any) -> Any:
        name, said = given if isinstance(given, tuple) else ("", given)
        if not isinstance(said, dict) or not said:
            raise ValueError(_of_the_gate(name, said) or "write {must: …, tolerance: …, gain: …, margin: …, weight: …}")
        if isinstance(given, tuple) and "name" in said:
            raise ValueError("the line's name stands before the colon")
        return {**said, "name": name} if isinstance(given, tuple) else said

    @field_validator("name")
    @classmethod
    def _measurement_and_metric(cls, name: str) -> str:
        measurement, _, metric = name.partition(".")
        if "," in metric:
            raise ValueError(f"leave out the filter: {name.partition(',')[0]}")
        if not NAME.fullmatch(name):
            raise ValueError(f"a line is called measurement.metric, for example {QUALITY}")
        if measurement == "cost" and name != COST:
            raise ValueError(f"the only cost is {COST}")
        close = get_close_matches(metric, BETTER, 1, 0.8) if metric not in BETTER else []
        if close:
            raise ValueError(f"a load test has {close[0]}")
        return name

    @field_validator("must", "tolerance", "gain", "margin")
    @classmethod
    def _that_can_be_asked_of_it(cls, value: Any, info: ValidationInfo) -> Any:
        name = info.data.get("name", "")
        if kind(name) == "cost":
            raise ValueError("a cost can only have a weight: it comes from the price table, not from a measurement")
        if info.field_name == "margin" and kind(name) == "load_test":
            raise ValueError("a load test has none: it is compared by the noise between its repeats")
        if info.field_name == "gain" and value is not None and kind(name) == "load_test":
            raise ValueError("tuning changes no speed: only a score can gain")
        return value

    @property
    def measurement(self) -> str:
        """The measurement's name alone."""
        return self.name.partition(".")[0]

    @property
    def metric(self) -> str:
        """The metric's name alone."""
        return self.name.partition(".")[2]

    @property
    def only_of_tuned(self) -> bool:
        """Whether it asks something of tuned versions alone."""
        return self.gain is not None and not self.must and self.tolerance is None and not self.weight

    @property
    def kind(self) -> Kind:
        """What the line speaks about."""
        return kind(self.name)


class Criteria(Contract):
    """One file, validated."""

    model_config = ConfigDict(extra="allow", strict=True)
    __pydantic_extra__: dict[str, Criterion]
    coverage: float = Field(default=COVERAGE, gt=0, le=1, description="share of the questions that must be answered")
    planned_questions: int = Field(
        default=0, ge=0, description="of each evaluation, where questions are added and versions compared on the way"
    )
    least: int = Field(default=1, ge=1, description="answered questions of each evaluation that an approval needs")
    _digest: str = PrivateAttr(default="")
    _places: dict[str, str] = PrivateAttr(default={})
    _default: bool = PrivateAttr(default=False)

    @model_validator(mode="before")
    @classmethod
    def _named(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        return {name: said if name in cls.model_fields else (str(name), said) for name, said in given.items()}

    @property
    def lines(self) -> tuple[Criterion, ...]:
        """The lines, in the file's order."""
        return tuple(self.__pydantic_extra__.values())

    @property
    def weights(self) -> dict[str, float]:
        """What counts in the ranking, by the line's name.

        Raises InvalidCriteria where nothing does, or figures of two evaluations or of two load tests do.
        """
        found = {line.name: line.weight for line in self.lines if line.weight}
        for what in ("evaluation", "load_test"):
            lines = [line for line in self.lines if line.weight and line.kind == what]
            if len({line.measurement for line in lines}) > 1:
                told = "; ".join(f"{self.place(line.name)}: {line.name} has a weight" for line in lines)
                one = what.replace("_", " ")
                raise InvalidCriteria(
                    f"{told}: versions are ranked by one {one}",
                    do="Leave the weight out of the others; their musts count all the same",
                )
        return found or self._refuse("weight", f"{QUALITY}: {{weight: 4}}")

    @property
    def ranked(self) -> set[str]:
        """The measurements by which versions are ranked, as far as the lines with a weight name them."""
        return {line.measurement for line in self.lines if line.weight and line.kind != "cost"}

    @property
    def deciding(self) -> frozenset[str]:
        """The names of the measurements that a `must` is about."""
        return frozenset(line.measurement for line in self.musts)

    @property
    def musts(self) -> tuple[Criterion, ...]:
        """The lines with a `must`."""
        return tuple(line for line in self.lines if line.must)

    @property
    def tolerances(self) -> tuple[Criterion, ...]:
        """The lines with a tolerance. Raises InvalidCriteria where there is none."""
        found = tuple(line for line in self.lines if line.tolerance is not None)
        return found or self._refuse("tolerance", f"{QUALITY}: {{tolerance: 0.02}}")

    @property
    def gains(self) -> tuple[Criterion, ...]:
        """The lines that say what tuning must gain."""
        return tuple(line for line in self.lines if line.gain is not None)

    def margin(self, measurement: str) -> float:
        """Return what difference in an evaluation's score would not change a choice."""
        found = [line.margin for line in self.lines if line.kind == "evaluation" and line.measurement == measurement]
        return max(found, default=0.0)

    @property
    def default(self) -> bool:
        """Whether these are no user's: of what was not measured they ask nothing, and any score is the quality."""
        return self._default

    @property
    def digest(self) -> str:
        """`sha256:` and the SHA-256 of the file, recorded with every decision by it."""
        return self._digest

    def require(self, measured: Collection[str]) -> None:
        """Refuse the lines that are about nothing that was measured, all at once. Raises InvalidCriteria."""
        if self._default:
            return
        asked = [line.name for line in self.lines if line.kind != "cost" and not line.only_of_tuned]
        if wrong := [name for name in asked if name not in measured]:
            told = "; ".join(f"{self.place(name)}: nothing measures {name}" for name in wrong)
            close = dict.fromkeys(each for name in wrong for each in get_close_matches(name, measured, 1, 0.5))
            meant = f" (did you mean {', '.join(close)}?)" if close else ""
            raise InvalidCriteria(f"{told}{meant}. There is {', '.join(measured)}", do="Correct or remove the line")

    def about(self, names: Collection[str]) -> None:
        """Refuse lines about measurements of other names. Raises InvalidCriteria."""
        wrong = [line.name for line in self.lines if line.kind != "cost" and line.measurement not in names]
        if wrong:
            told = "; ".join(f"{self.place(name)}: nothing measures {name}" for name in wrong)
            raise InvalidCriteria(f"{told}. There is {', '.join(names)}", do="Correct or remove the line")

    def place(self, name: str) -> str:
        """Return file and line of one of the lines."""
        return self._places.get(name, FILE)

    def _refuse(self, field: str, example: str) -> Any:
        raise InvalidCriteria(
            f"{self._places.get('', FILE)}: no line has a {field}", do=f"Write {example}, for example"
        )


def load_criteria(path: Path) -> Criteria:
    """Return what a YAML file asks, or what is asked by DEFAULT.

    Raises InvalidCriteria with file, line and field of all that is wrong.
    """
    if path == DEFAULT:
        criteria = Criteria.model_validate(DEFAULTS)
        criteria._default = True
        return criteria
    given = {"missing": "Give CRITERIA the use case's file", "repair": "Repair the criteria"}
    criteria, data = read_yaml(path, Criteria, InvalidCriteria, **given)
    criteria._digest = "sha256:" + hashlib.sha256(data).hexdigest()
    criteria._places = {"": str(path), **{name: f"{path}:{line}" for name, line in lines_of(data).items()}}
    return criteria


# What stood elsewhere before there were criteria, and the line that says it now.
PARAMETERS = {
    "MIN_ACCURACY": QUALITY + ': {{must: ">= {}"}}',
    "MARGIN": QUALITY + ": {{margin: {}}}",
    "QUALITY_WEIGHT": QUALITY + ": {{weight: {}}}",
    "LATENCY_WEIGHT": LATENCY + ": {{weight: {}}}",
    "COST_WEIGHT": COST + ": {{weight: {}}}",
    "GATE_POLICY": QUALITY + ": {{tolerance: 0.02}}",
}
THRESHOLDS = {
    "min_accuracy": QUALITY + ': {{must: ">= {}"}}',
    "max_ttft_p95_ms": LATENCY + ': {{must: "<= {}"}}',
}


def replaced(given: Mapping[str, str]) -> Iterator[str]:
    """Yield for each parameter of version 1 the line of the criteria that replaces it."""
    for name in (name for name in given if name in PARAMETERS):
        line = PARAMETERS[name].format(given[name] if NUMBER.fullmatch(given[name]) else "NUMBER")
        yield f"{name} is no parameter any more: write {line} into the {FILE} that CRITERIA names"


def lines_for(thresholds: Any) -> str:
    """Return the lines that say what a policy's `approval` said."""
    said = thresholds if isinstance(thresholds, dict) else {}
    lines = [line.format(said[name]) for name, line in THRESHOLDS.items() if said.get(name) is not None]
    return f"write {' and '.join(lines or [THRESHOLDS['min_accuracy'].format(0.5)])} into {FILE}"


def _of_the_gate(name: str, said: Any) -> str:
    """Return the line that says what one of the gate's tolerances said, "" where it is none."""
    if name not in ("accuracy", "ttft_p95_ms", "itl_p95_ms", "requests_per_second"):
        return ""
    if not isinstance(said, int | float):
        return "leave the line out"
    score, share = f"{QUALITY}: {{tolerance: {said:g}}}", f"chat.{name}: {{tolerance: {100 * said:g}%}}"
    return f"write {score if name == 'accuracy' else share}"
