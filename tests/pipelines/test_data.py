"""A user's own data, of a use case that is not the shipped one: it reaches the nodes, or nothing starts."""

from __future__ import annotations

import json
import shutil
from contextlib import chdir
from pathlib import Path

import pytest

from helpers.datasets import arrival, load_prompts, stated
from helpers.errors import InvalidParameter
from helpers.evaluation.lm_eval.settings import Settings
from helpers.evaluation.lm_eval.tasks import check_task
from helpers.local import pipelines
from helpers.pipelines import Pipeline, submitting
from helpers.pipelines.data import gather, hand_on
from helpers.pipelines.values import check_values
from helpers.runtime.workspace import ROOT
from tests.plugins import cheap, harness
from tests.plugins.stores import KEYS, Bucket

ENGINEER = Pipeline("ai-engineer")
MAILS = "betreff;text\nRechnung;Wo bleibt meine Rechnung?\nZugang;Ich komme nicht mehr ins Portal.\n"
TASK = """
task: kundendienst
dataset_path: json
dataset_kwargs:
  data_files: {test: daten/fragen.jsonl}
test_split: test
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: choices
doc_to_target: answer
"""
QUESTIONS = [
    {"question": "Wer hilft bei Rechnungen?", "choices": ["Buchhaltung", "Technik"], "answer": 0},
    {"question": "Wer hilft beim Zugang?", "choices": ["Buchhaltung", "Technik"], "answer": 1},
]


@pytest.fixture
def own(tmp_path):
    """A folder outside the workspace with mails as CSV and a task whose data lie in a folder below it."""
    folder = tmp_path / "Kundendienst März"
    (folder / "aufgabe" / "daten").mkdir(parents=True)
    (folder / "mails.csv").write_text(MAILS, encoding="utf-8")
    (folder / "aufgabe" / "task.yaml").write_text(TASK)
    rows = "".join(json.dumps(row) + "\n" for row in QUESTIONS)
    (folder / "aufgabe" / "daten" / "fragen.jsonl").write_text(rows, encoding="utf-8")
    (folder / "preise.yaml").write_text("date: 2026-11-01\nsource: us\ncurrency: EUR\nper_hour: {'*': 7}\n")
    return folder


def given(own, **changes):
    return {
        "PROMPTS": str(own / "mails.csv"),
        "TASK": "kundendienst",
        "INCLUDE_PATH": str(own / "aufgabe"),
        "PRICES": str(own / "preise.yaml"),
        "USE_CASE": "kundendienst",
    } | changes


def read_as_the_stages_do(values):
    """What the measuring stages read from the working directory."""
    prompts = load_prompts(Path(arrival.located("PROMPTS", values["PROMPTS"])))
    folder = arrival.located("INCLUDE_PATH", values["INCLUDE_PATH"])
    task = check_task(Settings(task=values["TASK"], include_path=folder))
    return [row.prompt for row in prompts], task.name


def test_what_is_outside_the_workspace_is_placed_beside_the_notebooks_under_the_name_that_the_value_has(own, tmp_path):
    data = check_values(ENGINEER, given(own))
    data.copy(tmp_path / "notebooks")
    shutil.rmtree(own)
    with chdir(tmp_path / "notebooks"):
        prompts, task = read_as_the_stages_do(data.values)
    assert prompts == ["Wo bleibt meine Rechnung?", "Ich komme nicht mehr ins Portal."]
    assert task == "kundendienst"
    assert (tmp_path / "notebooks" / data.values["PRICES"]).read_text().endswith("{'*': 7}\n")
    assert data.of({"TASK"}).keys() == {"TASK", "PROMPTS", "INCLUDE_PATH", "PRICES"}


def test_data_above_the_include_path_come_along(own, tmp_path):
    shutil.move(own / "aufgabe" / "daten", own / "daten")
    data = check_values(ENGINEER, given(own))
    data.copy(tmp_path / "notebooks")
    shutil.rmtree(own)
    with chdir(tmp_path / "notebooks"):
        assert read_as_the_stages_do(data.values)[1] == "kundendienst"


