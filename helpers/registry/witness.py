"""Each decision once more, in the store that holds the model: who shortens a registry's history leaves it there.

Files that nobody trusted has signed count for nothing, so that whoever may write to a bucket can add none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from helpers import storage
from helpers.errors import AssayError, NotFound, SignatureInvalid
from helpers.registry.documents import Version
from helpers.registry.history import KIND, History, named
from helpers.runtime import keys, patience, signing

SECONDS = 20  # a person's machine may have no key to the store
MODEL = re.compile(r"(?P<store>(file|s3)://.+)/models/[0-9a-f]{64}")  # where ingest_model publishes


def keep(version: Version, uri: str, history: History) -> str:
    """Write the signed decisions into the model's store where they are not there yet; return why not, "" if they are.

    The registry's copy is the first: a store that cannot be written to undoes no decision.
    """
    place = _place(version, uri)
    try:
        with patience.at_most(SECONDS):
            have = _listing(place) if place else []
            for link in history.decided if place else []:
                if link.signed and (file := f"{link.document}.json") not in have:
                    storage.put(json.dumps(link.signed.fields(), indent=2).encode(), f"{place}/{file}")
    except AssayError as error:
        return error.what
    return ""


def missing(version: Version, uri: str, history: History) -> str:
    """Return which decision the store holds and the registry does not, "" where there is none.

    Raises StoreUnreachable or StoreFailed where the store cannot be asked.
    """
    place = _place(version, uri)
    known = {link.signed for link in history.links}
    for name, found in _signed(place) if place else []:
        payload = _trusted(found)
        if found in known or tuple(payload.get(key) for key in ("model", "version", "digest")) != named(version):
            continue
        if payload["serial"] > _set_aside(history):
            return f"{place}/{name} ({payload['state']}, serial {payload['serial']}) is gone from the registry"
    return ""


def _signed(place: str) -> Iterator[tuple[str, signing.Document]]:
    for name in _listing(place):
        try:
            found = signing.Document.of(json.loads(storage.get(f"{place}/{name}")))
        except (ValueError, AttributeError):
            continue
        if found:
            yield name, found


def _trusted(document: signing.Document) -> dict[str, Any]:
    try:
        return signing.verified(document, KIND, keys.trusted(keys.MODEL_OPS))
    except SignatureInvalid:
        return {}


def _set_aside(history: History) -> int:
    """Return up to which serial a person has set everything aside."""
    first = history.chain[0].decision if history.chain else None
    return first.serial if first and first.aside else 0


def _place(version: Version, uri: str) -> str:
    found = MODEL.fullmatch(uri)
    name, number = (quote(part, safe="") for part in (version.name, version.version))
    return f"{found['store']}/decisions/{name}/{number}" if found else ""


def _listing(place: str) -> list[str]:
    try:
        return storage.listing(place)
    except NotFound:
        return []
