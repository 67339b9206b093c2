"""An endpoint that exists already: URL and model name by parameter, key by environment."""

from __future__ import annotations

from helpers.artifacts import Endpoint, Selection, now
from helpers.ingestion.policy import load_policy
from helpers.serving import client
from helpers.serving.amounts import parse_hardware
from helpers.serving.settings import Settings
from helpers.serving.verification import tokenizer_of


def connect(selection: Selection, settings: Settings) -> Endpoint:
    """Return the endpoint after it has shown that it serves the named model. Raises EndpointUnreachable.

    What a server that was there before has loaded cannot be hashed from here: `digest_verified` is false. The
    tokenizer's files are verified, because the next stages load them.
    """
    url = settings.endpoint_url.rstrip("/").removesuffix("/v1")
    model = settings.endpoint_model or selection.name
    entry = client.model_entry(url, model)
    return Endpoint(
        target="existing",
        url=url,
        model=model,
        tokenizer=str(tokenizer_of(selection, load_policy(settings.policy))),
        max_model_len=entry.get("max_model_len") or settings.max_model_len,
        engine=str(entry.get("owned_by") or "unknown"),
        engine_version=client.version(url),
        hardware=parse_hardware(settings.hardware),
        digest=selection.digest,
        digest_verified=False,
        started=now(),
    )
