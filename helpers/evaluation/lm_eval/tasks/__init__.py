"""Find the task, where its data lies and what it is made of, before a server is bothered; none of its code runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from helpers import datasets
from helpers.errors import InvalidDataset, InvalidInput, NotMeasurable
from helpers.evaluation.lm_eval.figures import Figure, stated
from helpers.evaluation.lm_eval.settings import Settings
from helpers.evaluation.lm_eval.tasks.catalogue import PACKAGE, Catalogue, Member
from helpers.evaluation.lm_eval.tasks.content import Content, of_members
from helpers.evaluation.lm_eval.tasks.fields import check_fields, check_metric, metrics_of, plain
from helpers.evaluation.lm_eval.tasks.sources import Source, locate, rows_of

__all__ = ["Member", "Source", "Task", "check_task"]
_OUR_LOADER = "questions.load"


@dataclass(frozen=True)
class Task:
    """An lm-eval task, or a group or tag of several.

    `collection`: lm-eval's own collection is needed; `questions` and `digest` are known for our own format.
    """

    name: str
    leaves: tuple[Member, ...] = ()
    sources: Mapping[str, Source] = field(default_factory=dict)
    root: Path | None = None
    collection: bool = True
    questions: int | None = None
    digest: str | None = None
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def members(self) -> tuple[str, ...]:
        """The names of the tasks that are asked, as lm-eval names them; one unless it is a group or tag."""
        return tuple(leaf.name for leaf in self.leaves)

    @property
    def configs(self) -> dict[str, Mapping[str, Any]]:
        """Each member's YAML, merged with what it includes and its groups hand down; functions are not resolved."""
        return {leaf.name: leaf.config for leaf in self.leaves}

    @property
    def calls(self) -> dict[str, dict[str, Any]]:
        """What `datasets.load_dataset` is to be called with for each member whose own code does not load its data."""
        return {
            name: {"path": source.path, "name": source.name, "kwargs": source.kwargs}
            for name, source in self.sources.items()
            if not source.by_code
        }

    @property
    def remote(self) -> tuple[str, ...]:
        """The members whose data has to be downloaded."""
        return tuple(name for name, source in self.sources.items() if source.remote)

    @property
    def own(self) -> dict[str, str]:
        """The YAML of each member whose data lies on this machine."""
        return {leaf.name: str(leaf.file) for leaf in self.leaves if not self.sources[leaf.name].remote}

    @property
    def offline(self) -> bool:
        """Whether no member's own code loads data, so that nothing is downloaded while it runs."""
        return self.digest is not None or not any(source.by_code for source in self.sources.values())

    def metrics(self, wanted: str) -> list[str]:
        """Return which metrics its score may be, [] where only a run can tell."""
        return metrics_of(self.configs.values(), wanted)

    @cached_property
    def content(self) -> Content:
        """Every file that decides the questions and scores, and where the list cannot be complete."""
        return of_members(self.leaves, self.sources, self.root)

    @property
    def files(self) -> tuple[Path, ...]:
        """These files, without those that come with lm-eval itself."""
        return tuple(path for path in self.content.files.values() if not path.is_relative_to(PACKAGE))

    @cached_property
    def digests(self) -> dict[str, str]:
        """The sha256 of each of these files."""
        return {name: datasets.digest(path) for name, path in self.content.files.items()}


def check_task(settings: Settings) -> Task:
    """Find the task, its members and their data, and check the rows and the metric.

    Raises UnknownTask, NotMeasurable or InvalidDataset.
    """
    catalogue = Catalogue(settings.include_path)
    leaves = catalogue.members(settings.task)
    ours = _ours(leaves[0]) if len(leaves) == 1 else None
    rows = len(datasets.load_questions(ours)) if ours else None
    sources = {leaf.name: Source(by_code=True, files=(ours,)) if ours else locate(leaf) for leaf in leaves}
    wrong = [error for leaf in leaves for error in _faults(leaf, sources[leaf.name], settings.metric)]
    if wrong:
        raise type(wrong[0])("; ".join(dict.fromkeys(error.what for error in wrong)), do=wrong[0].do)
    figures = stated({leaf.file: leaf.config for leaf in leaves})
    known = {"questions": rows, "digest": datasets.digest(ours)} if ours else {}
    place = settings.include_path
    return Task(settings.task, leaves, sources, place, catalogue.collection, figures=figures, **known)  # type: ignore[arg-type]


def _ours(leaf: Member) -> Path | None:
    """Return the file of rows in our own format, which stands beside the YAML under the task's name."""
    ours = leaf.config.get("custom_dataset") == _OUR_LOADER
    return leaf.file.with_name(f"{leaf.name}.jsonl") if ours else None


def _faults(leaf: Member, source: Source, metric: str) -> Iterator[InvalidInput]:
    """Yield what is wrong in the local rows: no JSON, and by the YAML's fields what they lack, choices and answer."""
    try:
        check_metric(leaf, metric)
    except NotMeasurable as error:
        yield error
    fields = [plain(leaf.config.get(key)) for key in ("doc_to_choice", "doc_to_target")]
    choice = leaf.config.get("output_type") == "multiple_choice" and not leaf.config.get("process_docs")
    for path in rows_of(source.files):
        if path.stat().st_size:
            try:
                datasets.check_rows(path, *(fields if choice and all(isinstance(name, str) for name in fields) else ()))
            except InvalidDataset as error:
                yield error
    if source.files and not any(path.stat().st_size for path in source.files):
        yield InvalidDataset(f"The data of {leaf.name} is empty ({source.files[0]})", do="Fill the file")
        return
    try:
        check_fields(leaf, source)
    except InvalidDataset as error:
        yield error
