"""Build the command, run it as a child process, and read what it left."""

from __future__ import annotations

import contextlib
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from helpers import errors
from helpers.artifacts import Endpoint, Evaluation, now
from helpers.evaluation.confirming import Confirming
from helpers.evaluation.following import follow
from helpers.evaluation.forwarding import forwarded
from helpers.evaluation.lm_eval.inputs import inputs
from helpers.evaluation.lm_eval.results import files, read_results
from helpers.evaluation.lm_eval.settings import Settings
from helpers.evaluation.lm_eval.tasks import Task, check_task
from helpers.evaluation.place import Place, downloading
from helpers.runtime import partial, patience
from helpers.runtime.environment import endpoint_key
from helpers.serving.client import access
from helpers.serving.offers import Offers, offers


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
    command = [sys.executable, "-m", "helpers.evaluation.lm_eval.harness", "--name", settings.name]
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
            walled = place.walled([*command, "--handed", str(place.handed)], reads, show, ports, settings.memory_limit)
            environment = place.environment(offline=offline)
            follow(
                walled, environment, folder / names.log, show, answers.now_and_then, key=way.token,
                limit=settings.time_limit, most=settings.memory_limit, cwd=place.left,
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
        command = [sys.executable, "-m", "helpers.evaluation.lm_eval.tasks.downloading", str(wanted), str(found)]
        follow(command, downloading(), log, show)
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
