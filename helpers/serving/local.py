"""vLLM on this machine as a process that outlives the notebook and ends itself when its lifetime is over."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import subprocess
import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from pathlib import Path

from helpers.artifacts import Endpoint, Selection, Server, now
from helpers.errors import DeploymentFailed, TimedOut
from helpers.ingestion.policy import load_policy
from helpers.registry import AttachedRecord
from helpers.runtime import processes
from helpers.runtime.environment import endpoint_key, without_secrets
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT, home
from helpers.serving import arguments, client, diagnosis, histograms, targets
from helpers.serving.difference import Difference
from helpers.serving.files import BYTES, fitting, verified_folder
from helpers.serving.hardware import this_machine, whole_cores
from helpers.serving.settings import Settings


def deploy(selection: Selection, settings: Settings) -> Endpoint:
    """Start vLLM and wait until it answers; a server that this folder started for the same selection is taken over."""
    folder = verified_folder(selection, load_policy(settings.policy))
    settings = fitting(settings, folder)
    handle = _handle(selection, settings)
    if running := processes.find(handle):
        if client.healthy(running.url):
            print(f"{selection.label} already answers at {running.url}")
            running = processes.save(running.model_copy(update={"run": selection.run}))
            return _running(selection, settings, folder, running)
        processes.end(running)
    started = time.monotonic()
    running = _start(selection, settings, folder, handle)
    try:
        _wait(running, selection, settings)
    except BaseException:
        processes.end(running)
        raise
    running = processes.save(running.model_copy(update={"startup_seconds": round(time.monotonic() - started, 1)}))
    return _running(selection, settings, folder, running)


def planned(selection: Selection, settings: Settings, known: Collection[AttachedRecord]) -> Endpoint | None:
    """Return the endpoint as it will be, without an address, where a record has this engine and hardware; else None.

    Such a record's results are most likely taken over. Where they are not, `serving.ensure` starts the server.
    """
    engine = engine_version()
    alike = {"engine": f"vllm {engine}", "hardware": str(this_machine())}
    if not any(alike.items() <= record.summary.items() for record in known):
        return None
    folder = verified_folder(selection, load_policy(settings.policy))
    settings = fitting(settings, folder)
    handle = _handle(selection, settings)
    if processes.find(handle):
        return None
    print(f"{selection.label} was measured here before: its server starts when a stage has something to ask.")
    return _endpoint(selection, settings, folder, handle, engine)


def engine_version() -> str:
    """Return the version of the vLLM that would be started, "unknown" where there is none."""
    script = "from importlib.metadata import *; print(version(packages_distributions()['vllm'][0]))"
    kept = without_secrets(os.environ)
    done = subprocess.run([_python(), "-c", script], capture_output=True, text=True, timeout=60, env=kept)
    return done.stdout.strip() or "unknown"


def _python() -> Path:
    """Return the interpreter that has vLLM. Raises DeploymentFailed where there is none."""
    python = Path(os.environ.get("ASSAY_VLLM_PYTHON") or ROOT / ".venv-vllm" / "bin" / "python")
    if not python.exists():
        raise DeploymentFailed(f"There is no vLLM environment at {python}", do="Run make setup, or use TARGET existing")
    return python


def _handle(selection: Selection, settings: Settings) -> str:
    """Name the deployment after what it serves and who asked: a load test needs its server for itself."""
    identity = "\n".join([selection.digest, settings.model_dump_json(), str(Path.cwd())])
    readable = re.sub(r"[^A-Za-z0-9.]+", "-", f"{selection.name}-{selection.version}")
    return f"{readable}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"


def build_command(selection: Selection, settings: Settings, folder: Path, port: int, python: Path) -> list[str]:
    """Return the command; coreutils' timeout is the lifetime, so it holds when this process is long gone."""
    return [
        *("timeout", "--kill-after=10", str(settings.lifetime)),
        *(str(python), "-m", "vllm.entrypoints.openai.api_server", "--model", str(folder)),
        *("--served-model-name", selection.name, "--host", "127.0.0.1", "--port", str(port)),
        *("--max-model-len", str(settings.max_model_len), "--uvicorn-log-level", "warning"),
        *arguments.with_templates(settings.arguments),
        # What is counted, and how, changes nothing of what is served: no argument of the endpoint's record.
        *(histograms.arguments(settings.slo) if settings.slo and histograms.known(python) else ()),
    ]