def test_what_lies_in_datasets_keeps_its_name(monkeypatch):
    monkeypatch.chdir("/")
    for prompts in ("datasets/ops-assistant/prompts.jsonl", str(ROOT / "datasets" / "ops-assistant" / "prompts.jsonl")):
        data = check_values(ENGINEER, {"PROMPTS": prompts})
        assert data.values["PROMPTS"] == "datasets/ops-assistant/prompts.jsonl"
        assert data.renamed == ({"PROMPTS"} if prompts.startswith("/") else set())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda own: (own / "mails.csv").unlink(), "PROMPTS: there is no file"),
        (lambda own: (own / "mails.csv").write_text("betreff\nnur das\n"), "line 1, field prompt"),
        (lambda own: (own / "aufgabe" / "daten" / "fragen.jsonl").unlink(), "fragen.jsonl"),
        (lambda own: (own / "aufgabe" / "task.yaml").write_text("task: ["), "task.yaml"),
        (lambda own: (own / "preise.yaml").write_text("date: 2026-01-01\n"), "PRICES: "),
        (lambda own: (own / "preise.yaml").write_bytes(b"\xff"), "PRICES: "),
        (lambda own: shutil.rmtree(own / "aufgabe"), "INCLUDE_PATH: there is no folder"),
    ],
)
def test_what_the_stages_would_refuse_is_refused_before_anything_starts(own, spoil, said):
    spoil(own)
    with pytest.raises(InvalidParameter) as refused:
        check_values(ENGINEER, given(own))
    assert said in refused.value.what


def test_all_of_it_is_refused_at_once(own):
    (own / "mails.csv").write_text("text\n \n")
    (own / "preise.yaml").write_text("[]")
    (own / "aufgabe" / "task.yaml").write_text(TASK.replace("{{question}}", "{{frage}}"))
    with pytest.raises(InvalidParameter) as refused:
        check_values(ENGINEER, given(own, ACCESS="public", MODL_NAME="x"))
    for name in ("PROMPTS", "PRICES", "ACCESS", "MODL_NAME", "TASK"):
        assert name in refused.value.what
    assert refused.value.what.count("frage'") == 1


def test_faults_name_the_users_own_paths(own):
    (own / "mails.csv").write_text("text\n \n")
    (own / "preise.yaml").write_text("[]")
    rows = own / "aufgabe" / "daten" / "fragen.jsonl"
    whole = {"question": "?", "choices": ["a", "b"]}
    rows.write_text(f"{{\n{json.dumps(whole)}\n{json.dumps(whole | {'answer': 0})}\n", encoding="utf-8")
    with pytest.raises(InvalidParameter) as refused:
        check_values(ENGINEER, given(own))
    for path in (own / "mails.csv", own / "preise.yaml", rows):
        assert str(path) in refused.value.what
    assert "given/" not in refused.value.what
    assert "assay-data-" not in refused.value.what
    for line in ("line 1: not a JSON object", "line 2, field answer"):
        assert line in refused.value.what, "one line that cannot be read hides no other"


@pytest.fixture
def folder(own):
    """The same data as a use case, whose task lies beside its folder."""
    made = own / "fall"
    made.mkdir()
    (own / "mails.csv").rename(made / "mails.csv")
    (made / "use-case.yaml").write_text("""\
name: kundendienst
description: Fragen von Kunden
workloads:
  chat: {prompts: mails.csv}
evaluations:
  knowledge: {tier: accuracy, evaluator: lm_eval, task: kundendienst, include_path: ../aufgabe}
""")
    return made


def measured(value):
    """What the measuring stages read of a use case from the working directory."""
    prompts = Path(stated.workload(value, "chat", prompts="auto")["prompts"])
    task = check_task(Settings(**stated.evaluation(value, "knowledge", task="auto")))
    return [row.prompt for row in load_prompts(prompts)], task.name, stated.label(value)


ARRIVED = (["Wo bleibt meine Rechnung?", "Ich komme nicht mehr ins Portal."], "kundendienst", "kundendienst")


