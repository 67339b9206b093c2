"""The same client for /v1/chat/completions: the server applies the model's chat template."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aiohttp import ClientResponseError, ClientSession
from lm_eval.models.openai_completions import LocalChatCompletion

from helpers.evaluation.lm_eval.completions import Completions

NEWER = "max_completion_tokens"  # what some models insist on in place of max_tokens


class Chat(Completions, LocalChatCompletion):
    """`local-chat-completions` with what `Completions` adds; it needs no tokenizer."""

    path = "/v1/chat/completions"
    newer = False

    def _create_payload(self, messages: Any, **how: Any) -> dict[str, Any]:
        payload: dict[str, Any] = super()._create_payload(messages, **how)
        if not payload["stop"]:  # which some servers refuse
            del payload["stop"]
        if messages[-1]["role"] == "assistant":  # the task begins the answer (gen_prefix)
            payload |= {"add_generation_prompt": False, "continue_final_message": True}
        return payload

    async def _post(self, session: ClientSession, payload: Mapping[str, Any]) -> Any:
        if self.newer and "max_tokens" in payload:
            payload = {NEWER if name == "max_tokens" else name: value for name, value in payload.items()}
        try:
            return await super()._post(session, payload)
        except ClientResponseError as error:
            if error.status not in (400, 422) or NEWER not in error.message or NEWER in payload:
                raise
        self.newer = True
        return await self._post(session, payload)
