"""Code that comes with a task finds no secret, imports nothing by accident, ends in time, and forges no result."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from helpers.errors import EvaluationFailed
from helpers.evaluation.lm_eval import evaluate
from helpers.runtime import sandbox
from helpers.runtime.workspace import ROOT
from tests.plugins.records import KNOWLEDGE

SECRETS = (
    "STORE_AWS_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY", "REGISTRY_TOKEN", "SIGNING_KEY", "HF_TOKEN",
    "OPENAI_API_KEY", "ENDPOINT_API_KEY", "GITHUB_TOKEN", "DATABASE_URL", "MINE",
)  # fmt: skip
FILES = ("home/.aws/credentials", "home/.docker/config.json", "home/.ssh/id_ed25519", "assay/keys/signing.pem", "token")
STAGE = """
import sys
from pathlib import Path
from helpers.artifacts import Endpoint
from helpers.evaluation.lm_eval import Settings, evaluate
folder, questions = Path(sys.argv[1]), Path(sys.argv[2])
settings = Settings(include_path=questions, num_concurrent=2, batch_size=8)
print(evaluate(settings, Endpoint.read(folder), folder).n)
"""
SEARCH = Path(__file__).with_name("searching.py").read_text()


def attack(questions, code):
    """Append an attacker's code to the task's."""
    path = questions / "questions.py"
    path.write_text(f"{path.read_text()}\n{code}\n")


@pytest.fixture(params=["namespaces", "Landlock"])
def programs(request):
    """PATH as it is, and without `unshare`, as in a pod that may have no namespaces."""
    found = os.environ["PATH"] if request.param == "namespaces" else str(Path(sys.executable).parent)
    assert bool(shutil.which("unshare", path=found)) == (request.param == "namespaces")
    return found


def test_nothing_is_found_by_code_that_searches_everything(programs, server, endpoint, questions, tokenizer, tmp_path):
    server.key = "canary-of-ENDPOINT_API_KEY"
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"canary-of-{path.name}\n")
    (questions / "control.txt").write_text("canary-of-control\n")
    attack(questions, f"PLACES = ('/', {str(tmp_path)!r}, {str(questions)!r}, '/run', '/var')\n{SEARCH}")
    artifacts = tmp_path / "artifacts"
    served = shutil.copytree(tokenizer, tmp_path / "assay" / "models" / "served")  # beside the keys
    endpoint(tokenizer=str(served)).write(artifacts)
    canaries = {name: f"canary-of-{name}" for name in SECRETS}
    known = {"HOME": str(tmp_path / "home"), "ASSAY_HOME": str(tmp_path / "assay"), "PYTHONPATH": str(ROOT)}
    known |= {"HF_TOKEN_PATH": str(tmp_path / "token"), "PATH": programs}
    done = subprocess.run(
        [sys.executable, "-c", STAGE, str(artifacts), str(questions)],
        env=canaries | known, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["10"], done.stderr
    said = (artifacts / KNOWLEDGE.log).read_text()
    assert "SEARCHED" in said
    found = {line for line in said.splitlines() if line.startswith("FOUND")}
    assert found == {f"FOUND {questions / 'control.txt'} b'control'"}


@pytest.mark.parametrize("namespaces", [True, False])
def test_no_file_of_the_machine_can_be_changed(
    namespaces, server, settings, endpoint, questions, tmp_path, monkeypatch
):
    monkeypatch.setattr(sandbox, "available", lambda: namespaces)
    mine = tmp_path / "mine.txt"
    mine.write_text("as it was")
    rows = (questions / "ops_assistant.jsonl").read_bytes()
    wanted = [str(path) for path in (mine, questions / "ops_assistant.jsonl", ROOT / "helpers" / "x.py")]
    attack(
        questions,
        f"for path in {wanted}:\n    try:\n        open(path, 'w').write('changed')\n    except OSError:\n        pass",
    )
    assert evaluate(settings(), endpoint(), tmp_path / "artifacts").n == 10
    assert mine.read_text() == "as it was"
    assert (questions / "ops_assistant.jsonl").read_bytes() == rows
    assert not (ROOT / "helpers" / "x.py").exists()


@pytest.mark.parametrize("namespaces", [True, False])
def test_only_the_way_to_the_model_is_open(namespaces, server, settings, endpoint, questions, tmp_path, monkeypatch):
    monkeypatch.setattr(sandbox, "available", lambda: namespaces)
    port = int(server.url.rpartition(":")[2])  # the model's own, past who adds the key and counts
    attack(
        questions,
        "import socket, sys\n"
        f"try:\n    socket.create_connection(('127.0.0.1', {port}))\n    print('CONNECTED', file=sys.stderr)\n"
        "except PermissionError:\n    print('REFUSED', file=sys.stderr)\n",
    )
    artifacts = tmp_path / "artifacts"
    assert evaluate(settings(), endpoint(), artifacts).n == 10
    said = (artifacts / KNOWLEDGE.log).read_text()
    assert ("REFUSED" in said, "CONNECTED" in said) == (True, False)


@pytest.mark.parametrize("name", ["random", "json", "datasets", "numpy", "sitecustomize"])
def test_a_file_named_like_a_module_is_not_imported(name, server, settings, endpoint, questions, tmp_path, monkeypatch):
    (questions / f"{name}.py").write_text("raise SystemExit('taken for another module')\n")
    monkeypatch.chdir(questions)
    monkeypatch.setenv("PYTHONPATH", str(questions))
    assert evaluate(settings(), endpoint(), tmp_path / "artifacts").n == 10


def test_a_task_that_never_ends_is_ended(server, settings, endpoint, questions, tmp_path):
    attack(questions, "while True:\n    pass")
    with pytest.raises(EvaluationFailed, match="after 2 s, the time limit"):
        evaluate(settings(time_limit=2), endpoint(), tmp_path / "artifacts")
    assert server.prompts == []


def test_a_task_that_takes_all_memory_is_ended(server, settings, endpoint, questions, tmp_path):
    attack(questions, "held = []\nwhile True:\n    held.append(bytes(range(256)) * 2**16)")
    with pytest.raises(EvaluationFailed, match=r"more than 1\.5 GiB of memory, the limit"):
        evaluate(settings(memory_limit=1.5), endpoint(), tmp_path / "artifacts")
    assert server.prompts == []


def test_an_end_without_a_result_is_a_failure_and_an_older_one_is_not_returned(
    server, settings, endpoint, questions, tmp_path
):
    artifacts = tmp_path / "artifacts"
    evaluate(settings(), endpoint(), artifacts)
    attack(questions, "import os\nos._exit(0)")
    with pytest.raises(EvaluationFailed, match="left no knowledge"):
        evaluate(settings(), endpoint(digest="sha256:" + "b" * 64), artifacts)


@pytest.mark.parametrize("how", ["os.symlink(secret, path)", "os.link(secret, path)", "os.mkfifo(path)"])
def test_a_link_in_place_of_a_result_leads_nowhere(how, server, settings, endpoint, questions, tmp_path):
    secret = tmp_path / "secret.json"
    secret.write_text('{"assay": "canary"}')
    attack(
        questions,
        "import os, sys\n"
        "left = sys.argv[sys.argv.index('--output') + 1]\n"
        f"secret = {str(secret)!r}\n"
        "for name in ('knowledge.lm_eval.json', 'knowledge.samples.jsonl', 'answers.jsonl'):\n"
        "    path = os.path.join(left, name)\n"
        "    if os.path.exists(path):\n        os.unlink(path)\n"
        f"    try:\n        {how}\n    except OSError:\n        pass\n"
        "os._exit(0)",
    )
    artifacts = tmp_path / "artifacts"
    with pytest.raises(EvaluationFailed):
        evaluate(settings(), endpoint(), artifacts)
    assert not [path for path in artifacts.rglob("*") if path.is_file() and b"canary" in path.read_bytes()]


@pytest.mark.parametrize("line", ["{", '{"kind": "annotations"}', '{"kind": "os", "what": 1, "do": 2}', "[]"])
def test_a_forged_failure_is_none_of_ours(line, server, settings, endpoint, questions, tmp_path):
    attack(questions, f"import os\nprint('FAILURE ' + {line!r}, flush=True)\nos._exit(7)")
    with pytest.raises(EvaluationFailed, match="exit code 7"):
        evaluate(settings(), endpoint(), tmp_path / "artifacts")


def test_who_has_no_password_gets_nothing_through_the_way_to_the_model(server):
    import httpx

    from helpers.evaluation.forwarding import forwarded

    server.key = "sesame"
    asked = {"model": "scripted", "prompt": "a", "echo": True}
    with forwarded(server.url, "sesame") as way:
        url = f"{way.url}/v1/completions"
        for headers in ({}, {"Authorization": "Bearer sesame"}, {"Authorization": f"bearer {way.token}"}):
            assert httpx.post(url, json=asked, headers=headers).status_code == 401
        own = {"Authorization": f"Bearer {way.token}"}
        assert httpx.post(url, json=asked, headers=own).status_code == 200
        for path in ("/metrics", "/v1/load_lora_adapter", "/v1/completions/../models", "/v1//completions"):
            assert httpx.post(f"{way.url}{path}", json=asked, headers=own).status_code in (404, 405), path
    with pytest.raises(httpx.ConnectError):
        httpx.post(url, json=asked)


def test_a_server_that_tells_its_key_tells_it_nobody(server):
    import httpx

    from helpers.evaluation.forwarding import forwarded

    server.chat = lambda body: "the key sesame-1234 has no quota"
    with forwarded(server.url, "sesame-1234") as way:
        own = {"Authorization": f"Bearer {way.token}"}
        answer = httpx.post(f"{way.url}/v1/chat/completions", json={"messages": []}, headers=own)
    assert answer.status_code == 400
    assert "has no quota" in answer.text
    assert "sesame" not in answer.text


MODELSCAN = """
import json, sys
from pathlib import Path
from helpers.ingestion.inspection import second_opinion
second_opinion.SCRIPT = Path(sys.argv[1], "taken_over.py")
print(json.dumps([[found.file, found.problem] for found in second_opinion.ask_modelscan(Path(sys.argv[1]), ["a"])]))
"""
ANSWERING = """
sys.stderr.seek(0)
print(json.dumps([[line, "high", "x"] for line in sys.stderr.read().splitlines()]))
"""


def test_modelscan_taken_over_by_a_file_finds_nothing_either(programs, tmp_path):
    model = tmp_path / "assay" / "quarantine" / "model"  # beside the keys
    model.mkdir(parents=True)
    (model / "a").write_text("canary-of-control\n")
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"canary-of-{path.name}\n")
    places = f"PLACES = ('/', {str(tmp_path)!r}, {str(model)!r}, '/run', '/var')\n"
    text = f"import io, json, sys\nsys.stderr = io.StringIO()\n{places}{SEARCH}{ANSWERING}"
    (model / "taken_over.py").write_text(text)
    known = {"HOME": str(tmp_path / "home"), "ASSAY_HOME": str(tmp_path / "assay"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", MODELSCAN, str(model)],
        env={name: f"canary-of-{name}" for name in SECRETS} | known | {"PATH": programs},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    found = {name for name, _ in json.loads(done.stdout) if "FOUND" in name}
    assert found == {f"FOUND {model / 'a'} b'control'"}, done.stdout


@pytest.mark.parametrize(
    ("namespaces", "landlock", "told"),
    [(True, True, ""), (False, True, "reads its own files only"), (False, False, "can read the files and processes")],
)
def test_what_the_wall_lacks_here_is_told(namespaces, landlock, told, monkeypatch, tmp_path):
    monkeypatch.setattr(sandbox, "available", lambda: namespaces)
    monkeypatch.setattr(sandbox, "can_fence", lambda: landlock)
    assert told in sandbox.lacking()
    assert bool(sandbox.lacking()) == bool(told)
    command = sandbox.walled([sys.executable, "-c", ""], tmp_path)
    assert bool({"unshare", str(sandbox.FENCE)} & set(command)) == (namespaces or landlock)
