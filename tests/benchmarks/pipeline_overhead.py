"""ai-engineer.pipeline on one model, divided by the same work with the bare tools by hand."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from model_registry import ModelRegistry

from helpers import ingestion
from helpers.local import pipelines, stack
from helpers.registry import connect
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT
from helpers.serving import client, local
from helpers.serving.settings import Settings
from tests.benchmarks.served import sample
from tests.plugins.models import POLICY, select

MODEL, BIN = "ops-small", Path(sys.executable).parent
PROMPTS = ROOT / "datasets" / "ops-assistant" / "prompts.jsonl"
SWEEP_SIZE, MAX_SECONDS = 4, 5
BY_TIME = {"SWEEP_SIZE": str(SWEEP_SIZE), "MAX_SECONDS": str(MAX_SECONDS), "MIN_REQUESTS": "1000000"}


def measure() -> list[dict[str, object]]:
    """Return the figure: both on the same machine, one after the other, the bare tools first."""
    folder = sample(MODEL)
    with tempfile.TemporaryDirectory(prefix="assay-overhead-") as home:
        os.environ["ASSAY_HOME"] = home
        address = stack.up()
        try:
            selection = _approved(folder, address)
            bare = _seconds(lambda: _by_hand(folder, Path(home), address))
            given = {"MODEL_NAME": selection, **BY_TIME}  # no load has enough answers: each ends by its time
            ours = _seconds(lambda: pipelines.run("ai-engineer", Path(home, "run"), given))
        finally:
            stack.down()
            del os.environ["ASSAY_HOME"]
    value = {"value": round(ours / bare, 3), "pipeline_seconds": round(ours, 1), "bare_seconds": round(bare, 1)}
    return [{"figure": "pipeline_overhead", **value}]


def _seconds(work) -> float:
    started = time.monotonic()
    work()
    return time.monotonic() - started


def _approved(folder: Path, address: str) -> str:
    registry = connect(address)
    selection = ingestion.ingest(ingestion.Settings(source=str(folder), model_name=MODEL, policy=POLICY), registry)
    registry.set_approval(selection.model_version_id, "approved", ["for the benchmark"])
    return MODEL


def _by_hand(folder: Path, home: Path, address: str) -> None:
    settings = Settings()
    port = local._free_port()
    url = f"http://127.0.0.1:{port}"
    command = local.build_command(
        select(folder, name=MODEL), settings, folder, port, ROOT / ".venv-vllm" / "bin" / "python"
    )
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    server = subprocess.Popen(command, env=local._environment(settings), start_new_session=True, **quiet)
    try:
        wait_for(lambda: client.healthy(url), what="vLLM", do="look", timeout=300, interval=0.25)
        offline = os.environ | {"HF_HUB_OFFLINE": "1"}
        subprocess.run(_guidellm(url, folder, home), check=True, env=offline, **quiet)
        subprocess.run(_lm_eval(url, folder, home), check=True, env=offline, **quiet)
        registry = ModelRegistry(address, author="by-hand", is_secure=False)
        registry.register_model(
            "by-hand", folder.as_uri(), version="1", model_format_name="safetensors", model_format_version="1"
        )
    finally:
        os.killpg(server.pid, 9)
        server.wait()


def _guidellm(url: str, folder: Path, home: Path) -> list[str]:
    return [
        *(str(BIN / "guidellm"), "run", "--backend", f"kind=openai_http,target={url},model={MODEL}"),
        *("--profile", f"kind=sweep,sweep_size={SWEEP_SIZE},max_concurrency=32"),
        *("--constraint", f"kind=max_duration,seconds={MAX_SECONDS}", "--tokenizer", f"kind=hf_auto,model={folder}"),
        *("--data", f"kind=json_file,path={PROMPTS}", "--output", f"kind=json,path={home}/bare.json"),
        *("--output", f"kind=html,path={home}/bare.html", "--disable-console-interactive"),
    ]


def _lm_eval(url: str, folder: Path, home: Path) -> list[str]:
    arguments = f"model={MODEL},base_url={url}/v1/completions,num_concurrent=8,tokenizer={folder}"
    return [
        *(str(BIN / "lm_eval"), "run", "--model", "local-completions", "--batch_size", "32"),
        *("--model_args", arguments + ",tokenizer_backend=huggingface", "--tasks", "ops_assistant"),
        *("--include_path", str(ROOT / "datasets" / "ops-assistant"), "--log_samples", "--output_path", str(home)),
    ]
