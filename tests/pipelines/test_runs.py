"""Runs in pods: what each keeps for itself, and what is left of it however it ends. Real Elyra, cheap notebooks."""

from __future__ import annotations

import json
import threading

import pytest

from tests.plugins import cheap, harness
from tests.plugins.stores import KEYS

STORE = {"AWS_ACCESS_KEY_ID": KEYS["ACCESS_KEY_ID"], "AWS_SECRET_ACCESS_KEY": KEYS["SECRET_ACCESS_KEY"]}
SECRETS = {
    "pipelines-store": STORE,
    "assay-store": STORE | dict.fromkeys(("AWS_S3_ENDPOINT", "AWS_DEFAULT_REGION", "AWS_S3_BUCKET"), "not used"),
    "assay-signing": dict.fromkeys(("SIGNING_KEY", "SIGNING_PUBLIC_KEY"), "not used"),
}
SELECT = """
import json, os, pathlib
pathlib.Path("artifacts").mkdir()
for name in ("selection.json", "shortlist.csv"):
    pathlib.Path("artifacts", name).write_text(json.dumps({"model": os.environ["MODEL_NAME"]}))
"""
READ = """
import json, os, pathlib
read = json.loads(pathlib.Path("artifacts/selection.json").read_text())["model"]
"""
HAND_ON = (
    READ
    + """
for name in ("endpoint.json", "tokenizer.zip"):
    pathlib.Path("artifacts", name).write_text(json.dumps({"model": read}))
"""
)


@pytest.fixture
def pods(image_environment):
    """Every node runs in the light image: no notebook here measures anything."""
    return harness.Pods(lambda name: image_environment("stage"), SECRETS)


@pytest.fixture
def draw(write_runtime, s3_bucket, tmp_path):
    """Compile a shipped pipeline whose nodes are cheap: name of the pipeline, one cell by node."""
    runtime = write_runtime("http://127.0.0.1:9", s3_bucket)
    return lambda name, **cells: cheap.compiled(name, s3_bucket, tmp_path / "compiled", runtime, **cells)


def told(tasks):
    logs = {task.name: task.log.read_text()[-3000:] if task.log else "" for task in tasks}
    return "\n".join(f"{task.name}: {task.state} {task.message}\n{logs[task.name]}" for task in tasks)


def uploaded(bucket, run):
    """What a run left in the bucket, by its name below the run's folder."""
    found = [key for key in bucket.keys() if f"/{run}/" in key]  # noqa: SIM118, not a dict
    return {key.partition(f"/{run}/")[2]: key for key in found}


def test_two_runs_of_one_version_at_once_end_each_with_its_own_model(draw, pods, tmp_path, s3_bucket):
    # The second nodes wait for each other: both runs have written their selection before either reads it again.
    meet = f"""{HAND_ON}
import time
meeting = pathlib.Path("{tmp_path}")
(meeting / f"{{os.environ['ELYRA_RUN_NAME']}}.here").touch()
while len(list(meeting.glob("*.here"))) < 2:
    time.sleep(0.1)
"""
    measure = READ + 'pathlib.Path("artifacts/sweep.json").write_text(json.dumps({"model": read}))\n'
    measure += 'for name in ("guidellm.json", "guidellm_repeats.json", "guidellm.html"):\n'
    measure += '    pathlib.Path("artifacts", name).touch()\n'
    version = draw("ai-engineer", registry_lookup=SELECT, deploy_model=meet, guidellm_sweep=measure)
    ended = {}

    def run(model):
        tasks = version.tasks()[:3]
        ended[model] = harness.execute(version, pods, tmp_path / f"run-{model}", {"MODEL_NAME": model}, tasks)

    threads = [threading.Thread(target=run, args=(model,)) for model in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for tasks in ended.values():
        assert [task.state for task in tasks] == ["SUCCEEDED"] * 3, told(tasks)
    files = {model: tasks[-1].folder / "artifacts" / "sweep.json" for model, tasks in ended.items()}
    assert {model: json.loads(file.read_text())["model"] for model, file in files.items()} == {
        "one": "one",
        "two": "two",
    }
    for model in ended:
        found = uploaded(s3_bucket, f"run-{model}")
        assert {"registry_lookup.ipynb", "deploy_model.html", "artifacts/sweep.json"} <= set(found)
        assert json.loads(s3_bucket.get(found["artifacts/sweep.json"])) == {"model": model}
