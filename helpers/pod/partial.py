"""What a stage has measured so far: a pod that is killed takes its folder along, so the bucket has a copy of it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from helpers.artifacts import FOLDER as ARTIFACTS
from helpers.errors import StoreFailed
from helpers.partial import FOLDER
from helpers.pod.store import Store

PARTIAL = ARTIFACTS / FOLDER
EVERY = 20.0  # seconds
Stamp = tuple[int, int]


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
