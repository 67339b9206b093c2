"""The server's own tokenizer, where its files are not at hand: vLLM answers /tokenize."""

from __future__ import annotations

from functools import cached_property, lru_cache
from types import SimpleNamespace

import httpx

from helpers.errors import EndpointUnreachable, NotMeasurable
from helpers.runtime.partial import anew
from helpers.runtime.patience import patiently
from helpers.serving import client

PATH = "/tokenize"
MOST_TEXTS = 4096  # remembered: the choices of a question share their beginning


class ServedTokenizer:
    """Calls like a tokenizer of transformers, as far as lm-eval scores log-likelihoods by one."""

    eos_token = eos_token_id = None

    def __init__(self, url: str, model: str, through: str | None = None) -> None:
        """Ask by way of `through`, where requests are forwarded.

        Raises NotMeasurable where the server tokenizes nothing, EndpointUnreachable where it does not answer.
        """
        self._url, self._model, self._through = url, model, through or url
        self._http = httpx.Client(headers=client.headers(), timeout=60)
        self._known = lru_cache(MOST_TEXTS)(self._ask)
        self("a")

    def __call__(self, text: str | list[str], *, add_special_tokens: bool = False, **_: object) -> SimpleNamespace:
        """Return an object whose `input_ids` are the text's tokens, or each text's."""
        if isinstance(text, str):
            return SimpleNamespace(input_ids=list(self._known(text, add_special_tokens)))
        return SimpleNamespace(input_ids=[list(self._known(one, add_special_tokens)) for one in text])

    @cached_property
    def bos_token_id(self) -> int | None:
        """What a prompt begins with, None where that is nothing."""
        return next(iter(self._known("", special=True)), None)

    def _ask(self, text: str, special: bool) -> tuple[int, ...]:
        body = {"model": self._model, "prompt": text, "add_special_tokens": special}
        answer = patiently(
            lambda: client.post(self._through, PATH, body, http=self._http),
            what=f"the server at {self._url}",
            do="Check that it runs",
            again=lambda error: isinstance(error, EndpointUnreachable),
        )
        try:
            return tuple(int(token) for token in answer.body["tokens"])
        except (KeyError, TypeError, ValueError) as error:
            raise NotMeasurable(
                f"Log-likelihoods need a tokenizer: that of {self._model} is unknown, and {self._url} answers "
                f"{answer.status} for {PATH}",
                do=f"Set TASK to one that generates text, or serve a registered version, then {anew()}",
            ) from error
