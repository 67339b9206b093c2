"""The trained models on disk: trained once, and again only when something that decides them has changed."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from helpers.datasets import HandbookEntry, load_handbook, load_prompts
from helpers.local.samples.card import Facts, card
from helpers.local.samples.recipe import DATA, RECIPES, Recipe
from helpers.local.samples.texts import examples, seen_topics
from helpers.local.samples.tokenizer import train_tokenizer
from helpers.local.samples.training import train

NOTE = "training.json"
Say = Callable[[str], None]


def ensure_samples(
    folder: Path, recipes: Sequence[Recipe] = RECIPES, data: Path = DATA, say: Say = print
) -> dict[str, Path]:
    """Return name -> folder of each sample model; trains what is missing or out of date. Raises InvalidDataset."""
    folder.mkdir(parents=True, exist_ok=True)
    with _one_at_a_time(folder):
        return {recipe.name: _ensure(folder, recipe, data, say) for recipe in recipes}


def _ensure(folder: Path, recipe: Recipe, data: Path, say: Say) -> Path:
    target, wanted = folder / recipe.name, recipe.inputs_digest(data)
    if _inputs_of(target) == wanted:
        say(f"{recipe.name}: up to date")
        return target
    started = time.monotonic()
    scratch = Path(tempfile.mkdtemp(dir=folder, prefix=f".{recipe.name}."))
    try:
        _train_into(scratch / "new", recipe, data, wanted, say)
        if target.exists():
            os.replace(target, scratch / "old")
        os.replace(scratch / "new", target)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    say(f"{recipe.name}: trained in {time.monotonic() - started:.0f} s")
    return target


def _train_into(folder: Path, recipe: Recipe, data: Path, inputs: str, say: Say) -> None:
    # Threads that spin while they wait make training ten times slower beside another busy process.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read once, when torch is loaded
    entries = load_handbook(data / "handbook.jsonl")
    topics = seen_topics(entries, recipe.share_of_topics, recipe.seed)
    seen = [entry for entry in entries if entry.topic in topics]
    tokenizer = train_tokenizer(_words(entries, data), recipe.vocabulary)
    encoded = [(tokenizer.encode(e.context), tokenizer.encode(e.continuation)) for e in examples(seen)]
    sequences = [(context + said + [tokenizer.eos_token_id], len(context)) for context, said in encoded]
    model, loss = train(recipe, tokenizer, sequences, say)
    model.bfloat16().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    facts = Facts(
        parameters=model.num_parameters(), loss=loss, topics=topics, entries=len(seen), all_entries=len(entries)
    )
    (folder / "README.md").write_text(card(recipe, facts), encoding="utf-8")
    (folder / NOTE).write_text(json.dumps({"inputs": inputs, **recipe.model_dump()}, indent=2) + "\n", encoding="utf-8")


def _words(entries: list[HandbookEntry], data: Path) -> list[str]:
    told = [text for entry in entries for text in (*entry.notes, *entry.questions, entry.answer)]
    return told + [prompt.prompt for prompt in load_prompts(data / "prompts.jsonl")]


def _inputs_of(target: Path) -> str | None:
    try:
        return str(json.loads((target / NOTE).read_text(encoding="utf-8"))["inputs"])
    except (OSError, ValueError, KeyError):
        return None


@contextmanager
def _one_at_a_time(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, so that two runs do not train the same model at the same time."""
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
