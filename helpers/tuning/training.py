"""One training: LoRA by TRL and PEFT on a base in bfloat16, merged into whole weights."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import psutil

from helpers.artifacts import Parameter
from helpers.errors import InvalidInput, StageFailed
from helpers.runtime import memory
from helpers.tuning.conversations import Conversation, conversations
from helpers.tuning.replay import answers

LIBRARIES = ("accelerate", "peft", "torch", "transformers", "trl")  # decide the weights
SAY_EVERY = 15.0  # seconds
WARMUP = 8  # steps
BESIDE = 1.5 * 2**30  # bytes for activations, adapters and Python, beside the weights
Say = Callable[[str], object]


class Done(NamedTuple):
    """What a training was: conversations of answers that were replayed, tokens of an epoch, losses by step, seconds."""

    replayed: int
    tokens: int
    learned: int
    losses: tuple[tuple[int, float], ...]
    seconds: float


def versions() -> dict[str, str]:
    """Return the versions of the libraries that decide the weights."""
    return {name: version(name) for name in LIBRARIES}


def check_memory(weights: int, *, gpu: bool) -> None:
    """Refuse a model of so many bytes that this machine has no memory to tune on its CPU. Raises InvalidInput."""
    room = min(psutil.virtual_memory().available, memory.limit() or psutil.virtual_memory().total)
    if not gpu and (needed := 1.3 * weights + BESIDE) > room:
        raise InvalidInput(
            f"Tuning needs about {needed / 2**30:.1f} GiB of memory, and {room / 2**30:.1f} GiB are free",
            do="Take a smaller model, give this node more memory, or a GPU (on the canvas: its properties)",
        )


def has_gpu() -> bool:
    """Return whether PyTorch sees a GPU here."""
    import torch

    return bool(torch.cuda.is_available())


def train(
    parent: Path,
    folder: Path,
    examples: Sequence[tuple[str, list[dict[str, str]]]],
    replay: Sequence[tuple[str, int]],
    recipe: Mapping[str, Parameter],
    say: Say,
) -> Done:
    """Tune the model in `parent` and write weights in bfloat16 and its other files into `folder`.

    `replay` are prompts, each with the most tokens of an answer. Raises InvalidDataset, or StageFailed where the memory
    of a GPU does not do.
    """
    # torch reads this once: threads that spin while they wait slow every other process down.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, set_seed
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    # Of others' code: names that will change one day, and a progress bar that no notebook here shows.
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers")
    warnings.filterwarnings("ignore", message="IProgress not found")
    set_seed(int(recipe["seed"]))
    gpu = has_gpu()
    tokenizer = AutoTokenizer.from_pretrained(parent)
    model: Any = AutoModelForCausalLM.from_pretrained(parent, dtype=torch.bfloat16)
    model.to("cuda" if gpu else "cpu")
    try:
        own = _replayed(model.eval(), tokenizer, replay, say)
        rows = conversations(
            tokenizer, [*examples, *own], turns=int(recipe["turns"]), max_length=int(recipe["max_length"]),
            seed=int(recipe["seed"]),
        )  # fmt: skip
        tokens, learned = sum(len(row.input_ids) for row in rows), sum(row.learned for row in rows)
        say(f"{len(rows)} conversations, {tokens:,} tokens, {learned:,} of them in answers")
        losses, seconds = _fit(model, tokenizer, rows, recipe, folder, say, gpu=gpu)
    except torch.OutOfMemoryError as error:
        raise StageFailed(
            f"The GPU has too little memory to tune {parent.name}: {str(error).splitlines()[0]}",
            do="Lower TRAIN_BATCH_SIZE or MAX_LENGTH, or take a larger GPU",
        ) from error
    return Done(len(own), tokens, learned, losses, seconds)


def _replayed(
    model: Any, tokenizer: Any, prompts: Sequence[tuple[str, int]], say: Say
) -> list[tuple[str, list[dict[str, str]]]]:
    if not prompts:
        return []
    said = answers(model, tokenizer, prompts)
    own = [
        (f"replay {number}", [{"role": "user", "content": prompt}, {"role": "assistant", "content": answer}])
        for number, ((prompt, _), answer) in enumerate(zip(prompts, said, strict=True), start=1)
        if answer
    ]
    say(f"The parent answers {len(own)} of {len(prompts)} general prompts; these answers are learned too")
    return own


def _fit(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Conversation],
    recipe: Mapping[str, Parameter],
    folder: Path,
    say: Say,
    *,
    gpu: bool,
) -> tuple[tuple[tuple[int, float], ...], float]:
    """Train, merge, and write the merged weights; return the losses by step and the seconds."""
    import torch
    from peft import LoraConfig
    from transformers import PrinterCallback
    from trl.trainer.sft_config import SFTConfig
    from trl.trainer.sft_trainer import SFTTrainer

    rank = int(recipe["rank"])
    lora = LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
    settings = SFTConfig(
        output_dir=str(folder.with_name(f"{folder.name}.trainer")),
        num_train_epochs=float(recipe["epochs"]),
        per_device_train_batch_size=int(recipe["train_batch_size"]),
        learning_rate=float(recipe["learning_rate"]),
        lr_scheduler_type="cosine",
        warmup_steps=WARMUP,
        max_length=int(recipe["max_length"]),
        use_cpu=not gpu,
        bf16=gpu,
        gradient_checkpointing=gpu,
        dataloader_pin_memory=gpu,
        save_strategy="no",
        report_to="none",
        logging_steps=5,
        disable_tqdm=True,
        seed=int(recipe["seed"]),
    )
    trainer: Any = SFTTrainer(
        model=model, args=settings, train_dataset=_dataset(rows), processing_class=tokenizer, peft_config=lora,
        callbacks=[_progress(say)],
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    started = time.monotonic()
    trainer.train()
    seconds = time.monotonic() - started
    merged = trainer.model.merge_and_unload().to(torch.bfloat16)
    merged.save_pretrained(folder)
    told = [entry for entry in trainer.state.log_history if "loss" in entry]
    losses = tuple((int(entry["step"]), round(float(entry["loss"]), 4)) for entry in told)
    return losses, seconds


def _dataset(rows: Sequence[Conversation]) -> Any:
    from datasets import Dataset, disable_progress_bars  # type: ignore[attr-defined]  # a folder here has this name

    disable_progress_bars()
    return Dataset.from_dict({"input_ids": [row.input_ids for row in rows], "labels": [row.labels for row in rows]})


def _progress(say: Say) -> Any:
    """Return a callback that tells step, loss and the time that is left, every few seconds."""
    from transformers import TrainerCallback

    class Progress(TrainerCallback):
        def __init__(self) -> None:
            self.started = self.spoken = time.monotonic()

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            current = time.monotonic()
            last = state.global_step >= state.max_steps
            if "loss" in (logs or {}) and (last or current - self.spoken >= SAY_EVERY):
                self.spoken = current
                left = (current - self.started) / state.global_step * (state.max_steps - state.global_step)
                say(f"step {state.global_step} of {state.max_steps}, loss {logs['loss']:.2f}, {left:.0f} s left")

    return Progress()
