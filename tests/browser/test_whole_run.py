"""What a user does first: open model-ops, press Run, change nothing, and wait."""

import pytest

from helpers.artifacts import Record
from helpers.local.samples import ensure_samples
from helpers.workspace import ROOT
from tests.plugins import canvas
from tests.plugins.browser import keep

pytestmark = [pytest.mark.stack, pytest.mark.timeout(900)]


def test_model_ops_runs_from_the_canvas_with_real_servers(lab, page):
    ensure_samples(ROOT / ".assay" / "samples")
    (lab.home / "samples").symlink_to(ROOT / ".assay" / "samples")
    canvas.open_canvas(page, lab.address("pipelines/model-ops.pipeline"), 6)
    dialog = canvas.run(page, "This machine")
    dialog.get_by_text("succeeded").or_(dialog.get_by_text("Error making request")).wait_for(timeout=600_000)
    keep(page, "run-dialog-model-ops")
    assert "succeeded" in dialog.inner_text()
    (folder,) = (lab.root / "runs").iterdir()
    record = Record.read(folder / "notebooks" / "artifacts")
    assert (record.selection.name, record.purpose) == ("ops-small", "baseline")
    assert record.evaluation.total == 208
    assert record.sweep.points
    assert sorted(path.stem for path in (lab.home / "processes").glob("*.json")) == ["registry"], "the server is gone"
