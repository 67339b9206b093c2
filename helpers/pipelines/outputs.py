"""Which files a measuring node hands on: they follow from its notebook and from its variable NAME."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from helpers.artifacts import FOLDER
from helpers.artifacts.measurement import EVALUATION, LOAD_TEST
from helpers.evaluation import evaluator
from helpers.evaluation.lm_eval import results
from helpers.load_test import command

DEFAULT = {  # NAME, where a node sets none
    "guidellm_sweep": LOAD_TEST,
    "lm_eval_task": EVALUATION,
    "structured_output": "formatting",
    "tool_calling": "tools",
    "safety_scan": "safety",
    "promptfoo_suite": "application",
}
EVALUATORS = {  # of the stages beside lm_eval_task
    "structured_output": "structured_output",
    "tool_calling": "tool_calling",
    "safety_scan": "garak",
    "promptfoo_suite": "promptfoo",
}


class Node(NamedTuple):
    """A node of a pipeline: its notebook, what it reads from its environment, and the outputs that it declares."""

    notebook: Path
    environment: Mapping[str, str]
    outputs: Sequence[str]

    @property
    def name(self) -> str:
        """The name of its measurement, "" where it measures nothing."""
        default = DEFAULT.get(self.notebook.stem, "")
        return default and (self.environment.get("NAME") or default)


def executed(stage: str, environment: Mapping[str, str]) -> str:
    """Return what a node's executed notebook is called: two nodes with one notebook leave two."""
    name = environment.get("NAME", "")
    return f"{stage}.{name}" if stage in DEFAULT and name not in ("", DEFAULT[stage]) else stage


def outputs(stage: str, name: str) -> list[str]:
    """Return the files that a measuring stage hands on under a name, from beside the notebook."""
    if stage == "guidellm_sweep":
        loads, repeats = command.files(name), command.files(name, repeats=True)
        files = [loads.report, repeats.report, loads.page]
    elif stage in EVALUATORS:
        files = list(evaluator.raw(EVALUATORS[stage], name).values())
    else:
        own = results.files(name)
        files = [own.results, own.samples]
    return [str(FOLDER / file) for file in (f"{name}.json", *files)]


def faults(nodes: Iterable[Node]) -> Iterator[str]:
    """Yield where a measuring node does not declare what it writes, and where another node writes the same."""
    seen: dict[str, str] = {}
    for node in sorted(nodes, key=lambda node: bool(node.name)):
        stage, wanted = node.notebook.stem, outputs(node.notebook.stem, node.name) if node.name else node.outputs
        if missing := [file for file in wanted if file not in node.outputs]:
            yield (
                f"{stage} with NAME={node.name} writes {', '.join(wanted)}: "
                f"add {', '.join(missing)} to the outputs of its node"
            )
        if node.name and (file := next((file for file in wanted if file in seen), "")):
            yield f"{seen[file]} and {stage} with NAME={node.name} both write {file}: give each node its own NAME"
        seen |= dict.fromkeys(wanted, stage)
