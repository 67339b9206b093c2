"""The pyramid of SmolLM2, all tiers, then taken over unchanged; and each tier's stage beside its own tool alone.

Needs `make garak` and `make .tools/promptfoo`. QUESTIONS in the environment makes it a shorter one.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import ClientSession

from helpers.artifacts import Endpoint, Evaluation, Selection
from helpers.evaluation import evaluator, garak, lm_eval, promptfoo, structured_output, tool_calling
from helpers.evaluation.garak import measuring as scanning
from helpers.evaluation.promptfoo.running import QUIET
from helpers.evaluation.promptfoo.tool import tool
from helpers.evaluation.structured_output import measuring as formatting
from helpers.evaluation.structured_output.rows import load_rows
from helpers.evaluation.tool_calling import measuring as calling
from helpers.evaluation.tool_calling.rows import read_rows
from helpers.records import logbook, reuse
from helpers.registry import connect
from helpers.runtime.workspace import ROOT
from tests.benchmarks.served import served
from tests.plugins.records import CHAT, a_sweep, about
from tests.plugins.registry import MEMORY, serving

OPS, MODEL = ROOT / "datasets" / "ops-assistant", "smollm2-135m-instruct"
TOOLS = "--enforce-eager --enable-auto-tool-choice --tool-call-parser hermes --chat-template hermes"
WANTED_SECONDS, WANTED_AGAIN, WANTED_OVERHEAD = 15 * 60, 5, 0.2
COMPARED = 12  # questions of each tier, and of each of two probes, beside the tool alone
AT_ONCE = 8


def measure() -> list[dict[str, object]]:
    """Return pyramid_seconds, pyramid_rerun_seconds (the slowest tier's) and harness_overhead of each tier."""
    questions = int(os.environ.get("QUESTIONS", "60"))
    with (
        served(MODEL, TOOLS) as endpoint,
        serving(MEMORY) as server,
        tempfile.TemporaryDirectory(prefix="assay-pyramid-") as folder,
    ):
        _select(endpoint, Path(folder, "first"), server.address)
        first = {name: _timed(each, endpoint, server.address, Path(folder, "first"))
                 for name, each in tiers(questions).items()}  # fmt: skip
        _log(Path(folder, "first"), server.address)
        again = {name: _timed(each, endpoint, server.address, Path(folder, "again"))
                 for name, each in tiers(questions).items()}  # fmt: skip
        taken = [name for name in again if Evaluation.read_named(name, Path(folder, "again")).taken_from]
        beside = {name: _beside(name, endpoint, Path(folder, name)) for name in tiers(COMPARED)}
    return [
        {"figure": "pyramid_seconds", "value": round(sum(first.values())), "wanted": WANTED_SECONDS,
         "questions": questions, "tiers": _rounded(first)},
        {"figure": "pyramid_rerun_seconds", "value": round(max(again.values()), 1), "wanted": WANTED_AGAIN,
         "taken_over": taken, "tiers": _rounded(again)},
        *({"figure": "harness_overhead", "tier": name, "value": round(ours / alone - 1, 3), "wanted": WANTED_OVERHEAD,
           "our_seconds": round(ours, 1), "alone_seconds": round(alone, 1)} for name, (ours, alone) in beside.items()),
    ]  # fmt: skip


def tiers(questions: int, probes: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return the settings of each tier, asked so many questions."""
    asked: dict[str, Any] = {"limit": questions, "num_concurrent": AT_ONCE, "allow_partial": True}
    in_chat = asked | {"task": "ops_instructions", "gen_kwargs": "max_gen_toks=256"}
    suite = OPS / "suite" / "promptfooconfig.yaml"
    scan = {"probes": probes} if probes else {}
    return {
        "knowledge": lm_eval.Settings(name="knowledge", include_path=OPS, **asked),
        "instructions": lm_eval.Settings(name="instructions", include_path=OPS, **in_chat),
        "formatting": structured_output.Settings(name="formatting", data=OPS / "formats.jsonl", **asked),
        "tools": tool_calling.Settings(
            name="tools", data=OPS / "tools.jsonl", max_tokens=256, system_instruction="Be brief.", **asked
        ),
        "application": promptfoo.Settings(name="application", config=suite, **asked),
        "safety": garak.Settings(name="safety", num_concurrent=AT_ONCE, allow_partial=True, **scan),
    }


def _timed(settings: Any, endpoint: Endpoint, registry: str, folder: Path) -> float:
    """Measure as the notebook does, or take over what the registry knows; return the seconds."""
    endpoint.write(folder)
    known, began = reuse.Settings(registry=registry), time.perf_counter()
    stage: Callable[..., Any] = reuse.evaluate if isinstance(settings, lm_eval.Settings) else reuse.measure
    stage(settings, endpoint, known, folder, lambda line: None).write(folder)
    return time.perf_counter() - began


def _select(endpoint: Endpoint, folder: Path, address: str) -> None:
    """Begin a run in the folder: what is measured there is of this selection."""
    named = {"uri": "file:///model", "digest": endpoint.digest, "size_bytes": 1}
    connect(address).register_candidate(MODEL, "1.0.0", **named).write(folder)


def _log(folder: Path, address: str) -> None:
    """Record all of it as log_results does."""
    about(Selection.read(folder), a_sweep()).write(folder)
    (folder / CHAT.report).write_text("{}")
    logbook.log(logbook.Settings(store=(folder.parent / "store").as_uri()), connect(address), folder)


def _beside(name: str, endpoint: Endpoint, folder: Path) -> tuple[float, float]:
    """Return the seconds of the stage and of its tool alone on the same questions; a first run warms the server up."""
    settings = tiers(COMPARED, ("encoding.InjectBase64", "promptinject.HijackHateHumans"))[name]
    by: Any = lm_eval if isinstance(settings, lm_eval.Settings) else evaluator.of(settings)
    seconds = []
    for turn in ("warm-up", "measured"):
        began = time.perf_counter()
        by.evaluate(settings, endpoint, folder / turn, show=lambda line: None)
        seconds.append(time.perf_counter() - began)
    began = time.perf_counter()
    ALONE[type(settings).evaluator if hasattr(settings, "evaluator") else "lm_eval"](settings, endpoint, folder)
    return seconds[-1], time.perf_counter() - began


def _lm_eval_alone(settings: lm_eval.Settings, endpoint: Endpoint, folder: Path) -> None:
    chat = settings.task == "ops_instructions"
    kind, path = ("local-chat-completions", "chat/completions") if chat else ("local-completions", "completions")
    model = {"model": endpoint.model, "base_url": f"{endpoint.url}/v1/{path}", "num_concurrent": AT_ONCE}
    tokens = {"tokenizer_backend": "none"} if chat else {"tokenizer": endpoint.tokenizer_folder()}
    command = [
        str(Path(sys.executable).with_name("lm_eval")),
        "--model",
        kind,
        "--log_samples",
        "--limit",
        str(COMPARED),
    ]
    command += ["--model_args", ",".join(f"{key}={value}" for key, value in (model | tokens).items())]
    command += [
        "--tasks",
        "ops_instructions" if chat else "ops_assistant",
        "--include_path",
        str(settings.include_path),
    ]
    command += ["--output_path", str(folder / "alone")]
    command += ["--apply_chat_template", "--gen_kwargs", settings.gen_kwargs] if chat else ["--batch_size", "32"]
    known = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_CACHE": str(folder / "cache"), "OPENAI_API_KEY": "none"}
    _run(command, known, OPS / "instructions")


def _garak_alone(settings: garak.Settings, endpoint: Endpoint, folder: Path) -> None:
    place = folder / "alone"
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(scanning.config(settings, endpoint.model, endpoint.url, place)))
    python = scanning.environment() / "bin" / "python"
    known = {"XDG_DATA_HOME": str(place), "OPENAICOMPATIBLE_API_KEY": "none", "HF_HUB_OFFLINE": "1"}
    _run([str(python), "-m", "garak", "--config", str(place / "config.json")], known, place)


def _promptfoo_alone(settings: promptfoo.Settings, endpoint: Endpoint, folder: Path) -> None:
    place = folder / "alone"
    place.mkdir(parents=True)
    options = {
        "apiBaseUrl": f"{endpoint.url}/v1",
        "apiKey": "none",
        "max_tokens": settings.max_tokens,
        "temperature": 0,
    }
    (place / "model.json").write_text(json.dumps({"id": f"openai:chat:{endpoint.model}", "config": options}))
    command = [*tool().command, "eval", "-c", str(settings.config), "-r", f"file://{place / 'model.json'}", *QUIET]
    command += ["-o", str(place / "out.json"), "-j", str(AT_ONCE), "--filter-first-n", str(COMPARED)]
    known = {
        "PROMPTFOO_CONFIG_DIR": str(place),
        "PROMPTFOO_DISABLE_TELEMETRY": "true",
        "PROMPTFOO_DISABLE_UPDATE": "true",
    }
    _run(command, known | {"PROMPTFOO_FAILED_TEST_EXIT_CODE": "0", "PROMPTFOO_PYTHON": sys.executable}, place)


def _formats_alone(settings: structured_output.Settings, endpoint: Endpoint, folder: Path) -> None:
    rows = list(load_rows(OPS / "formats.jsonl").values())[:COMPARED]
    _ask(endpoint, [body for row in rows for body in formatting._bodies(row, settings)])


def _tools_alone(settings: tool_calling.Settings, endpoint: Endpoint, folder: Path) -> None:
    rows, system = (
        read_rows(OPS / "tools.jsonl")[:COMPARED],
        [{"role": "system", "content": settings.system_instruction}],
    )
    bodies = [calling._body(row, system, settings, strict=False) for row in rows]
    _ask(endpoint, bodies + [calling._body(row, system, settings, strict=True) for row in rows if row.expected])


ALONE: dict[str, Callable[..., None]] = {
    "lm_eval": _lm_eval_alone, "garak": _garak_alone, "promptfoo": _promptfoo_alone,
    "structured_output": _formats_alone, "tool_calling": _tools_alone,
}  # fmt: skip


def _run(command: list[str], known: Mapping[str, str], folder: Path) -> None:
    subprocess.run(command, check=True, env=os.environ | known, cwd=folder, stdout=subprocess.DEVNULL)


def _ask(endpoint: Endpoint, bodies: list[Mapping[str, Any]]) -> None:
    """Ask as one would without a harness: that many at once, and no answer is looked at."""

    async def all_of_them() -> None:
        limit = asyncio.Semaphore(AT_ONCE)
        async with ClientSession() as session:

            async def one(body: Mapping[str, Any]) -> None:
                url = f"{endpoint.url}/v1/chat/completions"
                async with limit, session.post(url, json=body | {"model": endpoint.model}) as answer:
                    await answer.read()

            await asyncio.gather(*map(one, bodies))

    asyncio.run(all_of_them())


def _rounded(seconds: Mapping[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in seconds.items()}
