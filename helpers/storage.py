"""Files on this machine and objects in S3 through one code path (obstore); the store is named by a URI."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from helpers.errors import InvalidParameter, NotFound, StoreFailed, StoreUnreachable
from helpers.workspace import home

if TYPE_CHECKING:
    from obstore.store import ObjectStore

S3_KEYS = ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "ENDPOINT", "REGION")


def resolve(uri: str) -> str:
    """Return the store's URI without a trailing slash; `local` is the embedded one. Raises InvalidParameter."""
    if uri == "local":
        return (home() / "store").resolve().as_uri()
    if urlparse(uri).scheme not in ("file", "s3"):
        raise InvalidParameter(
            f"STORE is {uri!r}, which is no store", do="Give local, file:///folder or s3://bucket/prefix"
        )
    return uri.rstrip("/")


def local_path(uri: str) -> Path | None:
    """Return the path that a file:// URI names, None for any other scheme."""
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme == "file" else None


def _open(uri: str, *, timeout: float = 20) -> ObjectStore:
    """Open the store; S3 keys come from STORE_AWS_* (names that do not collide with Elyra's own AWS_*)."""
    from obstore.store import LocalStore, S3Store

    if path := local_path(uri):
        return LocalStore(path, mkdir=True)
    config = {key.lower(): value for key in S3_KEYS if (value := os.environ.get(f"STORE_AWS_{key}"))}
    options = {"allow_http": config.get("endpoint", "").startswith("http://")}
    retry = {"max_retries": 4, "retry_timeout": timedelta(seconds=timeout)}
    return S3Store.from_url(uri, config=config, client_options=options, retry_config=retry)  # type: ignore[arg-type]


@contextmanager
def _explained(uri: str, verb: str) -> Iterator[None]:
    """Turn obstore's errors into ours, with the store's address."""
    from obstore.exceptions import BaseError, NotFoundError

    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        raise NotFound(f"{uri} is not in the store", do="Check the address, or run the stage that writes it") from error
    except (BaseError, OSError) as error:
        if local_path(uri):
            raise StoreFailed(
                f"Could not {verb} {uri}: {error}",
                do="Free some space or choose another store, then run this stage again",
            ) from error
        raise StoreUnreachable(
            f"Could not {verb} {uri}: {error}", do="Check the store's address and its keys, then run this stage again"
        ) from error


def put(data: bytes | Path, uri: str) -> str:
    """Write bytes or a file to `uri`, whole or not at all; return the URI. Raises StoreFailed, StoreUnreachable."""
    folder, _, name = uri.rpartition("/")
    with _explained(uri, "write"):
        _open(folder).put(name, data)
    return uri


def get(uri: str) -> bytes:
    """Return what `uri` holds. Raises NotFound, StoreFailed or StoreUnreachable."""
    folder, _, name = uri.rpartition("/")
    if (path := local_path(folder)) and not path.is_dir():
        raise NotFound(f"{uri} is not in the store", do="Check the address, or run the stage that writes it")
    with _explained(uri, "read"):
        return bytes(_open(folder).get(name).bytes())


def exists(uri: str) -> bool:
    """Return whether an object is there."""
    try:
        folder, _, name = uri.rpartition("/")
        if (path := local_path(folder)) and not path.is_dir():
            return False
        with _explained(uri, "look up"):
            _open(folder).head(name)
    except NotFound:
        return False
    return True


def listing(uri: str) -> list[str]:
    """Return the names of all objects under `uri`, relative to it, sorted."""
    if (path := local_path(uri)) and not path.is_dir():
        raise NotFound(f"{uri} is not in the store", do="Check the address, or run the stage that writes it")
    with _explained(uri, "list"):
        return sorted(item["path"] for batch in _open(uri).list() for item in batch)


def fetch(uri: str, folder: Path) -> Path:
    """Return a local folder with everything under `uri`: the folder itself for file://, a download otherwise."""
    if path := local_path(uri):
        if not path.is_dir():
            raise NotFound(f"{uri} is not in the store", do="Check the address, or run the stage that writes it")
        return path
    for name in listing(uri):
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(get(f"{uri}/{name}"))
    return folder
