"""What a user does first: open model-ops, press Run, change nothing, and wait; here for the smallest sample model."""

import json

import pytest

from helpers.artifacts import Record
from helpers.ingestion.samples import SMALL, ensure_samples
from helpers.runtime.workspace import ROOT
from tests.plugins import canvas
from tests.plugins.browser import keep

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]
# The shipped defaults measure for minutes; that they do for the real model is shown by `make run`, in test_end_to_end.
BRIEF = {"SOURCE": "sample://ops-small", "MIN_REQUESTS": 10, "SWEEP_SIZE": 3, "REPEATS": 1}


def shorten(file):
    """Let the copy that is on the canvas measure less by default."""
    content = json.loads(file.read_text())
    parameters = content["pipelines"][0]["app_data"]["properties"]["pipeline_parameters"]
    known = {parameter["name"]: parameter for parameter in parameters}
    for name, value in BRIEF.items():
        known[name]["default_value"]["value"] = value
    file.write_text(json.dumps(content))


def test_model_ops_runs_from_the_canvas_with_real_servers(lab, page):
    ensure_samples(ROOT / ".assay" / "samples", [SMALL])
    (lab.home / "samples").symlink_to(ROOT / ".assay" / "samples")
    shorten(lab.root / "pipelines" / "model-ops.pipeline")
    canvas.open_canvas(page, lab.address("pipelines/model-ops.pipeline"), 6)
    dialog = canvas.run(page, "This machine")
    dialog.get_by_text("succeeded").or_(dialog.get_by_text("Error making request")).wait_for(timeout=1_500_000)
    keep(page, "run-dialog-model-ops")
    assert "succeeded" in dialog.inner_text()
    (folder,) = [path for path in (lab.root / "runs").iterdir() if not path.is_symlink()]
    record = Record.read(folder / "notebooks" / "artifacts")
    assert (record.selection.name, record.purpose) == ("ops-small", "baseline")
    assert record.evaluation.total == 208
    assert len(record.sweep.points) == BRIEF["SWEEP_SIZE"]
    assert sorted(path.stem for path in (lab.home / "processes").glob("*.json")) == ["registry"], "the server is gone"
