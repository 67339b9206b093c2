"""Run lm-eval on one task, as a process of its own: `python -m helpers.evaluation.lm_eval.harness --help`.

The `lm_eval` command needs 13 s of CPU time around one or two seconds of requests, this driver 5 s, with the same
scores: it calls the same `lm_eval.evaluate`, but does not index lm-eval's own thousands of task files for a task that
lies elsewhere, and imports no torch (which the tokenizer and the report on the environment pull in).
"""

from __future__ import annotations

import argparse
import functools
import json
import random
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.errors import AssayError
from helpers.evaluation.lm_eval.offered import choose
from helpers.evaluation.lm_eval.results import files
from helpers.evaluation.lm_eval.tokenizer import check_tokenizer
from helpers.runtime import patience
from helpers.runtime.environment import hold
from helpers.serving.tokenizing import ServedTokenizer

if TYPE_CHECKING:
    from helpers.evaluation.lm_eval.tasks.watching import Watch

FAILED = 3
ALL = {"chat": "", "completions": "", "logprobs": ""}


def main(arguments: list[str] | None = None) -> int:
    """Measure, print progress, and leave results and samples in the output folder; a failure is one FAILURE line."""
    options = _parser().parse_args(arguments)
    try:
        measure(options)
    except AssayError as error:
        print("FAILURE " + json.dumps({"kind": type(error).__name__, "what": error.what, "do": error.do}), flush=True)
        return FAILED
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="helpers.evaluation.lm_eval.harness", description="Score a served model with lm-eval."
    )
    for name in ("name", "task", "model", "url", "output", "same"):
        parser.add_argument(f"--{name}", required=True)
    for name in ("max-length", "limit", "seed", "num-concurrent", "batch-size"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--ask-again", type=int, default=0, help="questions to ask a second time")
    parser.add_argument("--num-fewshot", type=int, help="as the task says where not given")
    parser.add_argument("--tokenizer", type=Path, help="folder; for log-likelihoods, without it the server's own")
    parser.add_argument("--through", help="who forwards the requests to that URL; without it they go there directly")
    parser.add_argument("--api", default="auto")
    parser.add_argument("--offers", type=json.loads, help="JSON: what the server has, and why not (serving.Offers)")
    parser.add_argument("--patience", type=float, default=patience.SECONDS, help="seconds for a server that is away")
    parser.add_argument("--metric", default="auto")
    parser.add_argument("--gen-kwargs", type=json.loads, default={}, help="JSON")
    parser.add_argument("--system-instruction")
    parser.add_argument("--fewshot-as-multiturn", action="store_true")
    parser.add_argument("--include-path")
    parser.add_argument("--with-defaults", action="store_true", help="index lm-eval's own tasks too")
    parser.add_argument("--handed", type=Path, help="JSON: each member's data, and the files that decide the answers")
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one request")
    parser.add_argument("--known", type=Path, help="answers of earlier evaluations")
    parser.add_argument("--fresh", type=Path, help="where new answers are written, in place of the journal")
    return parser


def measure(options: argparse.Namespace) -> None:
    """Load the task, ask the server, score, write.

    Raises NotMeasurable or ArtifactMissing before the first question, EndpointUnreachable or NotMeasurable after.
    """
    from helpers.evaluation.lm_eval import documents
    from helpers.evaluation.lm_eval.tasks.placing import place
    from helpers.evaluation.lm_eval.tasks.watching import Watch

    handed = json.loads(options.handed.read_text("utf-8")) if options.handed else {}
    watch = Watch(handed.get("known", ()))
    place(handed.get("members", {}))
    try:
        _measure(options, handed, watch)
    except Exception as error:
        if not isinstance(error, AssayError):  # the last words that are told
            told = documents.place(error, handed.get("known", ()), " and ".join(handed.get("yaml", {}).values()))
            error.add_note(f"{told or options.task}: {type(error).__name__}: {error}")
        raise


def _measure(options: argparse.Namespace, handed: dict[str, Any], watch: Watch) -> None:
    import lm_eval
    import numpy

    from helpers.evaluation.journal import Journal
    from helpers.evaluation.lm_eval import documents, report, scoring
    from helpers.evaluation.lm_eval.chat import Chat
    from helpers.evaluation.lm_eval.completions import Completions

    output = Path(options.output)
    loaded = _load(options)
    tasks = loaded["tasks"]
    documents.check(tasks, handed.get("yaml", {}), options.limit)
    kinds = {task.OUTPUT_TYPE for task in tasks.values()}
    measures = scoring.candidates(tasks, options.metric)
    api = choose(options.task, options.api, kinds, options.offers or ALL, options.url)
    likelihoods = kinds != {"generate_until"}
    tokenizer: Path | ServedTokenizer | None = None
    if likelihoods:
        check_tokenizer(options.tokenizer, options.model)
        tokenizer = options.tokenizer or ServedTokenizer(options.url, options.model, options.through)
    print(f"{options.task} is asked through {api} and scored by {measures[0].name}", flush=True)
    if any(_unheard(task.get_config("generation_kwargs") or {}) for task in tasks.values()):
        print("do_sample without a temperature asks for the likeliest answer: temperature 0 is sent", flush=True)
    client = functools.partial(
        Chat if api == "chat" else Completions,
        url=options.url,
        through=options.through or options.url,
        tokenizer=tokenizer,
        workers=options.num_concurrent,
        model=options.model,
        batch_size=options.batch_size,
        max_length=options.max_length,
        seed=options.seed,
        timeout=options.timeout,
    )
    ask = functools.partial(
        lm_eval.evaluate,
        task_dict=loaded,
        log_samples=True,
        system_instruction=options.system_instruction,
        apply_chat_template=api == "chat",
        fewshot_as_multiturn=api == "chat" and options.fewshot_as_multiturn,
    )
    draws = random.getstate(), numpy.random.get_state()
    with patience.at_most(options.patience):
        with Journal(output / files(options.name).journal, options.same, options.known, options.fresh) as journal:
            model = client(journal=journal)
            results: Any = ask(lm=model, limit=options.limit or None, bootstrap_iters=1000)
        again = _again(options, tasks, client, ask, draws)
    results["assay_task"] = {"content": handed.get("content", {}), "elsewhere": list(watch.found)}
    report.write(output, options, api, results, again, model, tasks, measures)


def _again(
    options: argparse.Namespace, tasks: Mapping[str, Any], client: Any, ask: Any, draws: tuple[Any, Any]
) -> dict[str, Any]:
    """Ask the first questions of each task a second time and return their samples; none where answers are sampled.

    The same worked examples are drawn: `draws` are the states of both random generators before the first question.
    No journal knows an answer.
    """
    import numpy

    from helpers.evaluation.journal import Journal

    count = -(-options.ask_again // len(tasks))
    sampled = any((task.get_config("generation_kwargs") or {}).get("temperature") for task in tasks.values())
    if not count or sampled:
        return {}
    random.setstate(draws[0])
    numpy.random.set_state(draws[1])
    for task in tasks.values():
        task.set_fewshot_seed(seed=options.seed)
    limit = min(count, options.limit) if options.limit else count
    with tempfile.TemporaryDirectory(dir=options.output) as folder, Journal(Path(folder) / "again", "") as journal:
        found: dict[str, Any] = ask(lm=client(journal=journal), limit=limit, bootstrap_iters=0)["samples"]
    return found


def _unheard(generation: Mapping[str, Any]) -> bool:
    """Return whether answers are meant to be sampled and are not."""
    return bool(generation.get("do_sample") and not generation.get("temperature"))


def _load(options: argparse.Namespace) -> Any:
    """Load the task with its worked examples set, as `lm_eval.simple_evaluate` does."""
    import numpy
    from lm_eval.tasks import TaskManager

    random.seed(options.seed)
    numpy.random.seed(options.seed)
    manager = TaskManager(include_path=options.include_path, include_defaults=options.with_defaults)
    tasks = manager.load([options.task])
    for task in tasks["tasks"].values():
        shots = task.get_config("num_fewshot") if options.num_fewshot is None else options.num_fewshot
        task.set_config(key="num_fewshot", value=shots or 0)
        task.set_fewshot_seed(seed=options.seed)
        if options.gen_kwargs and task.OUTPUT_TYPE == "generate_until":
            task.set_config(key="generation_kwargs", value=options.gen_kwargs, update=True)
    return tasks


if __name__ == "__main__":
    hold(sys.stdin.readline())  # what lets this process ask
    sys.exit(main())
