"""The server that is measured is the one that was deployed, at the end as at the beginning."""

from __future__ import annotations

import re
from typing import Any

from helpers.artifacts import Endpoint
from helpers.errors import EndpointUnreachable, ServerChanged
from helpers.runtime.partial import again, in_run
from helpers.runtime.patience import patiently
from helpers.serving import client, local
from helpers.serving.difference import Difference
from helpers.serving.offers import answers

AWAY_SECONDS = 60.0  # a server that is busy, or a network that is away for a moment, is no change
LOOKS = 5  # at what somebody else runs, before its counters are believed
START = "process_start_time_seconds"
COUNTER = re.compile(
    rf"^(vllm:(?:request_success|prompt_tokens|generation_tokens)_total|{START})(?:\{{.*\}})?\s+(\S+)", re.MULTILINE
)


class Guard:
    """Looks whether the server of an endpoint is still the same; what it counts is compared from look to look."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._counters: dict[str, float] | None = None  # of the last look
        self._several = False  # servers behind one address

    def check(self) -> None:
        """Look, and return where the server is the one that was deployed and none took its place since the last look.

        Raises ServerChanged where it is another or was changed, EndpointUnreachable where it does not answer (at the
        first look at once, later after a minute), ClusterUnreachable where the cluster does not.
        """
        if found := difference(self._endpoint):
            raise changed(self._endpoint, found)
        with client.access(self._endpoint.auth):
            what = self._told() or self._counted()
        if what:
            raise changed(self._endpoint, Difference(what, gone=False))

    def _told(self) -> str:
        """Return what the server says of itself that is not as it was deployed, "" where all is."""
        endpoint, entries = self._endpoint, self._models()
        entry = next((entry for entry in entries if entry.get("id") == endpoint.model), None)
        if entry is None and endpoint.target == "existing" and answers(endpoint):
            return ""  # hosted APIs list some of their models, or none
        if entry is None:
            return f"it serves {client.listed(entries)} and not {endpoint.model}"
        length = entry.get("max_model_len")
        if length and int(length) != endpoint.max_model_len:
            return f"its context is {length} tokens and was {endpoint.max_model_len}"
        return ""

    def _models(self) -> list[dict[str, Any]]:
        url = self._endpoint.url
        return patiently(
            lambda: client.models(url),
            what=f"the server at {url}",
            do="Check that it runs",
            again=lambda error: isinstance(error, EndpointUnreachable),
            seconds=0 if self._counters is None else AWAY_SECONDS,
        )

    def _counted(self) -> str:
        """Return which of its counters went back since the last look, "" where none did."""
        url, before = self._endpoint.url, self._counters
        found = _counters(url)
        self._counters = found or before or {}
        if before is None and self._endpoint.target == "existing":
            self._several = any(_went_back(found, _counters(url)) for _ in range(LOOKS))
            if self._several:
                print(f"Several servers answer at {url}: that one of them is replaced cannot be seen.", flush=True)
        return "" if before is None or self._several else _went_back(before, found)


def difference(endpoint: Endpoint) -> Difference | None:
    """Return what became of the server that was deployed, None where it stands as it was, or was there before us."""
    if endpoint.target == "existing" or not endpoint.handle:
        return None
    if endpoint.target == "kserve":
        from helpers.serving import kserve

        return kserve.difference(endpoint.handle, endpoint.server)
    return local.difference(endpoint.handle, endpoint.server)


def changed(endpoint: Endpoint, found: Difference) -> ServerChanged:
    """Return the error of a server that is not the one that was deployed any more."""
    if endpoint.target == "existing":
        do = f"Ask who runs this server, then {again()}"
    elif found.gone:
        do = f"{again().capitalize()}: the model is served again"
    else:
        by_hand = "run deploy_model and this stage again"  # that makes it anew; a failed run's is freed with the run
        do = f"Find out who changed it, then {again() if in_run() else by_hand}"
    return ServerChanged(f"{endpoint.model} at {endpoint.url} is not the server that was deployed: {found.what}", do=do)


def _counters(url: str) -> dict[str, float]:
    totals: dict[str, float] = {}
    for name, value in COUNTER.findall(client.metrics(url)):
        totals[name] = totals.get(name, 0.0) + float(value)
    return totals


def _went_back(before: dict[str, float], after: dict[str, float]) -> str:
    both = before.keys() & after.keys()
    if START in both and abs(after[START] - before[START]) > 1:
        return "it was started anew"
    lower = sorted(name for name in both if after[name] < before[name])
    return f"its counter {lower[0]} went back from {before[lower[0]]:g} to {after[lower[0]]:g}" if lower else ""