def test_a_use_case_from_elsewhere_comes_along_with_all_that_it_names(own, folder, tmp_path):
    data = check_values(ENGINEER, {"USE_CASE": str(folder)})
    data.copy(tmp_path / "notebooks")
    shutil.rmtree(own)
    with chdir(tmp_path / "notebooks"):
        assert measured(data.values["USE_CASE"]) == ARRIVED
    assert data.renamed == {"USE_CASE"}


def test_the_shipped_use_cases_keep_their_names():
    for pipeline, name, files in (
        (ENGINEER, "ops-assistant", {"ops-assistant"}),
        (Pipeline("model-ops"), "baseline", {"baseline", "ops-assistant"}),
    ):
        data = check_values(pipeline, {"USE_CASE": name})
        assert not data.renamed
        assert {Path(file).parts[:2] for file in data.files["USE_CASE"]} == {("datasets", each) for each in files}


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "mails.csv").unlink(), "use-case.yaml:4: workloads.chat.prompts"),
        (lambda folder: (folder / "mails.csv").write_text("betreff\nnur das\n"), "mails.csv, line 1, field prompt"),
        (lambda folder: (folder / "../aufgabe/daten/fragen.jsonl").unlink(), "fragen.jsonl"),
        (lambda folder: (folder / "use-case.yaml").write_text("name: ["), "use-case.yaml:1: the file: is not YAML"),
        (lambda folder: (folder / "use-case.yaml").unlink(), "there is no use-case.yaml in"),
    ],
)
def test_a_use_case_that_would_be_refused_is_refused_before_anything_starts(folder, spoil, said):
    spoil(folder)
    with pytest.raises(InvalidParameter) as refused:
        check_values(ENGINEER, {"USE_CASE": str(folder)})
    assert said in refused.value.what
    assert refused.value.what.count(said) == 1
    assert str(folder.parent) in refused.value.what


def test_the_first_stage_hands_a_use_case_on(folder, tmp_path):
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "later").mkdir()
    data = check_values(ENGINEER, {"USE_CASE": str(folder)})
    data.copy(tmp_path / "notebooks")
    with chdir(tmp_path / "notebooks"):
        hand_on(data.values["USE_CASE"], "auto", "auto", "auto")
    shutil.move(tmp_path / "notebooks" / "artifacts", tmp_path / "later" / "artifacts")
    with chdir(tmp_path / "later"):
        assert measured(data.values["USE_CASE"]) == ARRIVED


def test_the_first_stage_refuses_a_use_case_that_did_not_arrive(tmp_path):
    with chdir(tmp_path), pytest.raises(InvalidParameter, match=r"datasets/kundendienst/use-case\.yaml"):
        hand_on("kundendienst", "auto", "auto", "auto")


def test_too_much_to_travel_is_refused(own, monkeypatch):
    monkeypatch.setattr(arrival, "MOST_BYTES", 1 << 10)
    (own / "aufgabe" / "model.bin").write_bytes(b"x" * 2000)
    faults = []
    gather(given(own), faults)
    assert len(faults) == 1
    assert faults[0].startswith("INCLUDE_PATH: ")


def test_a_submission_whose_data_are_wrong_sends_nothing(own, pipelines_api, runtime, s3_bucket):
    (own / "mails.csv").write_text("text\n")
    with pytest.raises(InvalidParameter, match="PROMPTS"):
        submitting.submit(runtime, ENGINEER, given(own), say=lambda line: None)
    assert not s3_bucket.keys()
    assert not pipelines_api.requests


