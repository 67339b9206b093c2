"""Use cases: what there is to measure, with prompts and questions; all of it checked before anything is started."""

from helpers.datasets.files import digest
from helpers.datasets.prompts import Prompt, Prompts, load_prompts, read_prompts
from helpers.datasets.questions import HandbookEntry, Question, check_rows, load_handbook, load_questions
from helpers.datasets.use_case import UseCase, load_use_case

__all__ = [
    "HandbookEntry",
    "Prompt",
    "Prompts",
    "Question",
    "UseCase",
    "check_rows",
    "digest",
    "load_handbook",
    "load_prompts",
    "load_questions",
    "load_use_case",
    "read_prompts",
]
