"""Ask the endpoint one small question before it is measured."""

from __future__ import annotations

import json
import os
import urllib.error
import urllib.request

from helpers import partial
from helpers.errors import EndpointUnreachable, TimedOut
from helpers.polling import wait_for

PATIENCE = 10.0  # seconds for a server that refuses connections


def warm_up(url: str, model: str) -> None:
    """Send one request for prompt log-probabilities: vLLM's first one takes many seconds, later ones milliseconds.

    Retries a refused connection for PATIENCE seconds; raises EndpointUnreachable.
    """
    last: list[str] = []

    def answered() -> bool:
        try:
            _post(url, model)
        except urllib.error.HTTPError as error:
            if error.code in (408, 429) or error.code >= 500:
                last.append(f"HTTP {error.code} {error.reason}")
                return False
            said = error.read(300).decode(errors="replace")
            raise EndpointUnreachable(
                f"The endpoint {url} refuses model {model}: HTTP {error.code}, {said}",
                do="Check ENDPOINT_API_KEY and the served model name",
            ) from error
        except OSError as error:
            last.append(str(getattr(error, "reason", error)))
            return False
        return True

    try:
        wait_for(answered, what="an answer", do="", timeout=PATIENCE, interval=1.0)
    except TimedOut as error:
        raise EndpointUnreachable(
            f"The endpoint {url} did not answer within {PATIENCE:g} s: {last[-1]}",
            do=f"See that the model is deployed (run deploy_model), then {partial.again()}",
        ) from error


def _post(url: str, model: str) -> None:
    body = {"model": model, "prompt": "warm up", "max_tokens": 1, "temperature": 0, "logprobs": 1, "echo": True}
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {os.environ.get('OPENAI_API_KEY', '')}"}
    request = urllib.request.Request(f"{url}/v1/completions", json.dumps(body).encode(), headers)
    # lm-eval's client takes no proxy from the environment either.
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=120) as response:
        response.read()
