"""The attached records in one request or two, without the platform's client: importing that alone takes two seconds."""

from __future__ import annotations

import http.client
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from helpers.errors import RegistryUnreachable
from helpers.registry.access import refused_hint, silent_hint
from helpers.registry.address import resolve, token_for
from helpers.registry.connecting import SPOKEN, ca_file
from helpers.registry.documents import DOCUMENT, RECORD
from helpers.registry.properties import Property, decode

PAGE_SIZE = 1000


@dataclass(frozen=True)
class Entry:
    """One attached record: its id, where it lies and its main figures."""

    record_id: str
    uri: str
    summary: dict[str, Property]


def read_records(address: str, *, timeout: float = 10) -> list[Entry]:
    """Return the records of all versions, oldest first. Raises InvalidParameter or RegistryUnreachable, at once."""
    full = resolve(address)
    documents = sorted(_documents(full, timeout), key=lambda document: int(document["id"]))
    return [
        Entry(document["name"].removeprefix(RECORD), document.get("uri", ""), decode(document.get("customProperties")))
        for document in documents
        if document.get("name", "").startswith(RECORD)
    ]


def _documents(address: str, timeout: float) -> list[dict[str, Any]]:
    query = {"artifactType": DOCUMENT, "pageSize": PAGE_SIZE, "orderBy": "ID"}
    found: list[dict[str, Any]] = []
    while True:
        page = _get(f"{address}/api/model_registry/{SPOKEN}/artifacts?{urlencode(query)}", address, timeout)
        found += page["items"]
        if not page.get("nextPageToken"):
            return found
        query["nextPageToken"] = page["nextPageToken"]


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A log-in page is not followed: the token would go there too."""

    def redirect_request(self, *_: Any) -> None:
        return None


def _get(url: str, address: str, timeout: float) -> dict[str, Any]:
    token = token_for(address)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    handlers: list[Any] = [_NoRedirect()]
    if url.startswith("https://"):
        handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=ca_file(address))))
    try:
        opener, request = urllib.request.build_opener(*handlers), urllib.request.Request(url, headers=headers)
        with opener.open(request, timeout=timeout) as reply:
            page: dict[str, Any] = json.load(reply)
        if not isinstance(page, dict) or not isinstance(page.get("items"), list):
            raise ValueError("no list of artifacts")
        return page
    except urllib.error.HTTPError as error:
        error.close()
        what = f"The registry at {address} answers HTTP {error.code}"
        raise RegistryUnreachable(what, do=refused_hint(address, error.code)) from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise RegistryUnreachable(
            f"The registry at {address} does not answer ({reason})", do=silent_hint(address)
        ) from error
    except ValueError as error:
        raise RegistryUnreachable(f"What answers at {address} is no model registry", do="Check the address") from error
