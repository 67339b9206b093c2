"""Writes `examples.jsonl` from the handbook: `python examples.py` in this folder, after the handbook has changed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


def examples(entry: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield questions with short answers: targets of a term teach a small model more than whole sentences."""
    answer, (first, second) = entry["answer"], entry["questions"]
    yield first, f"{answer[0].upper()}{answer[1:]}."
    yield f"Question: {second}\nAnswer:", answer
    for note in entry["notes"]:
        before, found, after = note.lower().partition(answer.lower())
        if found:
            gap = f"{note[: len(before)]}____{note[len(note) - len(after) :]}"
            yield f"Question: Which term is missing? {gap}\nAnswer:", answer
            return


def rows() -> Iterator[str]:
    """Yield the lines of the file."""
    for line in (HERE.parent / "handbook.jsonl").read_text("utf-8").splitlines():
        entry = json.loads(line)
        for number, (question, answer) in enumerate(examples(entry), start=1):
            messages = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
            yield json.dumps({"id": f"{entry['id']}.{number}", "category": entry["category"], "messages": messages})


if __name__ == "__main__":
    (HERE / "examples.jsonl").write_text("".join(f"{row}\n" for row in rows()), "utf-8")