CHECK = """
import json, os, pathlib
from helpers.pipelines.data import hand_on
hand_on(*(os.environ[name] for name in ("USE_CASE", "PROMPTS", "TASK", "INCLUDE_PATH")))
for name in ("selection.json", "shortlist.csv"):
    pathlib.Path("artifacts", name).write_text("{}")
"""
DEPLOY = """
import pathlib
for name in ("endpoint.json", "tokenizer.zip"):
    pathlib.Path("artifacts", name).write_text("{}")
"""
SWEEP = """
import json, os, pathlib
from helpers.datasets import load_prompts, stated
from helpers.datasets.arrival import located
prompts = located("PROMPTS", os.environ["PROMPTS"])
found = stated.workload(os.environ["USE_CASE"], "chat", prompts=prompts)
rows = load_prompts(pathlib.Path(found["prompts"]))
pathlib.Path("artifacts/chat.json").write_text(json.dumps([row.prompt for row in rows]))
for name in ("chat.guidellm.json", "chat.repeats.json", "chat.guidellm.html"):
    pathlib.Path("artifacts", name).touch()
"""
EVALUATE = """
import json, os, pathlib
from helpers.datasets import stated
from helpers.datasets.arrival import located
from helpers.evaluation.lm_eval.settings import Settings
from helpers.evaluation.lm_eval.tasks import check_task
folder = located("INCLUDE_PATH", os.environ["INCLUDE_PATH"])
found = stated.evaluation(os.environ["USE_CASE"], "knowledge", task=os.environ["TASK"], include_path=folder)
task = check_task(Settings(**found))
pathlib.Path("artifacts/knowledge.json").write_text(json.dumps(task.name))
for name in ("knowledge.lm_eval.json", "knowledge.samples.jsonl"):
    pathlib.Path("artifacts", name).touch()
"""
CELLS = {"registry_lookup": CHECK, "deploy_model": DEPLOY, "guidellm_sweep": SWEEP, "lm_eval_task": EVALUATE}


@pytest.fixture
def run_in_pods(write_runtime, s3_bucket, image_environment, tmp_path):
    """Compile with these values and run the first four nodes, in pods that have only what arrived."""
    runtime = write_runtime("http://127.0.0.1:9", s3_bucket)
    store = {"AWS_ACCESS_KEY_ID": KEYS["ACCESS_KEY_ID"], "AWS_SECRET_ACCESS_KEY": KEYS["SECRET_ACCESS_KEY"]}
    data = store | {
        "AWS_S3_ENDPOINT": s3_bucket.endpoint, "AWS_DEFAULT_REGION": KEYS["REGION"], "AWS_S3_BUCKET": s3_bucket.name
    }  # fmt: skip
    signing = dict.fromkeys(("SIGNING_KEY", "SIGNING_PUBLIC_KEY"), "not used")
    measuring = dict.fromkeys(("MEASURING_KEY", "MEASURING_PUBLIC_KEY"), "not used")
    secrets = {
        "pipelines-store": store, "assay-store": data, "assay-signing": signing, "assay-measuring": measuring,
    }  # fmt: skip
    pods = harness.Pods(lambda name: image_environment("stage"), secrets)

    def run(values, changed=None):
        version = cheap.compiled("ai-engineer", s3_bucket, tmp_path / "compiled", runtime, values, **CELLS)
        tasks = version.tasks()[:4]
        for task in tasks:
            task.retries = 0
        return harness.execute(version, pods, tmp_path / "pods", changed or {}, tasks)

    return run


def written(tasks, name):
    return json.loads((tasks[-1].folder / "artifacts" / name).read_text())


def told(tasks):
    return "\n".join(f"{task.name}: {task.state} {task.message}" for task in tasks)


def test_in_pods_the_measuring_stages_find_the_users_data(own, run_in_pods):
    tasks = run_in_pods(given(own))
    assert [task.state for task in tasks] == ["SUCCEEDED"] * 4, told(tasks)
    assert written(tasks, "chat.json") == ["Wo bleibt meine Rechnung?", "Ich komme nicht mehr ins Portal."]
    assert written(tasks, "knowledge.json") == "kundendienst"


def test_in_pods_the_measuring_stages_find_a_use_case_from_elsewhere(folder, run_in_pods):
    tasks = run_in_pods({"USE_CASE": str(folder)})
    assert [task.state for task in tasks] == ["SUCCEEDED"] * 4, told(tasks)
    assert (written(tasks, "chat.json"), written(tasks, "knowledge.json")) == ARRIVED[:2]


