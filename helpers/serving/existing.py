"""An endpoint that exists already: URL and model name by parameter, key by environment."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from helpers.artifacts import Endpoint, Selection, now
from helpers.errors import EndpointUnreachable, InvalidParameter
from helpers.ingestion.policy import load_policy
from helpers.serving import client
from helpers.serving.amounts import parse_hardware
from helpers.serving.files import tokenizer_of
from helpers.serving.offers import Offers, offered
from helpers.serving.settings import Settings

if TYPE_CHECKING:
    from helpers.registry import Registry, Row

LENGTHS = ("max_model_len", "context_length", "context_window", "max_context_length")  # names of a model's context
NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9._-]+")


def select(settings: Settings, registry: Registry, rows: Sequence[Row], name: str = "", version: str = "") -> Selection:
    """Return the version of the registry to measure: the best of the shortlist, or the endpoint that exists.

    An endpoint is registered, as a model of this name, or of the served one's. Raises as Registry.select does, and
    EndpointUnreachable.
    """
    if settings.where != "existing":
        return registry.select(rows, name, version)
    with client.access("key"):
        model, entry = _served(settings)
    _require_answers(settings.base_url, model)  # an address with a mistake takes no version's name
    return registry.register_endpoint(
        name or NOT_IN_A_NAME.sub("-", model).strip("-."),
        version or f"{_made(entry):%Y-%m-%d}",
        url=settings.base_url,
        model=model,
    )


def connect(selection: Selection, settings: Settings) -> Endpoint:
    """Return the endpoint after its model has answered. Raises EndpointUnreachable or InvalidParameter.

    What a server that was there before has loaded cannot be hashed from here: `digest_verified` is false. The
    tokenizer's files of a version with weights are verified, because the next stages load them.
    """
    url = settings.base_url
    if selection.is_endpoint and selection.uri != url:
        raise InvalidParameter(
            f"{selection.label} is the endpoint {selection.uri}, and ENDPOINT_URL is {url}",
            do="Run registry_lookup with the same ENDPOINT_URL",
        )
    with client.access("key"):
        model, entry = _served(settings)
        version = client.version(url)
    endpoint = Endpoint(
        target="existing",
        url=url,
        model=model,
        tokenizer="" if selection.is_endpoint else str(tokenizer_of(selection, load_policy(settings.policy))),
        max_model_len=next((int(entry[name]) for name in LENGTHS if entry.get(name)), settings.max_model_len),
        engine=str(entry.get("owned_by") or "unknown"),
        engine_version=version,
        hardware=parse_hardware(settings.hardware),
        digest=selection.digest,
        digest_verified=False,
        started=now(),
    )
    told = _require_answers(url, model)
    for name, why in {"chat": told.chat, "completions": told.completions, "log-probabilities": told.logprobs}.items():
        print(f"{name}: {why or 'yes'}", flush=True)
    return endpoint


def _served(settings: Settings) -> tuple[str, Mapping[str, Any]]:
    """Return the served model's name and what the server's list says of it, {} where it is not listed.

    Hosted APIs list some of their models, or none. Raises EndpointUnreachable, or InvalidParameter without a name.
    """
    served = client.models(settings.base_url)
    names = [str(entry.get("id")) for entry in served]
    if not settings.endpoint_model and len(names) != 1:
        raise InvalidParameter(
            f"ENDPOINT_MODEL is not set, and {settings.base_url} serves {client.listed(served)}",
            do="Set ENDPOINT_MODEL to the name of the model",
        )
    model = settings.endpoint_model or names[0]
    return model, next((entry for entry in served if entry.get("id") == model), {})


def _made(entry: Mapping[str, Any]) -> datetime:
    """Return when the server says that the model was made, now where it does not."""
    created = entry.get("created")
    return datetime.fromtimestamp(created, UTC) if isinstance(created, int) and created > 0 else now()


def _require_answers(url: str, model: str) -> Offers:
    """Return what the model can be asked. Raises EndpointUnreachable where it answers nothing."""
    found = offered(url, model)
    if found.chat and found.completions:
        with client.access("key"):
            listed = client.listed(client.models(url))
        raise EndpointUnreachable(
            f"{model} at {url} answers neither chat nor completions: {found.chat.rstrip('.')}; "
            f"{found.completions.rstrip('.')}. The server's list has {listed}",
            do="Correct ENDPOINT_URL or ENDPOINT_MODEL",
        )
    return found
