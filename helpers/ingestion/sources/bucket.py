"""s3://bucket/prefix: judged by its list of objects, then downloaded by ranges of exactly those objects."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import urlsplit

from helpers.errors import InvalidParameter, NotFound, SourceUnreachable
from helpers.ingestion.findings import Finding
from helpers.ingestion.leaving import Leaving
from helpers.ingestion.metering import persistently, refused
from helpers.ingestion.policy import Limits, Policy
from helpers.ingestion.sources.listed import Remote, receive_listed
from helpers.ingestion.sources.listing import inspect_listing
from helpers.ingestion.sources.plan import Plan
from helpers.ingestion.transfer import Incoming
from helpers.storage import data_connection

if TYPE_CHECKING:
    from obstore.store import S3Store

FORM = re.compile(r"([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/(.*?))?/*")
KEYS = "Check SOURCE_AWS_*, or STORE_AWS_* where the source has no keys of its own"
TIMEOUT = timedelta(seconds=30)  # without a byte


class Object(NamedTuple):
    """One object below the prefix."""

    name: str
    size: int
    etag: str
    modified: str


def plan(address: str, policy: Policy) -> Plan:
    """Return the plan for a prefix. Raises InvalidParameter, NotFound, SourceUnreachable or Refused."""
    match = named(address)
    name, prefix = match[1], match[2] or ""
    source = f"s3://{name}/{prefix}".rstrip("/")
    allowed = policy.sources.buckets
    if "*" not in allowed and name not in allowed:
        problem = f"comes from the bucket {name}, which the policy does not allow"
        do = "Take it from an allowed bucket, or let the platform team add this one to the policy"
        return Plan("", {}, {}, (Finding(".", "source", "medium", problem, do),))
    config = _config()
    store = _open(name, prefix, config, policy.limits)
    objects = persistently(partial(_list, store, source, policy.limits), source)
    if not objects:
        raise NotFound(f"{source} holds no objects", do="Check bucket and prefix")
    identity = hashlib.sha256("\n".join(map(repr, objects)).encode()).hexdigest()
    host = urlsplit(config.get("endpoint", "")).hostname or "aws"
    origin = {"kind": "bucket", "class": host, "group": name, "id": identity, "name": prefix or name}
    leaving = Leaving(policy)
    taken = [item for item in objects if not leaving(item.name)]
    findings = (*inspect_listing({item.name: item.size for item in taken}, policy), *leaving.note())
    remotes = [Remote(item.name, item.size, partial(_opened, store, source, item)) for item in taken]
    facts = {"objects": f"sha256:{identity}"}
    return Plan(identity, origin, facts, findings, partial(receive_listed, source, remotes, policy))


def named(address: str) -> re.Match[str]:
    """Return an address in its parts. Raises InvalidParameter."""
    match = FORM.fullmatch(address)
    if not match:
        raise InvalidParameter(f"s3://{address} names no bucket", do="Give s3://bucket/prefix")
    return match


def _config() -> dict[str, str]:
    """Return the source's own settings, or the store's where it has none."""
    for prefix in ("SOURCE_AWS_", "STORE_AWS_"):
        if config := data_connection.config(prefix):
            return config
    return {}


def _open(bucket: str, prefix: str, config: dict[str, str], limits: Limits) -> S3Store:
    from obstore.store import S3Store

    options: Any = {
        **data_connection.client_options(config.get("endpoint", "")),
        "connect_timeout": TIMEOUT,
        "read_timeout": TIMEOUT,
        "timeout": max(TIMEOUT, timedelta(hours=limits.hours)),  # of one object, however large
    }
    retry: Any = {"max_retries": 0}  # it is asked again by all callers
    settings: Any = config
    return S3Store(bucket, prefix=prefix or None, config=settings, client_options=options, retry_config=retry)


def _list(store: S3Store, source: str, limits: Limits) -> list[Object]:
    """Return what lies below the prefix, without what only stands for a folder; no more than one over the limit."""
    from obstore.exceptions import InvalidPathError

    objects: list[Object] = []
    with _explained(source):
        try:
            for batch in store.list(chunk_size=1000):
                for item in batch:
                    etag, modified = item["e_tag"] or "", item["last_modified"].isoformat()
                    objects.append(Object(item["path"], item["size"], etag, modified))
                if len(objects) > 2 * limits.files:
                    break
        except InvalidPathError as error:
            problem = "holds an object whose key is no plain path (an empty part, '.' or '..')"
            raise refused(source, ".", "path", problem, "Rename or remove it") from error
    folders = {
        "/".join(parts[:end]) for item in objects for parts in [item.name.split("/")] for end in range(len(parts))
    }
    return sorted(item for item in objects if item.size or item.name not in folders)


@contextmanager
def _opened(store: S3Store, source: str, item: Object, offset: int) -> Iterator[Incoming]:
    """Open an object from `offset` on, as long as it is the one that was listed."""
    with _explained(source):
        options: Any = {"range": {"offset": offset}} if offset else {}
        result = store.get(item.name, options=options | ({"if_match": item.etag} if item.etag else {}))
        if (result.meta["e_tag"] or "") != item.etag or result.meta["size"] != item.size:
            raise _changed(source, item.name)
        chunks = (bytes(chunk) for chunk in result.stream(min_chunk_size=1))
        yield Incoming(result.range[0], chunks)


@contextmanager
def _explained(source: str) -> Iterator[None]:
    """Turn obstore's errors into ours, without their text: an answer to a wrong signature repeats what was signed."""
    from obstore.exceptions import BaseError, PreconditionError

    try:
        yield
    except PreconditionError:
        raise _changed(source, "an object") from None
    except (BaseError, FileNotFoundError) as error:
        raise _error(source, str(error)) from None


def _changed(source: str, name: str) -> SourceUnreachable:
    return SourceUnreachable(
        f"{source}: {name} changed while it was read", do="Wait until nothing writes there, run it again"
    )


def _error(source: str, text: str) -> Exception:
    status = re.search(r"non-2xx status code: (\d{3})", text)
    code = re.search(r"<Code>(\w{1,64})</Code>", text)
    said = " ".join(found[1] for found in (status, code) if found)
    if status and status[1] == "404":
        return NotFound(f"{source} does not exist ({said})", do="Check bucket, prefix and endpoint")
    if status and status[1] in ("400", "401", "403"):
        return SourceUnreachable(f"{source} may not be read ({said})", do=KEYS)
    if "InvalidCertificate" in text:
        do = "Name the CA's PEM file in AWS_CA_BUNDLE or SSL_CERT_FILE, then run it again"
        return SourceUnreachable(f"The certificate of the server of {source} is not trusted", do=do)
    if known := re.search("Connection refused|Name or service not known", text):
        return ConnectionError(f"the bucket's server does not answer: {known[0]}")
    return ConnectionError(f"the bucket's server answers {said}" if said else "the bucket's server does not answer")
