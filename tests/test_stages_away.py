"""Each stage goes on when the registry or the store goes away: with its first request, in the middle, with its last.

Two minutes are ten seconds here. tests/serving/test_away.py has the Kubernetes API, tests/pipelines a pod's own store.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from helpers import ingestion, load_test
from helpers.analysis import gate, loading
from helpers.artifacts import Endpoint, Selection, run
from helpers.datasets.criteria import load_criteria
from helpers.evaluation import lm_eval
from helpers.records import logbook, reuse
from helpers.registry import Constraints, connect
from tests.evaluation.conftest import questions
from tests.ingestion.clean import base
from tests.plugins.doors import Door, door
from tests.plugins.models import BASELINE, CRITERIA, POLICY
from tests.plugins.records import an_endpoint
from tests.plugins.registry import MEMORY, serving
from tests.plugins.stores import Bucket
from tests.records.reuse.conftest import NOWHERE, measured

__all__ = ["questions"]
pytestmark = [pytest.mark.load, pytest.mark.usefixtures("hurried")]
AWAY = 0.5  # seconds
STAGES = ("ingest_model", "registry_lookup", "log_results", "guidellm_sweep", "lm_eval_task", "compare_models", "gate")
MOMENTS: dict[str, Callable[[int], int]] = {"first": lambda n: 1, "middle": lambda n: (n + 1) // 2, "last": lambda n: n}


@dataclass
class World:
    """A registry and a bucket behind doors, and one model that goes through the stages."""

    doors: dict[str, Door]
    bucket: str
    folder: Path
    questions: Path
    requests: dict[str, dict[str, int]] = field(default_factory=dict)
    found: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.registry = connect(self.doors["registry"].address)
        self.known = reuse.Settings(registry=self.registry.address)
        self.load = load_test.Settings(scale=0.125, slo_ttft_ms=500)
        self.task = lm_eval.Settings(include_path=self.questions)

    def walk(self, who: str = "", moment: str = "", expected: dict[str, dict[str, int]] | None = None) -> None:
        """Run every stage; where `who` is named, that server is away from that request of each stage on."""
        for stage in STAGES:
            before = {name: each.requests for name, each in self.doors.items()}
            wanted = (expected or {}).get(stage, {}).get(who, 0)
            if wanted:
                self.doors[who].away(AWAY, "cut", after=MOMENTS[moment](wanted) - 1)
            self.found[stage] = getattr(self, stage)()
            self.requests[stage] = {name: each.requests - before[name] for name, each in self.doors.items()}

    def ingest_model(self) -> object:
        settings = ingestion.Settings(
            source=str(self.folder / "model"), model_name="ops", model_store=f"{self.bucket}/models", policy=POLICY
        )
        self.selection = ingestion.admit(ingestion.receive(settings), self.registry)
        self.registry.set_approval(self.selection.model_version_id, "approved", ["test"])
        return self.selection.digest

    def registry_lookup(self) -> object:
        chosen = self.registry.select(self.registry.shortlist(Constraints()))
        self.registry.confirm(chosen)
        return chosen.name, chosen.version, chosen.digest

    def log_results(self) -> object:
        self.endpoint = an_endpoint(self.selection, url=NOWHERE)
        return self._logged("first", self.selection, self.endpoint, share=0.6)

    def _logged(self, name: str, selection: Selection, endpoint: Endpoint, share: float) -> str:
        folder = self.folder / name
        measured(folder, selection, endpoint, self.load, self.task, share=share)
        criteria = self.folder / "criteria.yaml"
        criteria.write_text(BASELINE.read_text().replace("least: 100", "least: 10"))
        known = {"purpose": "baseline", "decide_approval": True, "policy": POLICY, "criteria": criteria}
        settings = logbook.Settings(store=f"{self.bucket}/results", **known)
        record = logbook.log(settings, self.registry, folder)
        record.write(folder)
        return record.approval.state

    def guidellm_sweep(self) -> object:
        taken = reuse.sweep(self.load, self.endpoint, self.known, self.folder / "taken", lambda _: None)
        return bool(taken.taken_from), taken.digest

    def lm_eval_task(self) -> object:
        taken = reuse.evaluate(self.task, self.endpoint, self.known, self.folder / "taken", lambda _: None)
        return bool(taken.taken_from), taken.correct

    def compare_models(self) -> object:
        comparison = loading.compare_all(self.registry, loading.Filter(purpose="baseline"), load_criteria(CRITERIA))
        return comparison.verdict, len(loading.load(comparison, self.registry))

    def gate(self) -> object:
        known = {"uri": "file:///m", "digest": "sha256:" + "b" * 64, "size_bytes": 1, "license": "apache-2.0"}
        second = self.registry.register_candidate("ops", "2.0.0", **known)
        self._logged("second", second, an_endpoint(second, url=NOWHERE), share=0.9)
        judgement = gate.hold(gate.Settings(criteria=CRITERIA), self.registry, self.folder / "second")
        return judgement.state, [check.name for check in judgement.checks]


@contextmanager
def a_world(folder: Path, bucket: Bucket, questions: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Make a world that knows nothing of others."""
    base(folder / "model")
    with serving(MEMORY) as server, door(server.address) as registry, door(bucket.endpoint) as store:
        monkeypatch.setenv("STORE_AWS_ENDPOINT", store.address)
        yield World({"registry": registry, "store": store}, f"{bucket.uri}/{folder.name}", folder, questions)


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("who", ["registry", "store"])
def test_every_stage_waits_and_loses_nothing(who, moment, tmp_path, questions, s3_bucket, monkeypatch):
    monkeypatch.setenv(run.VARIABLE, "a-run")
    with a_world(tmp_path / "usual", s3_bucket, questions, monkeypatch) as usual:
        usual.walk()
    with a_world(tmp_path / "away", s3_bucket, questions, monkeypatch) as away:
        away.walk(who, moment, usual.requests)
    assert away.found == usual.found
    assert usual.found["guidellm_sweep"] == (True, usual.found["ingest_model"])
    asked = [stage for stage in STAGES if usual.requests[stage][who]]
    assert away.doors[who].shut == len(asked)
    assert len(asked) >= 5
