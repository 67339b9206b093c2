"""The bucket of a node's run: it may be away for two minutes, and its refusals are told as ours.

A pod that is killed takes its folder along: the bucket has a copy of what a stage has measured so far.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from helpers.artifacts import FOLDER as ARTIFACTS
from helpers.errors import ArtifactMissing, AssayError, StoreFailed, StoreUnreachable
from helpers.runtime.partial import FOLDER
from helpers.runtime.patience import brief, distrusted, patiently, refused_tls

T = TypeVar("T")
MISSING = ("NoSuchKey", "NoSuchObject", "ResourceNotFound")
BUSY = ("SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable")
PARTIAL = ARTIFACTS / FOLDER
EVERY = 20.0  # seconds
Stamp = tuple[int, int]


class Store:
    """A bucket as Elyra's MinIO client reaches it."""

    def __init__(self, client: Any, address: str, bucket: str) -> None:
        self.client, self.address, self.bucket = client, address, bucket
        self.gave_up = False  # it was waited for in vain: until it answers it is asked once

    def ask(self, call: Callable[[], T], name: str) -> T:
        """Call until the store answers. Raises ArtifactMissing, StoreFailed or StoreUnreachable."""
        try:
            answer = patiently(
                call,
                what=f"the store at {self.address}",
                do="Look at it, and at the network between",
                again=may_pass,
                seconds=0 if self.gave_up else None,
            )
        except Exception as error:
            if told := self._told(error, name):
                raise told from error
            raise
        self.gave_up = False
        return answer

    def _told(self, error: Exception, name: str) -> AssayError | None:
        from minio.error import S3Error

        where = f"{name} in bucket {self.bucket} of {self.address}"
        if may_pass(error):
            self.gave_up = True
            return StoreUnreachable(
                f"The store does not answer for {where}: {brief(error)}",
                do="Start the store again, then retry the run: it goes on with this node",
            )
        if distrusted(error):
            return StoreUnreachable(
                f"The certificate of the store at {self.address} is not trusted: {brief(error)}",
                do="Add its CA to the pipeline server: apiServer.cABundle of the DataSciencePipelinesApplication",
            )
        if not isinstance(error, S3Error):
            return None
        if error.code in MISSING:
            return ArtifactMissing(
                f"There is no {where}", do="Run the stage that writes it; a node's inputs are those of its own run"
            )
        return StoreFailed(
            f"The store refuses {where}: {error.code}", do="Check the bucket and the keys of the runtime configuration"
        )


def may_pass(error: Exception) -> bool:
    """Return whether the store may answer if it is asked again."""
    from minio.error import InvalidResponseError, S3Error, ServerError
    from urllib3.exceptions import HTTPError

    if isinstance(error, S3Error):
        return error.code in BUSY or (getattr(error.response, "status", None) or 0) >= 500
    if isinstance(error, InvalidResponseError):  # a proxy's page instead of the store's answer
        return "Response code: 5" in str(error)
    return isinstance(error, ServerError | HTTPError) and not refused_tls(error)


class Partial:
    """The folder `artifacts/partial` and its copy below `prefix` in the bucket."""

    def __init__(self, store: Store, prefix: str, folder: Path = PARTIAL) -> None:
        self.store, self.prefix, self.folder = store, prefix.rstrip("/") + "/", folder
        self._copied: dict[str, Stamp] = {}

    def bring_back(self) -> None:
        """Fetch what an earlier attempt of this node had measured."""
        client, bucket = self.store.client, self.store.bucket
        try:
            found = self.store.ask(
                lambda: [item.object_name for item in client.list_objects(bucket, prefix=self.prefix, recursive=True)],
                self.prefix,
            )
        except StoreFailed as error:  # keys that may read and write need not be allowed to list
            print(f"Whether an earlier attempt left partial work is not known: {error}")
            return
        for key in found:
            path = self.folder / key.removeprefix(self.prefix)
            self.store.ask(partial(client.fget_object, bucket, key, str(path)), key)
            self._copied[path.relative_to(self.folder).as_posix()] = _stamp(path)
        if found:
            print(f"An earlier attempt of this node left {len(found)} files of partial work: they are in {self.folder}")

    @contextmanager
    def copied(self, every: float = EVERY) -> Iterator[None]:
        """Copy what is new or has changed while the block runs, and once more at its end, however it ends."""
        ended = threading.Event()

        def copy() -> None:
            while not ended.wait(every):
                self._try()

        thread = threading.Thread(target=copy, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            self._try()

    def _try(self) -> None:
        try:
            self.copy()
        except Exception as error:  # noqa: BLE001, the next copy may go well, and the stage goes on without one
            print(f"Partial work was not copied to the bucket: {type(error).__name__}: {error}")

    def copy(self) -> None:
        """Make the copy in the bucket what the folder is now."""
        client, bucket = self.store.client, self.store.bucket
        files = {path.relative_to(self.folder).as_posix(): path for path in self._files()}
        for name, path in files.items():
            stamp, key = _stamp(path), self.prefix + name
            if self._copied.get(name) != stamp:
                self.store.ask(partial(client.fput_object, bucket, key, str(path)), key)
                self._copied[name] = stamp
        for name in self._copied.keys() - files.keys():
            self.store.ask(partial(client.remove_object, bucket, self.prefix + name), name)
            del self._copied[name]

    def _files(self) -> list[Path]:
        # A name with a dot in front is a file that is being written.
        return [path for path in self.folder.rglob("*") if path.is_file() and not path.name.startswith(".")]


def _stamp(path: Path) -> Stamp:
    about = path.stat()
    return about.st_mtime_ns, about.st_size
