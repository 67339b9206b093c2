"""`guidellm`, with what a load test on one machine needs: `python -m helpers.load_test.driver run …`.

Hands GuideLLM's own command line to GuideLLM's own code and adds seven things around it: requests before the
first strategy that are not counted; every finished strategy saved at once (GuideLLM writes only at the very end), and
those that an earlier attempt saved not measured again; a sweep that goes on where a load got no answer; progress every
two seconds; a fast start (worker processes forked from one that has its modules loaded, the tokenizer without the
models' code); an end to strategies that hang, and to streams that break off; and the data kind `prompt_file`. ASSAY_*
variables carry what GuideLLM's options cannot.
"""

from __future__ import annotations

import faulthandler
import importlib
import itertools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from helpers.load_test import prompt_file
from helpers.load_test.keeping import Kept
from helpers.load_test.planning import answers

GUARDED = "helpers.load_test.guarded"
PRELOADED = ["guidellm.backends", GUARDED, "guidellm.utils.messaging", "httpx", "h2", "uvloop"]
PROGRESS_SECONDS = 2.0
FEWER = 4
WARMUP_SECONDS = 120  # at most; the first request of a fresh vLLM on a CPU has been seen to take 15 s
WARMUP_SEED_OFFSET = 1_000_003  # other prompts than the measured ones, which must not find these in the prefix cache


def main() -> None:
    """Run GuideLLM's command line with the additions above."""
    from multiprocessing import forkserver

    threading.Thread(target=_end_with_parent, daemon=True).start()
    forkserver.set_forkserver_preload(PRELOADED)
    forkserver.ensure_running()  # loads its modules while this process loads its own

    faulthandler.register(signal.SIGUSR1, all_threads=True)  # who ends this for hanging asks for the stacks first
    importlib.import_module(GUARDED)
    prompt_file.register()
    entry: Any = importlib.import_module("guidellm.entrypoints")
    cli: Any = importlib.import_module("guidellm.cli")
    measure = entry.benchmark_generative_text

    async def prepared(args: Any, **options: Any) -> Any:
        _add_api_key(args)
        _load_only_the_tokenizer()
        await _warm_up(measure, args)
        _keep_every_strategy()
        return await measure(args=args, **options)

    entry.benchmark_generative_text = prepared
    cli.cli(standalone_mode=False)


def _end_with_parent() -> None:
    """End this process and its workers when the parent is gone, however it ended: only it holds our input open."""
    os.read(sys.stdin.fileno(), 1)  # below Python's buffer: its lock, held at a fork, would block the child for ever
    if os.getpgid(0) == os.getpid():
        os.killpg(0, signal.SIGKILL)


def _add_api_key(args: Any) -> None:
    """Set the endpoint's key from the environment: everyone on a machine can read a command line."""
    from pydantic import SecretStr

    if key := os.environ.get("ENDPOINT_API_KEY", "").strip():
        args.spec.backend.api_key = SecretStr(key)


def _load_only_the_tokenizer() -> None:
    """Read tokenizer.json directly: to look at config.json, AutoTokenizer imports all that models are made of (3 s)."""
    module: Any = importlib.import_module("guidellm.data.tokenizers.huggingface")
    from transformers import PreTrainedTokenizerFast

    automatic = module.AutoTokenizer

    class Direct:
        @staticmethod
        def from_pretrained(model: str, **options: Any) -> Any:
            plain = (Path(model) / "tokenizer.json").is_file()
            return (PreTrainedTokenizerFast if plain else automatic).from_pretrained(model, **options)

    module.AutoTokenizer = Direct


async def _warm_up(measure: Any, args: Any) -> None:
    """Send a few requests of the same shape, with other prompts; they are in no report."""
    from guidellm.schemas.benchmark.profiles import ConcurrentProfileArgs
    from guidellm.schemas.scheduler.constraints import MaxDurationConstraintArgs, MaxRequestsConstraintArgs
    from loguru import logger

    count = int(os.environ.get("ASSAY_WARMUP_REQUESTS", "0"))
    if not count:
        return
    spec = args.spec.model_copy(
        update={
            "profile": ConcurrentProfileArgs(streams=[min(count, 4)]),
            "constraints": [MaxRequestsConstraintArgs(count=count), MaxDurationConstraintArgs(seconds=WARMUP_SECONDS)],
            "seed": args.spec.seed.model_copy(update={"value": args.spec.seed.value + WARMUP_SEED_OFFSET}),
            "outputs": [],
        }
    )
    print(f"assay: warm-up with {count} requests", flush=True)
    logger.disable("guidellm.benchmark.progress")
    try:
        await measure(args=args.model_copy(update={"spec": spec, "benchmarks": [None]}), progress=False, console=None)
    except ValueError as error:
        # Seen on a busy machine: "No measurement start or end times available". No figure of it would be kept anyway.
        print(f"assay: GuideLLM could not count the warm-up: {error}", flush=True)
    logger.enable("guidellm.benchmark.progress")
    print("assay: warm-up done", flush=True)


