"""Build the command, run it as a child process, and read what it left."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from helpers import errors
from helpers.artifacts import Endpoint, Evaluation, now
from helpers.evaluation.child import Place, downloading, inputs
from helpers.evaluation.confirming import Confirming
from helpers.evaluation.forwarding import forwarded
from helpers.evaluation.results import files, read_results
from helpers.evaluation.settings import Settings
from helpers.evaluation.tasks import Task, check_task
from helpers.runtime import memory, partial, patience
from helpers.runtime.environment import endpoint_key, masked
from helpers.serving.client import access
from helpers.serving.offers import Offers, offers

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
    left: Path | None = None,
    through: str = "",
    offers: Offers | None = None,
) -> list[str]:
    """Return the child's command line; it holds no secret. It writes into `left`, else into `folder` itself."""
    command = [sys.executable, "-m", "helpers.evaluation.harness", "--name", settings.name]
    command += ["--task", settings.task]
    if settings.include_path:
        command += ["--include-path", str(settings.include_path.resolve())]
    if task is None or task.collection:
        command += ["--with-defaults"]
    command += ["--model", endpoint.model, "--url", endpoint.url.rstrip("/")]
    if endpoint.tokenizer:
        command += ["--tokenizer", str(endpoint.tokenizer_folder())]
    command += ["--max-length", str(endpoint.max_model_len), "--output", str((left or folder).resolve())]
    command += ["--through", through] if through else []
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
    command += ["--ask-again", str(settings.ask_again)]
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
    """Run lm-eval in a process group of its own that never outlives this call; `show` gets a line every few seconds.

    Its process runs the code of the task. So it sees the task, writes into a folder of its own, from which this one
    takes what it is to leave, and asks the server by way of this one, which adds the key.
    """
    task = task or check_task(settings)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        access(endpoint.auth),
        tempfile.TemporaryDirectory(prefix="assay-evaluation-") as temporary,
        forwarded(endpoint.url, endpoint_key()) as way,
    ):
        place = Place.made(Path(temporary).resolve())
        found, names = offers(endpoint), files(settings.name)
        command = build_command(
            settings, endpoint, folder, task=task, known=known, fresh=place.fresh, left=place.left, through=way.url,
            offers=found,
        )  # fmt: skip
        place.begin(folder, names, partial.fingerprint(endpoint, folder, tokenizer=endpoint.tokenizer_digest()), known)
        answers = Confirming(guard or partial.Unguarded(), place.fresh, folder, names)
        answers.look()
        try:
            offline, splits = _hand_over(task, place, folder / names.log, show)
            reads = [*inputs(settings, endpoint, task), *splits, *([known] if known else [])]
            ports = [urlsplit(way.url).port or 0] if offline else None
            walled = place.walled([*command, "--handed", str(place.handed)], reads, show, ports)
            environment = place.environment(offline=offline)
            limit = settings.time_limit
            _follow(
                walled, environment, folder / names.log, show, answers.now_and_then, key=way.token, limit=limit,
                cwd=place.left,
            )  # fmt: skip
        except (errors.AssayError, KeyboardInterrupt):
            with contextlib.suppress(errors.Unreachable):  # which the error says already
                answers.look()
            raise
        answers.look()
        place.take(folder, names)


def _hand_over(task: Task, place: Place, log: Path, show: Callable[[str], object]) -> tuple[bool, list[str]]:
    """Write what the child is to know of the task; return whether it needs no network, and the files it was brought.

    Data that lies elsewhere is downloaded first, by a process that has the hub's token and runs no code of the task.
    """
    splits: dict[str, Any] = {}
    if task.remote:
        wanted, found = place.handed.with_name("wanted.json"), place.handed.with_name("found.json")
        wanted.write_text(json.dumps({name: task.calls[name] for name in task.remote}), "utf-8")
        command = [sys.executable, "-m", "helpers.evaluation.tasks.downloading", str(wanted), str(found)]
        _follow(command, downloading(), log, show)
        splits = json.loads(found.read_text("utf-8"))
    streamed = [name for name in task.remote if name not in splits]
    if streamed:
        show(f"The data of {', '.join(streamed)} is streamed: without the hub's token, which no code of a task gets.")
    members = task.calls | {name: {"splits": files} for name, files in splits.items()}
    known = [str(path) for path in task.content.files.values()]
    about = {"members": members, "content": task.digests, "known": known, "yaml": task.own}
    place.handed.write_text(json.dumps(about), "utf-8")
    brought = [path for member in splits.values() for paths in member.values() for path in paths]
    return task.offline and not streamed, brought


def _follow(
    command: list[str],
    environment: dict[str, str],
    path: Path,
    show: Callable[[str], object],
    now_and_then: Callable[[], object] = lambda: None,
    *,
    key: str = "",
    limit: float | None = None,
    cwd: Path | None = None,
) -> None:
    """Show what the child says until it ends, `limit` seconds at most. Raises what it reports, or EvaluationFailed."""
    failure: errors.AssayError | None = None
    kills = memory.kills()
    with (
        path.open("ab") as log,
        _child(command, environment, log.fileno(), cwd) as process,
        _ended(process, limit) as late,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError), process.stdin:
            process.stdin.write(f"{key}\n")
        for line in process.stdout:
            if line.startswith("FAILURE "):
                failure = told(line.removeprefix("FAILURE "))
            else:
                show(masked(line.rstrip()))
                now_and_then()
        code = process.wait()
    if late.is_set():
        raise errors.EvaluationFailed(
            f"lm-eval was ended after {limit:g} s, the time limit of a task",
            do=f"See in {path} what it did so long; raise TIME_LIMIT, then {partial.anew()}",
        )
    if failure:
        raise failure
    if code:
        show("\n".join([f"The end of {path}:", *_lines(path)[-SHOWN_LINES:]]))
        killed = code in (-signal.SIGKILL, 128 + signal.SIGKILL) or memory.kills() > kills
        raise _failure(code, _lines(path), killed=killed)


def told(line: str) -> errors.AssayError | None:
    """Return the error that a child reports; what a task's code writes in that form by itself may be anything."""
    try:
        known = json.loads(line)
        kind = getattr(errors, known["kind"])
        if isinstance(kind, type) and issubclass(kind, errors.AssayError):
            return kind(str(known["what"]), do=str(known["do"]))
    except (ValueError, KeyError, TypeError, AttributeError):
        pass
    return None


@contextlib.contextmanager
def _ended(process: subprocess.Popen[str], limit: float | None) -> Iterator[threading.Event]:
    """End the process after `limit` seconds; the event says whether that was done."""
    late = threading.Event()

    def end() -> None:
        late.set()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(limit or 0, end)
    timer.daemon = True
    if limit:
        timer.start()
    try:
        yield late
    finally:
        timer.cancel()


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
def _child(
    command: list[str], environment: dict[str, str], log: int, cwd: Path | None
) -> Iterator[subprocess.Popen[str]]:
    """Start the child, and end its whole process group whatever happens."""
    process = subprocess.Popen(
        command,
        env=environment,
        cwd=cwd,
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
