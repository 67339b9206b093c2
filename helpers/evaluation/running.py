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
from typing import Any

from helpers import errors
from helpers.artifacts import Endpoint, Evaluation, now
from helpers.evaluation.confirming import Confirming
from helpers.evaluation.results import files, read_results
from helpers.evaluation.settings import Settings
from helpers.evaluation.tasks import Task, check_task
from helpers.runtime import memory, partial, patience
from helpers.runtime.environment import endpoint_key, masked, without_secrets
from helpers.serving.client import access
from helpers.serving.offers import Offers, offers

SHOWN_LINES = 30  # of the log, where the child fails
HUB = ("HF_TOKEN", "HF_TOKEN_PATH", "HUGGING_FACE_HUB_TOKEN")


def evaluate(
    settings: Settings,
    endpoint: Endpoint,
    folder: Path,
    *,
    known: Path | None = None,
    show: Callable[[str], object] = print,
    guard: partial.Guard | None = None,
) -> Evaluation:
    """Score the endpoint's model on the task; lm-eval's report and the samples log are left in `folder`.

    What the file `known` answers (helpers.records.reuse.answers) is not asked.
    Raises UnknownTask, InvalidDataset, NotMeasurable and ArtifactMissing before the first question, and after
    EndpointUnreachable, StoreFailed, IncompleteCoverage, EmptyAnswers, EvaluationFailed or ServerChanged; answers that
    came before a failure stay in `folder`/partial, and a second call goes on from there.
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
    offers: Offers | None = None,
) -> list[str]:
    """Return the child's command line; it holds no secret."""
    command = [sys.executable, "-m", "helpers.evaluation.harness", "--name", settings.name]
    command += ["--task", settings.task]
    if settings.include_path:
        command += ["--include-path", str(settings.include_path.resolve())]
    if task is None or task.collection:
        command += ["--with-defaults"]
    command += ["--model", endpoint.model, "--url", endpoint.url.rstrip("/")]
    if endpoint.tokenizer:
        command += ["--tokenizer", str(endpoint.tokenizer_folder())]
    command += ["--max-length", str(endpoint.max_model_len), "--output", str(folder.resolve())]
    command += ["--api", settings.api, "--metric", settings.metric]
    if settings.num_fewshot is not None:
        command += ["--num-fewshot", str(settings.num_fewshot)]
    if settings.fewshot_as_multiturn:
        command += ["--fewshot-as-multiturn"]
    if settings.system_instruction:
        command += [f"--system-instruction={settings.system_instruction}"]
    if settings.generation:
        command += ["--gen-kwargs", json.dumps(settings.generation)]
    command += ["--limit", str(settings.limit), "--seed", str(settings.seed)]
    command += ["--num-concurrent", str(settings.num_concurrent), "--batch-size", str(settings.batch_size)]
    command += ["--timeout", f"{settings.request_timeout:g}", "--patience", f"{patience.SECONDS:g}"]
    command += ["--same", partial.fingerprint(endpoint, folder, tokenizer=endpoint.tokenizer_digest())]
    command += ["--fresh", str(fresh)] if fresh else []
    command += ["--known", str(known.resolve())] if known else []
    return command + (["--offers", offers.model_dump_json()] if offers else [])


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
    folder.mkdir(parents=True, exist_ok=True)
    with access(endpoint.auth), tempfile.TemporaryDirectory(prefix="assay-evaluation-") as temporary:
        fresh = Path(temporary, "answers.jsonl")
        found = offers(endpoint)
        command = build_command(settings, endpoint, folder, task=task, known=known, fresh=fresh, offers=found)
        names = files(settings.name)
        answers = Confirming(guard or partial.Unguarded(), fresh, folder, names)
        answers.look()
        try:
            handed, offline = _hand_over(task, Path(temporary), folder / names.log, show)
            environment = _environment(Path(temporary), offline=offline)
            command += ["--handed", str(handed)]
            _follow(command, environment, folder / names.log, show, answers.now_and_then, key=endpoint_key())
        except (errors.AssayError, KeyboardInterrupt):
            with contextlib.suppress(errors.Unreachable):  # which the error says already
                answers.look()
            raise
        answers.look()


def _hand_over(task: Task, temporary: Path, log: Path, show: Callable[[str], object]) -> tuple[Path, bool]:
    """Write what the child is to know of the task; return the file, and whether the child needs no network.

    Data that lies elsewhere is downloaded first, by a process that has the hub's token and runs no code of the task.
    """
    splits: dict[str, Any] = {}
    if task.remote:
        wanted, found = temporary / "wanted.json", temporary / "found.json"
        wanted.write_text(json.dumps({name: task.calls[name] for name in task.remote}), "utf-8")
        command = [sys.executable, "-m", "helpers.evaluation.tasks.downloading", str(wanted), str(found)]
        _follow(command, _base_environment(keep=HUB), log, show)
        splits = json.loads(found.read_text("utf-8"))
    streamed = [name for name in task.remote if name not in splits]
    if streamed:
        show(f"The data of {', '.join(streamed)} is streamed: without the hub's token, which no code of a task gets.")
    members = task.calls | {name: {"splits": files} for name, files in splits.items()}
    known = [str(path) for path in task.content.files.values()]
    handed = temporary / "task.json"
    about = {"members": members, "content": task.digests, "known": known, "yaml": task.own}
    handed.write_text(json.dumps(about), "utf-8")
    return handed, task.offline and not streamed


def _follow(
    command: list[str],
    environment: dict[str, str],
    path: Path,
    show: Callable[[str], object],
    now_and_then: Callable[[], object] = lambda: None,
    *,
    key: str = "",
) -> None:
    """Show what the child says until it ends. Raises what it reports, or EvaluationFailed."""
    failure: dict[str, str] = {}
    kills = memory.kills()
    with path.open("ab") as log, _child(command, environment, log.fileno()) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(f"{key}\n")
        for line in process.stdout:
            if line.startswith("FAILURE "):
                failure = json.loads(line.removeprefix("FAILURE "))
            else:
                show(masked(line.rstrip()))
                now_and_then()
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


@contextlib.contextmanager
def _child(command: list[str], environment: dict[str, str], log: int) -> Iterator[subprocess.Popen[str]]:
    """Start the child, and end its whole process group whatever happens."""
    process = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.PIPE,
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


def _environment(temporary: Path, *, offline: bool) -> dict[str, str]:
    """Return the child's environment, without a key: the code of a task is a stranger's."""
    environment = _base_environment() | {"LMEVAL_LOG_LEVEL": "INFO", "HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}
    environment["HF_TOKEN_PATH"] = str(temporary / "no-token")
    # A cache of its own, because the shared one keeps rows of an earlier version of a file.
    environment["HF_DATASETS_CACHE"] = str(temporary / "cache")
    if offline:
        environment |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    return environment


def _base_environment(*, keep: tuple[str, ...] = ()) -> dict[str, str]:
    environment = without_secrets(os.environ, keep=keep)
    root = str(Path(__file__).resolve().parents[2])
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    return environment | {"PYTHONUNBUFFERED": "1", "TOKENIZERS_PARALLELISM": "false"}