def _keep_every_strategy() -> None:
    """Write each load down as it ends, go on after those that an earlier attempt kept, report progress more often."""
    entrypoints: Any = importlib.import_module("guidellm.benchmark.entrypoints")
    kept = list(_kept_benchmarks())
    made, numbers = Kept(_folder("MADE")), itertools.count(len(kept))
    run = entrypoints.Benchmarker.run

    class Keeping(entrypoints.GenerativeLoggingBenchmarkerProgress):
        def __init__(self) -> None:
            super().__init__(interval=PROGRESS_SECONDS)

        async def on_benchmark_complete(self, benchmark: Any) -> None:
            made.add(next(numbers), benchmark.model_dump_json().encode())
            await super().on_benchmark_complete(benchmark)  # says so: who reads that finds the file

    async def run_the_rest(self: Any, *, profile: Any, **options: Any) -> Any:
        for benchmark in kept:
            yield benchmark
        if _go_on_after(profile, kept):
            async for benchmark in run(self, profile=profile, **options):
                yield benchmark

    entrypoints.GenerativeLoggingBenchmarkerProgress = Keeping
    entrypoints.Benchmarker.run = run_the_rest


def _kept_benchmarks() -> Iterator[Any]:
    from guidellm.benchmark.schemas import GenerativeBenchmark

    for path in Kept(_folder("KEPT")).loads():
        try:
            yield GenerativeBenchmark.model_validate_json(path.read_bytes())
        except ValueError:
            print(f"assay: {path} cannot be read, and is measured again", flush=True)
            return


def _go_on_after(profile: Any, kept: Sequence[Any]) -> bool:
    """Let GuideLLM's profile decide as if it had just seen the kept loads; return whether it wants another one."""
    decide = _goes_on(profile)
    following = decide(None, None)
    for benchmark in kept:
        profile.completed_strategies.append(following)
        following = decide(following, benchmark)
    profile.next_strategy = lambda previous, seen: decide(previous, seen) if previous else following
    return following is not None


def _goes_on(profile: Any) -> Any:
    """Return how the profile decides on its next load, and let each load that keeps requests in flight answer enough.

    GuideLLM computes a rate of 0 where a load got no answer, and then a rate whose first request is never due. A sweep
    that asks for all at once tries a quarter of the requests; any other profile goes no higher.
    """
    decide, limit = profile.next_strategy, profile.next_strategy_constraints

    def next_strategy(previous: Any, seen: Any) -> Any:
        if previous is None or seen.metrics.request_totals.successful:
            return decide(previous, seen)
        fewer = (previous.max_concurrency or 1) // FEWER if previous.type_ == "throughput" else 0
        print(
            f"assay: no answer in time under {previous}, {'fewer at once' if fewer else 'so none higher'}", flush=True
        )
        if not fewer:
            return None
        profile.completed_strategies.pop()  # GuideLLM counts them to find the rate that is next
        return type(previous)(max_concurrency=fewer)

    def next_strategy_constraints(strategy: Any, *rest: Any) -> Any:
        found = limit(strategy, *rest)
        if (enough := found.get("min_requests")) and strategy.type_ in ("concurrent", "throughput"):
            count = answers(enough.args.count, strategy.requests_limit or 1)
            found["min_requests"] = enough.model_copy(update={"args": enough.args.model_copy(update={"count": count})})
        return found

    profile.next_strategy_constraints = next_strategy_constraints
    return next_strategy


def _folder(name: str) -> Path:
    return Path(os.environ[f"ASSAY_{name}_LOADS"])


if __name__ == "__main__":
    code = 1
    try:
        main()
        code = 0
    finally:
        if code:
            traceback.print_exc()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)  # all is written: taking torch down in order costs a second and a half, and a stuck thread more
