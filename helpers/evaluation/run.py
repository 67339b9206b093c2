"""Build the command, run it as a child process, and read what it left."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from helpers import errors
from helpers.artifacts import Endpoint, Evaluation, now
from helpers.environment import without_secrets
from helpers.evaluation.results import LOG, read_results
from helpers.evaluation.settings import Settings
from helpers.evaluation.tasks import Task, check_task
from helpers.serving.client import access


def evaluate(
    settings: Settings,
    endpoint: Endpoint,
    folder: Path,
    *,
    known: Path | None = None,
    show: Callable[[str], object] = print,
) -> Evaluation:
    """Score the endpoint's model on the task; lm-eval's report and its per-question log are left in `folder`.

    What the file `known` answers (helpers.earlier.answers) is not asked.
    Raises UnknownTask, InvalidDataset and ArtifactMissing before anything starts, EndpointUnreachable, StoreFailed,
    IncompleteCoverage or EvaluationFailed after; answers that came before a failure stay in `folder`, and a second
    call goes on from there.
    """
    task = check_task(settings)
    started = now()
    run(settings, endpoint, folder, task=task, known=known, show=show)
    return read_results(settings, endpoint, folder, task=task, started=started)


def build_command(
    settings: Settings, endpoint: Endpoint, folder: Path, *, task: Task | None = None, known: Path | None = None
) -> list[str]:
    """Return the child's command line; it holds no secret."""
    command = [sys.executable, "-m", "helpers.evaluation.harness", "--task", settings.task]
    if settings.include_path:
        command += ["--include-path", str(settings.include_path.resolve())]
    if task is None or not task.local:
        command += ["--with-defaults"]
    command += [
        "--model",
        endpoint.model,
        "--url",
        endpoint.url.rstrip("/"),
        "--tokenizer",
        str(endpoint.tokenizer_folder()),
    ]
    command += ["--max-length", str(endpoint.max_model_len), "--output", str(folder.resolve())]
    command += [
        "--num-fewshot",
        str(settings.num_fewshot),
        "--limit",
        str(settings.limit),
        "--seed",
        str(settings.seed),
    ]
    command += ["--num-concurrent", str(settings.num_concurrent), "--batch-size", str(settings.batch_size)]
    command += ["--timeout", f"{settings.request_timeout:g}", "--same", _fingerprint(endpoint)]
    command += ["--known", str(known.resolve())] if known else []
    return command + (["--allow-partial"] if settings.allow_partial else [])


def _fingerprint(endpoint: Endpoint) -> str:
    """Name what must be the same for an earlier answer to count as this model's answer."""
    engine = [endpoint.engine, endpoint.engine_version, endpoint.engine_options, endpoint.max_model_len]
    return hashlib.sha256(json.dumps([endpoint.digest, endpoint.model, *engine]).encode()).hexdigest()[:16]


def run(
    settings: Settings,
    endpoint: Endpoint,
    folder: Path,
    *,
    task: Task | None = None,
    known: Path | None = None,
    show: Callable[[str], object] = print,
) -> None:
    """Run lm-eval in a process group of its own that never outlives this call; `show` gets a line every few seconds."""
    task = task or check_task(settings)
    _check_tokenizer(endpoint)
    folder.mkdir(parents=True, exist_ok=True)
    failure: dict[str, str] = {}
    with (
        access(endpoint.auth),
        tempfile.TemporaryDirectory(prefix="assay-datasets-") as cache,
        (folder / LOG).open("ab") as log,
    ):
        command = build_command(settings, endpoint, folder, task=task, known=known)
        with _child(command, _environment(task, Path(cache)), task.folder, log.fileno()) as lines:
            for line in lines:
                if line.startswith("FAILURE "):
                    failure = json.loads(line.removeprefix("FAILURE "))
                else:
                    show(line.rstrip())
    if failure:
        kind = getattr(errors, failure["kind"])
        raise kind(failure["what"], do=failure["do"])


def _check_tokenizer(endpoint: Endpoint) -> None:
    folder = endpoint.tokenizer_folder()
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise errors.ArtifactMissing(
            f"There is no tokenizer of {endpoint.model} in {folder}: no tokenizer.json, tokenizer.model or vocab.json",
            do="Put the model's tokenizer files there, or deploy the model with the folder that holds them",
        )


@contextlib.contextmanager
def _child(command: list[str], environment: dict[str, str], folder: Path | None, log: int) -> Iterator[Iterator[str]]:
    """Start the child, yield its lines, and end its whole process group whatever happens; raises EvaluationFailed."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        yield iter(process.stdout)
        if process.wait() not in (0, 3):
            raise errors.EvaluationFailed(
                f"lm-eval ended with exit code {process.returncode}; its last words: {_last_words(log)}",
                do=f"Read {LOG} beside evaluation.json, then run this stage again; it goes on from what was answered",
            )
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


def _last_words(log: int) -> str:
    with open(f"/proc/self/fd/{log}", "rb") as file:
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:400] if lines else "none"


def _environment(task: Task, cache: Path) -> dict[str, str]:
    """Return the child's environment: the endpoint's key under the name that lm-eval reads, and no one else's key.

    The code of a task is a stranger's; only a task whose data lies on a hub gets the hub's token.
    """
    environment = without_secrets(os.environ, keep=() if task.local else ("HF_TOKEN", "HF_TOKEN_PATH"))
    environment.pop("OPENAI_API_KEY", None)
    if key := os.environ.get("ENDPOINT_API_KEY"):
        environment["OPENAI_API_KEY"] = key
    root = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment |= {"PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false", "LMEVAL_LOG_LEVEL": "INFO"}
    if task.local:
        # A cache of its own, because the shared one keeps rows of an earlier version of the file.
        environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "HF_DATASETS_CACHE": str(cache)}
    return environment
