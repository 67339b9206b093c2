"""Build the command, run it as a child process, and read what it left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from helpers import errors, memory, partial
from helpers.artifacts import Endpoint, Evaluation, now
from helpers.environment import masked, without_secrets
from helpers.evaluation.confirming import Confirming
from helpers.evaluation.results import LOG, read_results
from helpers.evaluation.settings import Settings
from helpers.evaluation.tasks import Task, check_task
from helpers.serving.client import access

SHOWN_LINES = 30  # of the log, where the child fails


def evaluate(
    settings: Settings,
    endpoint: Endpoint,
    folder: Path,
    *,
    known: Path | None = None,
    show: Callable[[str], object] = print,
    guard: partial.Guard | None = None,
) -> Evaluation:
    """Score the endpoint's model on the task; lm-eval's report and its per-question log are left in `folder`.

    What the file `known` answers (helpers.earlier.answers) is not asked.
    Raises UnknownTask, InvalidDataset and ArtifactMissing before anything starts, EndpointUnreachable, StoreFailed,
    IncompleteCoverage, EvaluationFailed or ServerChanged after; answers that came before a failure stay in
    `folder`/partial, and a second call goes on from there.
    """
    task = check_task(settings)
    started = now()
    run(settings, endpoint, folder, task=task, known=known, show=show, guard=guard)
    return read_results(settings, endpoint, folder, task=task, started=started)


def build_command(
    settings: Settings,
    endpoint: Endpoint,
    folder: Path,
    *,
    task: Task | None = None,
    known: Path | None = None,
    fresh: Path | None = None,
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
    command += ["--timeout", f"{settings.request_timeout:g}"]
    command += ["--same", partial.fingerprint(endpoint, folder)]
    command += ["--fresh", str(fresh)] if fresh else []
    command += ["--known", str(known.resolve())] if known else []
    return command + (["--allow-partial"] if settings.allow_partial else [])


def run(
    settings: Settings,
    endpoint: Endpoint,
    folder: Path,
    *,
    task: Task | None = None,
    known: Path | None = None,
    show: Callable[[str], object] = print,
    guard: partial.Guard | None = None,
) -> None:
    """Run lm-eval in a process group of its own that never outlives this call; `show` gets a line every few seconds."""
    task = task or check_task(settings)
    _check_tokenizer(endpoint)
    folder.mkdir(parents=True, exist_ok=True)
    with access(endpoint.auth), tempfile.TemporaryDirectory(prefix="assay-evaluation-") as temporary:
        fresh = Path(temporary, "answers.jsonl")
        command = build_command(settings, endpoint, folder, task=task, known=known, fresh=fresh)
        answers = Confirming(guard or partial.Unguarded(), fresh, folder)
        answers.look()
        try:
            _follow(command, _environment(task, Path(temporary)), task.folder, folder / LOG, answers, show)
        except errors.AssayError:
            with contextlib.suppress(errors.Unreachable):  # which the error says already
                answers.look()
            raise
        answers.look()


def _follow(
    command: list[str],
    environment: dict[str, str],
    working: Path | None,
    path: Path,
    answers: Confirming,
    show: Callable[[str], object],
) -> None:
    """Show what the child says until it ends. Raises what it reports, or EvaluationFailed."""
    failure: dict[str, str] = {}
    kills = memory.kills()
    with path.open("ab") as log, _child(command, environment, working, log.fileno()) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("FAILURE "):
                failure = json.loads(line.removeprefix("FAILURE "))
            else:
                show(line.rstrip())
                answers.now_and_then()
        code = process.wait()
    if failure:
        kind = getattr(errors, failure["kind"])
        raise kind(failure["what"], do=failure["do"])
    if code:
        show("\n".join([f"The end of {path}:", *_lines(path)[-SHOWN_LINES:]]))
        raise _failure(code, _lines(path), killed=code == -signal.SIGKILL or memory.kills() > kills)


def _failure(code: int, lines: list[str], *, killed: bool) -> errors.EvaluationFailed:
    if killed:
        do = f"{memory.more()}, or ask for less at once (NUM_CONCURRENT, BATCH_SIZE), then {partial.anew()}"
        return errors.EvaluationFailed(f"lm-eval {memory.killed()}", do=do)
    last = lines[-1][:400] if lines else "none"
    return errors.EvaluationFailed(
        f"lm-eval ended with exit code {code}; its last words: {last}",
        do=f"Read the end of lm-eval's log above, then {partial.again()}: it goes on from what was answered",
    )


def _lines(log: Path) -> list[str]:
    return [line.rstrip() for line in masked(log.read_text("utf-8", "replace")).splitlines() if line.strip()]


def _check_tokenizer(endpoint: Endpoint) -> None:
    folder = endpoint.tokenizer_folder()
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise errors.ArtifactMissing(
            f"There is no tokenizer of {endpoint.model} in {folder}: no tokenizer.json, tokenizer.model or vocab.json",
            do="Put the model's tokenizer files there, or deploy the model with the folder that holds them",
        )


@contextlib.contextmanager
def _child(
    command: list[str], environment: dict[str, str], folder: Path | None, log: int
) -> Iterator[subprocess.Popen[str]]:
    """Start the child, and end its whole process group whatever happens."""
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
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()


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