def _start(selection: Selection, settings: Settings, folder: Path, handle: str) -> processes.Running:
    python = _python()
    port = settings.port or _free_port()
    log = home() / "logs" / f"{handle}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = build_command(selection, settings, folder, port, python)
    with log.open("wb") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            env=_environment(settings), start_new_session=True, cwd=log.parent,
        )  # fmt: skip
    return processes.save(
        processes.Running(
            handle=handle,
            pid=process.pid,
            created=processes.created(process.pid),
            url=f"http://127.0.0.1:{port}",
            log=log,
            started=now(),
            expires=now() + timedelta(seconds=settings.lifetime),
            run=selection.run,
            label=selection.label,
        )
    )


def _environment(settings: Settings) -> dict[str, str]:
    """Return the server's environment: the CPU build needs to be told so, and nothing may reach for a hub.

    Without multiprocessing vLLM computes in its engine's process, and starts one process less, which imports all of it
    once more. It then leaves the number of threads to us: a core stays free for what asks.
    """
    kept = {"OMP_NUM_THREADS": str(max(1, whole_cores() - 1)), **without_secrets(os.environ)}
    if key := endpoint_key():
        kept["VLLM_API_KEY"] = key
    return kept | {
        "VLLM_TARGET_DEVICE": "cpu",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "VLLM_CPU_KVCACHE_SPACE": str(settings.kv_cache_gib),
        "VLLM_NO_USAGE_STATS": "1",
        "HF_HUB_OFFLINE": "1",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(running: processes.Running, selection: Selection, settings: Settings) -> None:
    def ready() -> bool:
        if (code := processes.exit_code(running)) is not None:
            # A server that does not end politely is killed at the end of its lifetime, which looks like no memory.
            over = running.expires is not None and now() >= running.expires
            raise diagnosis.explain(running.log, diagnosis.LIFETIME_OVER if over else code, selection.label)
        return client.healthy(running.url)

    try:
        wait_for(
            ready, what=f"{running.url}/health", do="Read the log", timeout=settings.start_timeout,
            interval=0.25, progress=_Progress(selection.label),
        )  # fmt: skip
    except TimedOut as error:
        raise diagnosis.explain(running.log, None, selection.label) from error
    client.model_entry(running.url, selection.name)


class _Progress:
    """Prints a line every five seconds while vLLM starts."""

    def __init__(self, label: str) -> None:
        self.label, self.next = label, 0.0

    def __call__(self, waited: float) -> None:
        if waited >= self.next:
            print(f"vLLM starts for {self.label}: {waited:.0f} s", flush=True)
            self.next = waited + 5


def _running(selection: Selection, settings: Settings, folder: Path, running: processes.Running) -> Endpoint:
    endpoint = _endpoint(selection, settings, folder, running.handle, client.version(running.url))
    targets.write(running.handle, running.url, selection)
    fields = {"url": running.url, "startup_seconds": running.startup_seconds, "server": server(running)}
    return endpoint.model_copy(update={**fields, "started": running.started, "expires": running.expires})


def _endpoint(selection: Selection, settings: Settings, folder: Path, handle: str, engine: str) -> Endpoint:
    return Endpoint(
        target="local",
        url="",
        model=selection.name,
        tokenizer=str(folder),
        max_model_len=settings.max_model_len,
        engine_version=engine,
        engine_args=settings.arguments,
        hardware=this_machine(),
        kv_cache_gib=settings.kv_cache_gib,
        digest=selection.digest,
        digest_verified=True,
        verified_by=BYTES,
        started=now(),
        handle=handle,
    )


def server(running: processes.Running) -> Server:
    """Return what tells this very process from any other."""
    return Server(pid=running.pid, started=datetime.fromtimestamp(running.created, UTC))


def difference(handle: str, known: Server | None) -> Difference | None:
    """Return what became of a deployment, None where the same process runs."""
    if not (running := processes.find(handle)):
        return Difference(f"the process of {handle} has ended", gone=True)
    if known and server(running) != known:
        return Difference(f"{handle} is another process now", gone=True)
    return None


def remove(handle: str) -> str:
    """End the deployment and forget it; say in one sentence what happened."""
    targets.delete(handle)
    if not (running := processes.find(handle)):
        return f"{handle} is not running"
    processes.end(running)
    return f"{handle} at {running.url} is removed"


def remove_expired(at: datetime | None = None) -> list[str]:
    """End every deployment past its lifetime, and forget those that ended by themselves."""
    due = at or now()
    return [remove(item.handle) for item in processes.all_running() if item.expires and item.expires <= due]


def remove_owned(folder: Path, run: str | None = None) -> list[str]:
    """End every deployment that was started from `folder`, by that run where one is named; say what was removed.

    The folder counts because Elyra's local processor gives two runs that start in one second one id.
    """
    owned = [item for item in processes.all_running() if item.expires and item.owner == folder.resolve()]
    return [remove(item.handle) for item in owned if run in (None, item.run)]
