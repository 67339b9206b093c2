"""Files on this machine and objects in S3 through one code path (obstore); the store is named by a URI.

No object is held in memory as a whole, unless it is asked for with `get`.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlparse

from helpers import data_connection
from helpers.errors import InvalidParameter, NotFound, StoreFailed, StoreUnreachable
from helpers.locks import held

if TYPE_CHECKING:
    from obstore.store import ObjectStore

PART, PARTS = 16 << 20, 9000  # S3 takes 10,000 parts for one object
SMALL = 1 << 20


def resolve(uri: str) -> str:
    """Return the store's URI without a trailing slash. Raises InvalidParameter.

    `local` is the embedded one, `auto` the data connection's bucket where there is one.
    """
    if uri == "auto":
        return data_connection.default_store()
    if uri == "local":
        return data_connection.embedded_store()
    if urlparse(uri).scheme not in ("file", "s3", "oci"):
        raise InvalidParameter(
            f"STORE is {uri!r}, which is no store",
            do="Give auto, local, file:///folder, s3://bucket/prefix or oci://host/repository",
        )
    return uri.rstrip("/")


def local_path(uri: str) -> Path | None:
    """Return the path that a file:// URI names, None for any other scheme."""
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme == "file" else None


def _open(uri: str, *, timeout: float = 20) -> ObjectStore:
    """Open the store; S3 keys come from the data connection."""
    from obstore.store import LocalStore, S3Store

    if path := local_path(uri):
        return LocalStore(path, mkdir=True)
    config = data_connection.store_config()
    options = data_connection.client_options(config.get("endpoint", ""))
    retry = {"max_retries": 4, "retry_timeout": timedelta(seconds=timeout)}
    return S3Store.from_url(uri, config=config, client_options=options, retry_config=retry)  # type: ignore[arg-type]


@contextmanager
def _explained(uri: str, verb: str) -> Iterator[None]:
    """Turn obstore's errors into ours, with the store's address."""
    from obstore.exceptions import BaseError, NotFoundError, PermissionDeniedError, UnauthenticatedError

    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        if verb == "write":
            do = "Create the bucket, or choose another store, then run this stage again"
            raise StoreFailed(f"Could not write {uri}: there is no such bucket", do=do) from error
        raise NotFound(f"{uri} is not in the store", do="Check the address, or run the stage that writes it") from error
    except (BaseError, OSError) as error:
        if local_path(uri) or isinstance(error, PermissionDeniedError | UnauthenticatedError):
            raise StoreFailed(
                f"Could not {verb} {uri}: {_brief(error)}",
                do="Check its space and your rights there, or choose another store, then run this stage again",
            ) from error
        if "InvalidCertificate" in str(error):
            raise StoreUnreachable(
                f"Could not {verb} {uri}: the store's certificate is not trusted",
                do="Name the CA's PEM file in AWS_CA_BUNDLE or SSL_CERT_FILE, then run this stage again",
            ) from error
        raise StoreUnreachable(
            f"Could not {verb} {uri}: {_brief(error)}",
            do="Check the store's address and its keys, then run this stage again",
        ) from error


def _brief(error: Exception) -> str:
    """Return the message without what obstore appends for its own developers."""
    return str(error).partition("\n\nDebug source:")[0]


def put(data: bytes | Path | Iterator[bytes], uri: str, *, size: int = 0) -> str:
    """Write bytes, a file or `size` bytes that come in pieces to `uri`, whole or not at all; return the URI.

    An error that an iterator raises is raised again, and nothing is written. Raises StoreFailed, StoreUnreachable.
    """
    folder, _, name = uri.rpartition("/")
    size = size or (data.stat().st_size if isinstance(data, Path) else 0)
    with _explained(uri, "write"):
        _open(folder).put(name, data, chunk_size=max(PART, -(-size // PARTS)), max_concurrency=4)
    return uri


def stream(uri: str) -> Iterator[bytes]:
    """Return what `uri` holds piece by piece. Raises NotFound, StoreFailed or StoreUnreachable."""
    folder, _, name = uri.rpartition("/")
    with _explained(uri, "read"):
        yield from _open(folder).get(name).stream(min_chunk_size=1 << 20)


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


def sizes(uri: str) -> dict[str, int]:
    """Return the name of every object under `uri`, relative to it, with its size in bytes, sorted."""
    if (path := local_path(uri)) and not path.is_dir():
        raise NotFound(f"{uri} is not in the store", do="Check the address, or run the stage that writes it")
    with _explained(uri, "list"):
        return dict(sorted((item["path"], item["size"]) for batch in _open(uri).list() for item in batch))


def versions(uri: str) -> dict[str, str]:
    """Return the ETag of every object under `uri`, by its name relative to it: another one after each write."""
    with _explained(uri, "list"):
        return {item["path"]: str(item["e_tag"]) for batch in _open(uri).list() for item in batch}


def listing(uri: str) -> list[str]:
    """Return the names of all objects under `uri`, relative to it, sorted."""
    return list(sizes(uri))


def delete(uri: str) -> None:
    """Remove an object; one that is not there is no error."""
    folder, _, name = uri.rpartition("/")
    with suppress(NotFound), _explained(uri, "remove"):
        _open(folder).delete(name)


def fetch(uri: str, folder: Path) -> Path:
    """Return a local folder with exactly what is under `uri`: the folder itself for file://, a download otherwise.

    What a download that was killed left complete is kept; small files, which may have been written anew, are not.
    """
    if path := local_path(uri):
        if not path.is_dir():
            raise NotFound(f"{uri} is not in the store", do="Check the address, or run the stage that writes it")
        return path
    wanted = sizes(uri)
    if odd := [name for name in wanted if not {"", ".", ".."}.isdisjoint(name.split("/"))]:
        raise StoreFailed(f"{uri} has objects whose names are no paths: {odd[0]!r}", do="Remove them from the store")
    folder.mkdir(parents=True, exist_ok=True)
    with held(folder.with_name(f".{folder.name}.lock")):
        for path in [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]:
            if wanted.get(path.relative_to(folder).as_posix()) != path.lstat().st_size or path.is_symlink():
                path.unlink()
        missing = [name for name, size in wanted.items() if size < SMALL or not (folder / name).exists()]
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda name: _download(f"{uri}/{name}", folder / name), missing))
    return folder


def _download(uri: str, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft = path.with_name(f".{path.name}.part")
        with draft.open("wb") as file:
            for data in stream(uri):
                file.write(data)
        draft.replace(path)
    except OSError as error:
        raise StoreFailed(f"Could not write {path}: {error.strerror}", do="Free some space, run it again") from error
