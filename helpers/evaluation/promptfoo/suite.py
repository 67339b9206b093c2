"""Read a suite before anything runs: the files that it names, and what its assertions ask for."""

from __future__ import annotations

import csv
import glob
import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from helpers.datasets.files import digest, files
from helpers.errors import InvalidDataset
from helpers.evaluation.promptfoo.grading import labelled
from helpers.evaluation.promptfoo.settings import Settings

# A model reads the answer and says whether it is right.
GRADED = {
    "agent-rubric", "context-faithfulness", "context-recall", "context-relevance", "conversation-relevance",
    "factuality", "g-eval", "llm-rubric", "model-graded-closedqa", "model-graded-factuality", "select-best",
    "trajectory:goal-success",
}  # fmt: skip
# These need a service beside the models that are asked here: embeddings, a classifier, a search, somebody's address.
SERVED = {"answer-relevance", "classifier", "guardrails", "moderation", "pi", "search-rubric", "similar", "webhook"}
PROVIDERS = ("provider", "providers")
LOCAL, REMOTE = "file://", ("http://", "https://", "huggingface://", "gs://", "s3://", "az://", "promptfoo://")
YAML, LINES = (".yaml", ".yml", ".json"), ".jsonl"
MOST_TOLD = 20
EXPECTED = "__expected"  # columns of a table that hold assertions


def content(settings: Settings) -> dict[str, str]:
    """Return the digest of each file of the suite's folder. Raises InvalidDataset with all that is wrong in it."""
    assert settings.config is not None
    config = settings.config
    if not config.is_file() or config.suffix not in YAML:
        raise InvalidDataset(f"{config} is no promptfooconfig.yaml", do="Name the suite's configuration, YAML or JSON")
    if told := list(dict.fromkeys(_Reading(config, graded=bool(settings.grader_model)).faults())):
        raise InvalidDataset("; ".join(told[:MOST_TOLD]), do="Correct the suite")
    labelled(config)
    return {path.relative_to(config.parent).as_posix(): digest(path) for path in sorted(files(config.parent))}


class _Reading:
    """One reading of a suite, from its configuration on."""

    def __init__(self, config: Path, *, graded: bool) -> None:
        self.config, self.folder, self.graded = config, config.parent.resolve(), graded
        self.seen: set[Path] = set()
        self.nodes: dict[int, Any] = {}  # an alias leads to a node again, in a suite that means harm very often

    def faults(self) -> Iterator[str]:
        """Yield file, line and fault of what cannot run here."""
        yield from self._file(self.config)

    def _file(self, path: Path) -> Iterator[str]:
        if path in self.seen:
            return
        self.seen.add(path)
        try:
            text = path.read_text("utf-8")
            if path.suffix == ".csv":
                yield from self._table(path, text)
            elif path.suffix == LINES:
                for number, line in enumerate(text.splitlines(), start=1):
                    yield from self._node(path, _compose(line), number) if line.strip() else ()
            elif path.suffix in YAML:
                yield from self._node(path, _compose(text), 0, top=path == self.config)
        except (UnicodeDecodeError, csv.Error, ValueError) as error:
            yield f"{path}: {' '.join(str(error).split())[:200]}"

    def _node(
        self, path: Path, node: Any, line: int, *, top: bool = False, tests: bool = False, default: bool = False
    ) -> Iterator[str]:
        """Yield the faults of one value of a YAML file and of all that it holds; `line` is that of a file of lines."""
        import yaml

        if self.nodes.setdefault(id(node), None) is node:
            return
        self.nodes[id(node)] = node
        if isinstance(node, yaml.ScalarNode):
            yield from self._text(path, line or node.start_mark.line + 1, str(node.value), named=tests)
        elif isinstance(node, yaml.SequenceNode):
            for each in node.value:
                yield from self._node(path, each, line, tests=tests)
        elif isinstance(node, yaml.MappingNode):
            for key, value in node.value:
                where, name = f"{path}:{line or key.start_mark.line + 1}", str(key.value)
                if name in PROVIDERS or (top and name == "targets"):
                    if not top and not default:  # these two the stage gives in their place
                        yield f"{where}: {name}: the endpoint is asked, and GRADER_MODEL grades: take it out"
                    continue
                if name == "assert" and isinstance(value, yaml.SequenceNode):
                    for each in value.value:
                        yield from self._assertion(path, each, line)
                tests, default = top and name in ("tests", "scenarios"), default or (top and name == "defaultTest")
                yield from self._node(path, value, line, tests=tests, default=default)

    def _assertion(self, path: Path, node: Any, line: int) -> Iterator[str]:
        import yaml

        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            if key.value == "type":
                yield from self._kind(f"{path}:{line or value.start_mark.line + 1}", str(value.value))

    def _kind(self, where: str, kind: str) -> Iterator[str]:
        own = kind.removeprefix("not-").partition("(")[0]
        if own in SERVED or own.partition(":")[0] in SERVED or own.startswith("promptfoo:"):
            yield f"{where}: type: {kind} needs a service that this stage does not have"
        elif own in GRADED and not self.graded:
            yield f"{where}: type: {kind} lets a model grade: name another one than the measured (GRADER_MODEL)"

    def _text(self, path: Path, line: int, text: str, *, named: bool) -> Iterator[str]:
        """Yield why a text that names a file, or a list of tests, leads to nothing that is here."""
        where = f"{path}:{line}"
        if text.startswith(REMOTE) and named:
            yield f"{where}: {text} lies elsewhere: bring it into the suite's folder"
        is_table = named and Path(text.partition("#")[0]).suffix in (*YAML, LINES, ".csv")
        if not (text.startswith(LOCAL) or is_table) or "{{" in text:
            return
        name = text.removeprefix(LOCAL)
        for part in (name, name.rpartition(":")[0]):  # a function may follow
            found = [Path(each) for each in sorted(glob.glob(str(self.folder / part), recursive=True))] if part else []
            if found:
                break
        if outside := [each for each in found if not each.resolve().is_relative_to(self.folder)]:
            yield f"{where}: {text} leads to {outside[0]}, outside the suite's folder, with which it has to travel"
        elif not found:
            yield f"{where}: {text} leads to no file from {self.folder}"
        else:
            for each in found:
                yield from self._file(each) if each.is_file() else ()

    def _table(self, path: Path, text: str) -> Iterator[str]:
        for number, row in enumerate(csv.DictReader(io.StringIO(text)), start=2):
            for column, value in row.items():
                if str(column).startswith(EXPECTED) and value:
                    kind = str(value).partition(":")[0].strip()
                    yield from self._kind(f"{path}, row {number}", "llm-rubric" if kind == "grade" else kind)


def _compose(text: str) -> Any:
    import yaml

    try:
        return yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise ValueError(
            f"line {mark.line + 1 if mark else 1}: is not YAML: {getattr(error, 'problem', '')}"
        ) from error
