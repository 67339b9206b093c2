"""What the criteria ask, held against what a pipeline's nodes measure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

from helpers.artifacts.speed import BETTER
from helpers.datasets.criteria import Criteria, load_criteria
from helpers.errors import AssayError, Forbidden, InvalidCriteria, StoreFailed, StoreUnreachable
from helpers.evaluation import lm_eval
from helpers.evaluation.asked import Asked
from helpers.pipelines.outputs import Node
from helpers.runtime.parameters import Asking, Settings


def faults(nodes: Iterable[Node], made: Callable[[Node], Iterable[Settings]]) -> Iterator[str]:
    """Yield the lines about what no node measures, and what a stage that reads the criteria lacks in them.

    `made` returns the settings that a node's notebook would make.
    """
    measured, unknown, readers = dict[str, None](), set[str](), list[Asking]()
    try:
        for node in nodes:
            settings = list(made(node))
            readers += [each for each in settings if isinstance(each, Asking) and each not in readers]
            metrics = _metrics(node, settings)
            measured |= dict.fromkeys(f"{node.name}.{metric}" for metric in metrics or ())
            unknown |= {node.name} if metrics is None else set()
    except (StoreFailed, StoreUnreachable, Forbidden):  # told with the data
        return
    for reader in readers:
        with suppress(InvalidCriteria):  # told with the data
            criteria = load_criteria(reader.criteria)
            lines = (line for line in criteria.lines if line.kind == "evaluation")
            figures = [*measured, *(line.name for line in lines if line.measurement in unknown)]
            yield from _refused(criteria, figures, reader.asks)


def _refused(criteria: Criteria, figures: list[str], needed: str) -> Iterator[str]:
    try:
        if figures:  # a pipeline that measures nothing reads what the registry has, which only the run can tell
            criteria.require(figures)
    except InvalidCriteria as error:
        yield f"{error.what} ({error.do})"
    try:
        getattr(criteria, needed)
    except InvalidCriteria as error:
        yield f"{error.what} ({error.do})"


def _metrics(node: Node, settings: Iterable[Settings]) -> Iterable[str] | None:
    """Return the metrics that a measuring node may have, None where only the run can tell."""
    if node.notebook.stem == "guidellm_sweep":
        return BETTER
    for asked in settings:
        if isinstance(asked, lm_eval.Settings):
            if asked.unwanted:
                return ()
            with suppress(AssayError, ImportError):  # told with the data; lm-eval is in its own stage's image only
                return lm_eval.check_task(asked).metrics(asked.metric) or None
        if isinstance(asked, Asked):
            return () if asked.unwanted else (asked.metric, *asked.further)
    return None
