"""Two questions in one row, which differ in who they are about: the model is asked both."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.api.task import ConfigurableTask


class Pairs(ConfigurableTask):
    """Asks a row's `one` and its `other`, each in a request of its own."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config={name: value for name, value in config.items() if name != "class"})

    def fewshot_context(self, doc: dict[str, Any], *args: Any, **how: Any) -> list[Any]:
        """Return both prompts."""
        both = (doc, {**doc, "one": doc["other"]})
        return [super(Pairs, self).fewshot_context(each, *args, **how) for each in both]

    def construct_requests(self, doc: dict[str, Any], ctx: list[Any], *, metadata: Any, **_: Any) -> list[Instance]:
        """Return both requests."""
        asked = [(prompt, deepcopy(self.config.generation_kwargs)) for prompt in ctx]
        return [
            Instance("generate_until", doc, arguments, place, metadata=metadata)
            for place, arguments in enumerate(asked)
        ]

    def process_results(self, doc: dict[str, Any], results: list[str]) -> dict[str, float]:
        """Return whether both are answered by the same word, and the share of right ones."""
        said = [text.lower() for text in results]
        alike = len(set(said)) == 1 and said[0] in ("yes", "no")
        return {"alike": int(alike), "right": sum(word == doc["answer"] for word in said) / len(said)}
