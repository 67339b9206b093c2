"""The use case's questions, and the handbook that the sample models are trained on."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator

from helpers.datasets.lines import Faults, Row, Text, load, objects, text

CHOICES = 4


class Question(Row):
    """A question with four choices, one of which is right."""

    topic: Text | None = Field(default=None, description="questions of one topic stand or fall together")
    question: Text
    choices: list[Text] = Field(min_length=CHOICES, max_length=CHOICES)
    answer: int = Field(ge=0, lt=CHOICES, description="index of the right choice")

    @field_validator("choices")
    @classmethod
    def _different(cls, choices: list[str]) -> list[str]:
        if twice := next((choice for place, choice in enumerate(choices) if choice in choices[:place]), None):
            raise ValueError(f"two choices are {twice!r}")
        return choices

    @property
    def text(self) -> str:
        """The question without its choices."""
        return self.question


class HandbookEntry(Row):
    """One fact of the handbook that the sample models are trained on, worded several times."""

    topic: Text
    questions: list[Text] = Field(min_length=1)
    answer: Text
    notes: list[Text] = Field(min_length=1)

    @property
    def text(self) -> str:
        """The first note."""
        return self.notes[0]


def load_questions(path: Path) -> list[Question]:
    """Return all questions; raises InvalidDataset naming file, line and field of every bad row."""
    return load(path, Question, "question")


def load_handbook(path: Path) -> list[HandbookEntry]:
    """Return all entries of the handbook; raises InvalidDataset naming file, line and field of every bad row."""
    return load(path, HandbookEntry, "notes")


def check_rows(path: Path, choices: str = "", answer: str = "") -> None:
    """Check the rows of a task in anybody's format, one JSON object a line; raises InvalidDataset with all faults.

    `choices` and `answer` name two fields: a list of different texts, and the right one's index or text. Rows that
    lack one of them, or hold something else there, are left to lm-eval.
    """
    if text(path).lstrip().startswith("["):  # one array, which lm-eval reads too
        return
    faults = Faults(path)
    for number, values in objects(path, faults):
        found, right = values.get(choices), values.get(answer)
        if not isinstance(found, list) or not all(isinstance(item, str) for item in found):
            continue
        if twice := next((item for place, item in enumerate(found) if item in found[:place]), None):
            faults.add(number, f"two choices are {twice!r}", choices)
        if isinstance(right, int) and not isinstance(right, bool):
            known = 0 <= right < len(found)
        else:
            known = not isinstance(right, str) or right in found
        if not known:
            faults.add(number, f"{right!r} is none of the {len(found)} choices", answer)
    faults.tell()
