"""A pipeline is run from the canvas's own Run dialog on this machine, and what it leaves is read in the browser."""

import json
import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from helpers import storage
from helpers.records import summaries, summary
from helpers.registry import connect
from tests.plugins import canvas
from tests.plugins.browser import SCREENSHOTS, keep, watched
from tests.plugins.records import a_record, some_samples, write_samples

pytestmark = pytest.mark.load

STAGE = "compare_models"
MODELS = (("ops-small", 0.55, 1), ("ops-large", 0.8, 3), ("ops-mid", 0.62, 4))  # share of right answers, slowness
VISIBLE = "n => [...document.querySelectorAll('.jp-OutputArea-output img')].filter(x => x.naturalWidth > 0).length == n"


def measured(address, store):
    """Put three measured versions into the registry."""
    registry = connect(address)
    for seed, (name, share, slowness) in enumerate(MODELS):
        folder = store / name
        folder.mkdir(parents=True)
        log = some_samples(share, seed=seed)
        record = a_record(name, samples=log, slowness=slowness)
        raw = {record.evaluation.samples: write_samples(log, folder / "samples.jsonl").as_uri()}
        record = record.model_copy(update={"raw": raw})
        uri = storage.put(record.model_dump_json().encode(), f"{folder.as_uri()}/record.json")
        made = registry.register_candidate(
            name, "1.0", uri="file:///x", digest=record.selection.digest, size_bytes=1000, license="apache-2.0"
        )
        registry.attach_record(made.model_version_id, record.record_id, uri, summary(record), summaries(record))


def last_stage(pipeline):
    """Leave the last node of a shipped pipeline: it reads what is there, and needs no server."""
    content = json.loads(pipeline.read_text())
    primary = content["pipelines"][0]
    primary["nodes"] = primary["nodes"][-1:]
    primary["nodes"][0]["inputs"][0].pop("links")
    primary["app_data"]["ui_data"]["comments"] = []
    return json.dumps(content)


@pytest.fixture(scope="module")
def reading(lab, tmp_path_factory):
    """A pipeline beside the shipped ones that compares three versions."""
    # Playwright's loop runs in this thread, the registry's client has its own.
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as aside:
        patch.setenv("ASSAY_HOME", str(lab.home))  # which holds the registry's token, and the keys
        aside.submit(measured, lab.registry, tmp_path_factory.mktemp("store")).result()
    file = lab.root / "pipelines" / "reading.pipeline"
    file.write_text(last_stage(lab.root / "pipelines" / "ai-engineer.pipeline"))
    return file


@pytest.fixture(scope="module")
def run(lab, chromium, reading):
    """The folder of a run that was started with the dialog, and the link that the dialog ended with."""
    complaints = []
    with watched(chromium, complaints) as context:
        page = canvas.open_canvas(context.new_page(), lab.address("pipelines/reading.pipeline"), 1)
        dialog = canvas.run(page, "This machine", TARGET_RATE="50")
        dialog.get_by_text("succeeded").or_(dialog.get_by_text("Error")).wait_for(timeout=300_000)
        keep(page, "run-dialog-end")
        assert "succeeded" in dialog.inner_text()
        link = dialog.get_by_role("link").get_attribute("href")
    assert complaints == []
    (folder,) = [path for path in (lab.root / "runs").iterdir() if not path.is_symlink()]
    return folder, link


def test_the_run_leaves_its_artifacts_and_the_users_notebooks_as_they_are(lab, run):
    folder, _ = run
    written = {path.name for path in (folder / "notebooks" / "artifacts").iterdir()}
    assert {"comparison.json", "decision.json", "comparison.png"} <= written
    decision = json.loads((folder / "notebooks" / "artifacts" / "decision.json").read_text())
    assert all((option["replicas"] or 0) > 1 for option in decision["options"]), (
        "the dialog's TARGET_RATE has reached the node"
    )
    assert (folder / "logs" / f"{STAGE}.log").is_file()
    cells = json.loads((lab.root / "notebooks" / f"{STAGE}.ipynb").read_text())["cells"]
    assert not any(cell.get("outputs") for cell in cells)


def test_the_executed_comparison_opens_with_its_figures(lab, run, page):
    folder, link = run
    assert link == f"/lab/tree/runs/{folder.name}/notebooks/{STAGE}.ipynb"
    cells = json.loads((folder / "notebooks" / f"{STAGE}.ipynb").read_text())["cells"]
    drawn = sum("image/png" in output.get("data", {}) for cell in cells for output in cell.get("outputs", ()))
    assert drawn > 2
    page.set_viewport_size({"width": 1800, "height": 1400})
    page.goto(f"{lab.url}{link.lstrip('/')}?token=t&reset")
    figures = page.locator(".jp-OutputArea-output img")
    figures.nth(drawn - 1).wait_for(state="attached")
    page.wait_for_function(VISIBLE, arg=drawn)
    figures.first.scroll_into_view_if_needed()
    keep(page, "executed-comparison")


def test_a_pipeline_that_fails_says_why_and_where_to_read(lab, run, page, complaints):
    file = lab.root / "pipelines" / "failing.pipeline"
    file.write_text((lab.root / "pipelines" / "reading.pipeline").read_text())
    canvas.open_canvas(page, lab.address(f"pipelines/{file.name}"), 1)
    dialog = canvas.run(page, "This machine", USE_CASE="nobodys", TASK="ops_assistant")
    dialog.get_by_text("nobodys").first.wait_for(timeout=120_000)
    keep(page, "run-dialog-error")
    (where,) = re.findall(r"Read the notebook in (runs/\d{8}-\d{6}-failing/notebooks)\.", dialog.inner_text())
    assert (lab.root / where / f"{STAGE}.html").is_file()
    assert all("/elyra/pipeline/schedule" in line and "500" in line for line in complaints)
    complaints.clear()


def test_a_value_that_a_stage_would_refuse_is_told_before_anything_runs(lab, page, complaints, reading):
    before = sorted((lab.root / "runs").glob("*"))
    canvas.open_canvas(page, lab.address(f"pipelines/{reading.name}"), 1)
    dialog = canvas.run(page, "This machine", TARGET_RATE="-7")
    dialog.get_by_text("TARGET_RATE is -7").first.wait_for(timeout=60_000)
    assert sorted((lab.root / "runs").glob("*")) == before
    complaints.clear()


def test_a_drawn_pipeline_runs_in_place(lab, page, reading):
    page.goto(lab.address("notebooks"))
    page.locator(".jp-LauncherCard").filter(has_text="Generic Pipeline Editor").click()
    page.get_by_role("button", name="Palette", exact=True).wait_for()
    canvas.drag(page, f"{STAGE}.ipynb")
    form = canvas.properties(page, STAGE)
    form.locator("select#root_component_parameters_runtime_image").select_option(label="Assay stage")
    canvas.badges(page).first.wait_for(state="detached")
    dialog = canvas.run(page, "Run in-place locally")
    dialog.get_by_text("Job execution succeeded").wait_for(timeout=300_000)
    assert (lab.root / "notebooks" / "artifacts" / "comparison.png").is_file()


def test_the_exported_report_needs_nothing_but_itself(run, page):
    folder, _ = run
    page.goto((folder / "notebooks" / "artifacts" / "report.html").as_uri())
    page.locator("img, svg").first.wait_for()
    assert page.locator("img").evaluate_all("all => all.filter(one => one.naturalWidth == 0).length") == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
    page.screenshot(path=SCREENSHOTS / "report.png", full_page=True)
