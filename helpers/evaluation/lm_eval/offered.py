"""Which of the server's two ways a task is asked by; refused where the server has neither."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from helpers.errors import NotMeasurable

Api = Literal["chat", "completions"]
GENERATED = "generative tasks (output_type generate_until)"
SCORED = "multiple-choice and log-likelihood tasks"
DO = "Set TASK to one of a kind that can be measured, or measure another endpoint"
NO_LIKELIHOOD = "/v1/chat/completions returns no log-probabilities of a prompt"


def choose(task: str, wanted: str, kinds: Iterable[str], offered: Mapping[str, str], url: str) -> Api:
    """Return the API for a task with these output types; `wanted` is auto, chat or completions.

    Chat where all is generated and the server has it, because instruct models are used through their chat template;
    else completions. `offered` is "" or why not for chat, completions and logprobs. Raises NotMeasurable.
    """
    generates = set(kinds) == {"generate_until"}
    reasons = {
        "chat": offered["chat"] if generates else NO_LIKELIHOOD,
        "completions": offered["completions"] or ("" if generates else offered["logprobs"]),
    }
    tried: list[Api] = ["chat", "completions"]
    tried = [api for api in tried if wanted in ("auto", api)]
    for api in tried:
        if not reasons[api]:
            return api
    kind = GENERATED if generates else SCORED
    why = "; ".join(f"{api}: {reasons[api].rstrip('. ')}" for api in tried)
    raise NotMeasurable(
        f"{task} is of the kind {kind}, which {url} cannot be asked with API={wanted} ({why}). "
        f"What can be measured there: {measurable(offered)}",
        do=DO if wanted == "auto" else f"Set API=auto; or: {DO[:1].lower()}{DO[1:]}",
    )


def measurable(offered: Mapping[str, Any]) -> str:
    """Return the kinds of tasks that the server can be asked."""
    generated = [GENERATED] if not (offered["chat"] and offered["completions"]) else []
    scored = [SCORED] if not (offered["completions"] or offered["logprobs"]) else []
    return ", ".join(generated + scored) or "nothing"
