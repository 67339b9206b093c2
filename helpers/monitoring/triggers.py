"""Which alert starts a run: one for each pipeline, version and window, and a line in triggers.jsonl for each decision.

A run that was started measures. It deploys and approves nothing for anybody: the gate and a person decide.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from helpers.artifacts import Record
from helpers.artifacts.base import Contract, now, write_atomic
from helpers.artifacts.names import OWN, AnyName, OwnName
from helpers.artifacts.observation import Observation
from helpers.errors import InvalidInput
from helpers.runtime.account import in_pod
from helpers.runtime.locks import held
from helpers.runtime.workspace import home

FILE = "triggers.jsonl"
PIPELINES = ("regression", "fine-tune")  # that an alert may ask for; anything else is only written down
DRIFTED = "QualityDrifted"  # the one alert that is no rule of Prometheus
COOL_DOWN = 24 * 3600  # seconds in which a version is measured once
Decision = Literal["started", "exists", "cooling down", "only noted", "resolved"]


class Raised(Contract):
    """An alert that somebody raised: what, about which version, since when."""

    alert: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{0,80}$")
    model: AnyName
    version: AnyName
    use_case: OwnName = "ops-assistant"
    action: str = "notify"
    summary: str = Field(default="", max_length=1000)
    since: datetime
    firing: bool = True

    @property
    def cause(self) -> str:
        """The alert and its time, in characters that a parameter may have."""
        return f"{self.alert} since {self.since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"

    def window(self, seconds: float) -> str:
        """Return the id of pipeline, version and window of time: two causes in one window want one run."""
        begun = int(self.since.timestamp() // seconds * seconds)
        identity = "\n".join([self.action, self.model, self.version, self.use_case, str(begun)])
        return hashlib.sha256(identity.encode()).hexdigest()[:10]


class Trigger(Contract):
    """One line of triggers.jsonl: what was raised, by what, and what was decided."""

    at: datetime
    source: str
    raised: Raised
    decision: Decision
    run: str = Field(default="", description="that was started, or that stands in the way")


# Starts a pipeline for what was raised, unless a run of that name exists; returns the run and whether it is new.
Start = Callable[[Raised, str], tuple[str, bool]]


class Triggers:
    """Decides about what is raised, one after the other, and remembers it in a folder."""

    def __init__(self, folder: Path, start: Start, cool_down: float = COOL_DOWN) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.file, self.start, self.cool_down = folder / FILE, start, cool_down

    def take(self, raised: Iterable[Raised], source: str) -> list[Trigger]:
        """Decide about each alert, start what it asks for, and write each decision down; raises as `start` does."""
        with held(self.file.with_name(f".{FILE}.lock")):
            return [self._one(each, source) for each in raised]

    def _one(self, raised: Raised, source: str) -> Trigger:
        decision, run = self._decide(raised)
        line = Trigger(at=now(), source=source, raised=raised, decision=decision, run=run)
        with self.file.open("a", encoding="utf-8") as file:
            file.write(line.model_dump_json() + "\n")
        return line

    def _decide(self, raised: Raised) -> tuple[Decision, str]:
        if not raised.firing:
            return "resolved", ""
        named = (raised.model, raised.version)  # an endpoint's name may be none that a parameter takes
        if raised.action not in PIPELINES or not all(re.match(OWN, name) for name in named):
            return "only noted", ""
        known = (raised.action, raised.model, raised.version, raised.use_case)
        since = now() - timedelta(seconds=self.cool_down)
        for line in reversed(read(self.file)):
            before = line.raised
            if line.decision != "started" or line.at < since:
                continue
            if (before.action, before.model, before.version, before.use_case) == known:
                return "cooling down", line.run
        run, new = self.start(raised, f"{raised.action}-{raised.window(self.cool_down)}")
        return ("started" if new else "exists"), run


def read(file: Path) -> list[Trigger]:
    """Return the lines of triggers.jsonl, oldest first, [] where there is no file. Raises InvalidInput."""
    if not file.is_file():
        return []
    found = []
    for number, line in enumerate(file.read_text("utf-8").splitlines(), 1):
        try:
            found.append(Trigger.model_validate_json(line))
        except ValidationError as error:
            raise InvalidInput(f"{file}:{number} is no line of it", do="Remove the line, or the file") from error
    return found


def place(folder: Path) -> Path:
    """Return where decisions are remembered: on this machine beside Prometheus, in a pod in the run's own `folder`.

    There the Pipelines server knows which runs there are.
    """
    return folder if in_pod() else home() / "monitoring"


def hand_on(decided: Iterable[Trigger], folder: Path) -> list[str]:
    """Write this look's decisions as the run's own triggers.jsonl; return a sentence for each."""
    lines = list(decided)
    write_atomic(folder / FILE, "".join(f"{line.model_dump_json()}\n" for line in lines).encode())
    return [f"{line.raised.cause}: {line.decision} {line.run}".rstrip() for line in lines]


def of_observation(seen: Observation, record: Record, start: str, on_drift: str = "none") -> list[Raised]:
    """Return what an observation raises; what may not be started is only noted.

    `start` is what a rule may start, `on_drift` what canary answers below their limits may.
    """
    named = record.selection
    about: dict[str, Any] = {"model": named.name, "version": named.version, "use_case": record.use_case}
    raised = [
        Raised(
            alert=each.alert, action=each.action if each.action == start else "notify", summary=each.summary,
            since=each.since, **about,
        )
        for each in seen.fired
    ]  # fmt: skip
    canary = seen.canary
    if canary and canary.score < canary.low:
        told = (
            f"{canary.evaluation} scores {canary.score:.3f} on questions of which the record has {canary.expected:.3f}"
        )
        action = "notify" if on_drift == "none" else on_drift
        raised.append(Raised(alert=DRIFTED, action=action, summary=told, since=seen.ended, **about))
    return raised


def of_body(body: Any) -> list[Raised]:
    """Return what a webhook raises: Alertmanager's body (version 4), or the list that Prometheus itself posts.

    Prometheus says by `endsAt` when an alert ends unless it is posted again, which it is once a minute: an end that is
    past is a resolved alert. Raises InvalidInput for any other body.
    """
    try:
        given = body["alerts"] if isinstance(body, dict) else body
        ours = [each for each in given if {"model", "version"} <= each["labels"].keys()]
        return [_of_alert(each) for each in ours]
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        raise InvalidInput(f"The body is none of Alertmanager's or Prometheus': {error!r}", do="Post one") from error


def _of_alert(alert: dict[str, Any]) -> Raised:
    labels = alert["labels"]
    ended = datetime.fromisoformat(alert["endsAt"]) if alert.get("endsAt") else None
    over = alert.get("status") == "resolved" or ("status" not in alert and ended is not None and ended <= now())
    return Raised(
        alert=labels["alertname"], model=labels["model"], version=labels["version"],
        use_case=labels.get("use_case", "ops-assistant"), action=labels.get("action", "notify"),
        summary=str(alert.get("annotations", {}).get("summary", ""))[:1000],
        since=datetime.fromisoformat(alert["startsAt"]), firing=not over,
    )  # fmt: skip
