"""A node that refused by its own decision is not worked through again by the retries that follow at once.

Data Science Pipelines retries every exit code. So the first refusal leaves a file in the run's folder, and the attempts
that follow end the same without starting the notebook. It counts for ten minutes and for as many retries as were
compiled in: a person's later retry runs the node. Elyra's own compile, the canvas's Run, has none, so nothing is kept.
"""

from __future__ import annotations

import io
import json
import os
import time
from contextlib import suppress

from helpers.errors import ArtifactMissing, StoreFailed
from helpers.pod.reasons import Reason, RefusedBefore
from helpers.pod.store import Store

SECONDS = 600.0
RETRIES = "ASSAY_RETRIES"  # set where retries are compiled in, see helpers/pipelines/finishing.py


class Refusals:
    """The file at `key` in the bucket: what was refused, when, and how many attempts it has ended since."""

    def __init__(self, store: Store, key: str) -> None:
        self.store, self.key = store, key
        self.retries = int(os.environ.get(RETRIES) or 0)

    def remember(self, reason: Reason) -> None:
        """Write down a refusal that this attempt came to, for the retries that follow."""
        if self.retries:
            self._write(reason.line, time.time(), 0)

    def repeat(self) -> None:
        """End this attempt where one just before it refused. Raises RefusedBefore."""
        if not self.retries:
            return
        with suppress(ArtifactMissing, StoreFailed, ValueError, KeyError, TypeError):
            found = json.loads(self._read())
            if time.time() - found["at"] < SECONDS and found["repeated"] < self.retries:
                self._write(found["line"], found["at"], found["repeated"] + 1)
                print("An attempt just before this one refused: this one does not start the notebook")
                raise RefusedBefore(Reason(found["line"], refused=True))

    def _read(self) -> bytes:
        def read() -> bytes:
            answer = self.store.client.get_object(self.store.bucket, self.key)
            try:
                return bytes(answer.read())
            finally:
                answer.close()
                answer.release_conn()

        return self.store.ask(read, self.key)

    def _write(self, line: str, at: float, repeated: int) -> None:
        data = json.dumps({"line": line, "at": at, "repeated": repeated}).encode()
        put = self.store.client.put_object
        self.store.ask(lambda: put(self.store.bucket, self.key, io.BytesIO(data), len(data)), self.key)