def test_in_pods_a_use_case_is_fetched_from_the_store(own, folder, run_in_pods, s3_bucket: Bucket, monkeypatch):
    (own / "aufgabe").rename(folder / "aufgabe")
    (folder / "use-case.yaml").write_text((folder / "use-case.yaml").read_text().replace("../", ""))
    for path in folder.rglob("*"):
        if path.is_file():
            s3_bucket.put(f"own/fall/{path.relative_to(folder)}", path.read_bytes())
    for name, value in (KEYS | {"ENDPOINT": s3_bucket.endpoint}).items():
        monkeypatch.setenv(f"STORE_AWS_{name}", value)
    tasks = run_in_pods({"USE_CASE": f"{s3_bucket.uri}/own/fall"})
    assert [task.state for task in tasks] == ["SUCCEEDED"] * 4, told(tasks)
    assert (written(tasks, "chat.json"), written(tasks, "knowledge.json")) == ARRIVED[:2]


def test_in_pods_data_are_fetched_from_the_store(own, run_in_pods, s3_bucket: Bucket, monkeypatch):
    s3_bucket.put("own/mails.csv", MAILS.encode())
    for path in (own / "aufgabe").rglob("*"):
        if path.is_file():
            s3_bucket.put(f"own/aufgabe/{path.relative_to(own / 'aufgabe')}", path.read_bytes())
    for name, value in (KEYS | {"ENDPOINT": s3_bucket.endpoint}).items():
        monkeypatch.setenv(f"STORE_AWS_{name}", value)
    stored = {"PROMPTS": f"{s3_bucket.uri}/own/mails.csv", "INCLUDE_PATH": f"{s3_bucket.uri}/own/aufgabe"}
    tasks = run_in_pods(given(own, **stored))
    assert [task.state for task in tasks] == ["SUCCEEDED"] * 4, told(tasks)
    assert written(tasks, "knowledge.json") == "kundendienst"
    with pytest.raises(InvalidParameter, match=r"PROMPTS: .*not in the store"):
        check_values(ENGINEER, given(own, PROMPTS=f"{s3_bucket.uri}/own/nowhere.csv"))


def test_what_the_canvas_cannot_bring_ends_the_run_before_a_gpu_is_taken(own, run_in_pods):
    tasks = run_in_pods({}, {"PROMPTS": "datasets/kundendienst/mails.csv"})
    states = {task.name: task.state for task in tasks}
    assert states["registry_lookup"] == "FAILED"
    assert states["deploy_model"] != "SUCCEEDED"
    assert "PROMPTS: there is no file datasets/kundendienst/mails.csv" in told(tasks)


def test_the_first_stage_says_all_that_is_wrong(own, tmp_path):
    (own / "mails.csv").write_text("text\n \n")
    (own / "aufgabe" / "daten" / "fragen.jsonl").unlink()
    with chdir(tmp_path), pytest.raises(InvalidParameter) as refused:
        hand_on("label", str(own / "mails.csv"), "kundendienst", str(own / "aufgabe"), tmp_path / "artifacts")
    assert "PROMPTS: " in refused.value.what
    assert "INCLUDE_PATH: " in refused.value.what
    assert not (tmp_path / "artifacts" / arrival.PACKED).exists()


def test_a_folder_of_data_may_be_a_link_to_one_elsewhere(own, tmp_path):
    here = tmp_path / "workbench"
    here.mkdir()
    (here / "linked").symlink_to(own)
    with chdir(here):
        hand_on("label", "linked/mails.csv", "kundendienst", "linked/aufgabe")
        assert (here / "artifacts" / arrival.PACKED).exists()


def test_on_one_machine_the_run_has_its_own_copy(own, tmp_path, monkeypatch):
    monkeypatch.setattr(pipelines, "run_elyra", lambda *_: None)
    folder = tmp_path / "run"
    folder.mkdir()
    notebooks = pipelines.run("ai-engineer", folder, given(own))
    shutil.rmtree(own)
    drawn = json.loads((folder / "pipelines" / "ai-engineer.pipeline").read_text())["pipelines"][0]["nodes"]
    values = [node["app_data"]["component_parameters"]["env_vars"] for node in drawn]
    with chdir(notebooks):
        given_to = {item["env_var"]: item["value"] for own in values for item in own}
        assert read_as_the_stages_do(given_to)[1] == "kundendienst"
