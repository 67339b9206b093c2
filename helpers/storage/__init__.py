"""Files on this machine and objects in S3 through one code path (obstore); the store is named by a URI.

No object is held in memory as a whole, unless it is asked for with `get`. A store on the network may be away for two
minutes: requests are asked again, a download goes on where it ended, and so do the parts of an upload.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import unquote, urlparse

from helpers.errors import InvalidParameter, NotFound, StoreFailed, StoreUnreachable
from helpers.runtime import patience
from helpers.runtime.locks import held
from helpers.storage import data_connection

if TYPE_CHECKING:
    from obstore.store import ObjectStore

T = TypeVar("T")
PART, PARTS = 16 << 20, 9000  # bytes of a part at least; S3 takes 10,000 parts for one object
SMALL = 1 << 20
IMAGES = "oci"  # the scheme of a registry of images, which takes models only
CONNECT_SECONDS, STALLED_SECONDS = 5, 15
PART_SECONDS = 30  # for a part of 16 MiB to arrive
WHOLE = "1day"  # a download may take as long as it likes, as long as something comes
DO = "Check the store's address and its keys, then run this stage again"


def resolve(uri: str) -> str:
    """Return the store's URI without a trailing slash. Raises InvalidParameter.

    `local` is the embedded one, `auto` the data connection's bucket where there is one.
    """
    if uri == "auto":
        return data_connection.default_store()
    if uri == "local":
        return data_connection.embedded_store()
    check_form(uri, IMAGES)
    return uri.rstrip("/")


def check_form(uri: str, *more: str) -> None:
    """Refuse what names no store: no folder, no bucket, and nothing of the schemes `more`. Raises InvalidParameter."""
    try:
        parts = urlparse(uri)
    except ValueError:
        parts = urlparse("")
    named = parts.path.startswith("/") and not parts.netloc if parts.scheme == "file" else parts.netloc
    if parts.scheme != "file" and not {".", ".."}.isdisjoint(uri.split("/")):
        named = ""
    if uri not in ("auto", "local") and not (named and parts.scheme in ("file", "s3", *more)):
        image = "".join(f", {scheme}://host/repository" for scheme in more)
        raise InvalidParameter(
            f"{uri!r} names no store", do=f"Give auto, local, file:///folder, s3://bucket/prefix{image}"
        )


def _check_way(uri: str) -> None:
    """Refuse an address that leads out of its folder, as a name in it may. Raises InvalidParameter."""
    if ".." in unquote(urlparse(uri).path).replace("\\", "/").split("/"):
        raise InvalidParameter(f"{uri!r} leads out of its folder", do="Give the name of what is meant, without ..")


def local_path(uri: str) -> Path | None:
    """Return the path that a file:// URI names, None for any other scheme. Raises InvalidParameter as all here do.

    Every object is named by way of this function: an address that leads out of its folder is refused.
    """
    _check_way(uri)
    parsed = urlparse(uri)
    return Path(unquote(parsed.path)) if parsed.scheme == "file" else None


def _open(uri: str, *, sent: int = 0, parts: bool = False, checked: bool = False) -> ObjectStore:
    """Open the store; S3 keys come from the data connection.

    `sent` is how many bytes a request carries at most. The library itself asks again only for an upload in `parts`.
    `checked` lets the store check the SHA-256 of what is sent, and keep it.
    """
    from obstore.store import LocalStore, S3Store

    if path := local_path(uri):
        return LocalStore(path, mkdir=True)
    config = data_connection.store_config() | ({"checksum_algorithm": "SHA256"} if checked else {})
    options: dict[str, Any] = data_connection.client_options(config.get("endpoint", ""))
    options["connect_timeout"] = timedelta(seconds=CONNECT_SECONDS)
    retry: dict[str, Any] = {"max_retries": 0}
    if sent:
        options["timeout"] = timedelta(seconds=PART_SECONDS * max(1.0, sent / PART))
    else:
        options |= {"timeout": WHOLE, "read_timeout": timedelta(seconds=STALLED_SECONDS)}
    if parts:
        first, most = timedelta(seconds=patience.STEPS[0]), timedelta(seconds=patience.STEPS[-1])
        backoff = {"init_backoff": first, "max_backoff": most, "base": 2}
        retry = {"max_retries": 1000, "retry_timeout": timedelta(seconds=patience.SECONDS), "backoff": backoff}
    return S3Store.from_url(uri, config=config, client_options=options, retry_config=retry)  # type: ignore[arg-type]


def _asked(uri: str, verb: str, ask: Callable[[], T]) -> T:
    """Return what `ask` returns, asked again while the store is away, or raise one of our errors."""
    with _explained(uri, verb):
        if local_path(uri):
            return ask()
        parts = urlparse(data_connection.store_config().get("endpoint") or uri)
        address = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"  # without a password
        return patience.patiently(ask, what=f"the store at {address}", do=DO, again=_passing)


def _passing(error: Exception) -> bool:
    """Return whether a request may succeed later: the store was away or ill, and did not refuse."""
    from obstore.exceptions import GenericError

    refused = re.search(r"status code: 4(?!08|29)\d\d|InvalidCertificate|invalid peer certificate", str(error))
    return isinstance(error, GenericError) and not refused


@contextmanager
def _explained(uri: str, verb: str) -> Iterator[None]:
    """Turn obstore's errors into ours, with the store's address."""
    from obstore.exceptions import (
        BaseError,
        NotFoundError,
        PermissionDeniedError,
        PreconditionError,
        UnauthenticatedError,
    )  # fmt: skip

    try:
        yield
    except (NotFoundError, FileNotFoundError) as error:
        if verb == "write":
            do = "Create the bucket, or choose another store, then run this stage again"
            raise StoreFailed(f"Could not write {uri}: there is no such bucket", do=do) from error
        raise NotFound(f"{uri} is not in the store", do="Check the address, or run the stage that writes it") from error
    except (BaseError, OSError) as error:
        if isinstance(error, PreconditionError):
            raise StoreFailed(f"{uri} was written anew while it was read", do="Run this stage again") from error
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
            do=DO,
        ) from error


def _brief(error: Exception) -> str:
    """Return the message without what obstore appends for its own developers, and with the cause that stands there."""
    text, _, source = str(error).partition("\n\nDebug source:")
    cause = re.findall(r'(?:message|error): "([^"]+)"', source)
    return f"{text} ({cause[-1]})" if cause and cause[-1] not in text else text


def part_bytes(size: int) -> int:
    """Return how large the parts are that `put` writes so many bytes in; up to PART bytes are one object."""
    return max(PART, -(-size // PARTS))


def put(data: bytes | Path | Iterator[bytes], uri: str, *, size: int = 0, checked: bool = False) -> str:
    """Write bytes, a file or `size` bytes that come in pieces to `uri`, whole or not at all; return the URI.

    With `checked` an S3 store checks the SHA-256 and keeps it for `checksums.kept`. An error that an iterator raises is
    raised again, and nothing is written. Raises StoreFailed, StoreUnreachable.
    """
    folder, _, name = uri.rpartition("/")
    size = len(data) if isinstance(data, bytes) else data.stat().st_size if isinstance(data, Path) else size
    part = part_bytes(size)
    if local_path(uri):
        with _explained(uri, "write"):
            _open(folder).put(name, data, chunk_size=part, max_concurrency=4)
    elif isinstance(data, bytes | Path) and size <= PART:
        _asked(uri, "write", lambda: _open(folder, sent=PART, checked=checked).put(name, data, use_multipart=False))
    else:
        _look(uri)  # a store that is not there is told before the parts are read
        with _explained(uri, "write"), _watched(uri):
            _open(folder, sent=part, parts=True, checked=checked).put(name, data, chunk_size=part, max_concurrency=4)
    return uri


def _look(uri: str) -> None:
    """Ask the store anything, patiently: whether there is something at `uri`, or may be seen, does not matter."""
    from obstore.exceptions import PermissionDeniedError

    folder, _, name = uri.rpartition("/")

    def head() -> None:
        with suppress(FileNotFoundError, PermissionDeniedError):
            _open(folder).head(name)

    _asked(uri, "write", head)


@contextmanager
def _watched(uri: str) -> Iterator[None]:
    """Say who is waited for while the library sends parts again, which it does without a word."""
    done = threading.Event()

    def watch() -> None:
        while not done.wait(patience.SAY_EVERY):
            with suppress(StoreUnreachable, StoreFailed):
                _look(uri)

    threading.Thread(target=watch, name="store-watch", daemon=True).start()
    try:
        yield
    finally:
        done.set()


def stream(uri: str) -> Iterator[bytes]:
    """Return what `uri` holds piece by piece, going on where it broke off.

    Raises NotFound, StoreFailed or StoreUnreachable.
    """
    folder, _, name = uri.rpartition("/")
    coming: Iterator[bytes] | None = None
    have, size, tag = 0, -1, ""

    def more() -> bytes:
        nonlocal coming, have, size, tag
        if have == size:
            return b""
        try:
            if coming is None:
                found = _open(folder).get(name, options={"range": {"offset": have}, "if_match": tag} if have else {})
                size, tag = found.meta["size"], found.meta["e_tag"] or ""
                coming = iter(found.stream(min_chunk_size=1 << 20))
            data = next(coming, b"")
        except Exception:
            coming = None
            raise
        have += len(data)
        return data

    while data := _asked(uri, "read", more):
        yield data


def get(uri: str) -> bytes:
    """Return what `uri` holds. Raises NotFound, StoreFailed or StoreUnreachable."""
    folder, _, name = uri.rpartition("/")
    if (path := local_path(folder)) and not path.is_dir():
        raise NotFound(f"{uri} is not in the store", do="Check the address, or run the stage that writes it")
    return _asked(uri, "read", lambda: bytes(_open(folder).get(name).bytes()))


def exists(uri: str) -> bool:
    """Return whether an object is there."""
    folder, _, name = uri.rpartition("/")
    if (path := local_path(folder)) and not path.is_dir():
        return False
    try:
        _asked(uri, "look up", lambda: _open(folder).head(name))
    except NotFound:
        return False
    return True


def sizes(uri: str) -> dict[str, int]:
    """Return the name of every object under `uri`, relative to it, with its size in bytes, sorted."""
    if (path := local_path(uri)) and not path.is_dir():
        raise NotFound(f"{uri} is not in the store", do="Check the address, or run the stage that writes it")
    return dict(sorted((item["path"], item["size"]) for item in _listed(uri)))


def _listed(uri: str) -> list[Any]:
    return _asked(uri, "list", lambda: [item for batch in _open(uri).list() for item in batch])


def listing(uri: str) -> list[str]:
    """Return the names of all objects under `uri`, relative to it, sorted."""
    return list(sizes(uri))


def delete(uri: str) -> None:
    """Remove an object; one that is not there is no error."""
    folder, _, name = uri.rpartition("/")
    with suppress(NotFound):
        _asked(uri, "remove", lambda: _open(folder).delete(name))


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
