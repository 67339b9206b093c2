"""A repository in an OCI registry to push to: blobs are sent piece by piece, and only those that are not there.

The clients of oras and olot read every blob into memory before they send it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from helpers.errors import NotFound, SourceUnreachable, StoreFailed, StoreUnreachable
from helpers.ingestion.metering import DO_TRUST, retrying
from helpers.ingestion.oci.reference import Reference
from helpers.ingestion.oci.registry import Registry
from helpers.ingestion.transfer import resumed
from helpers.runtime.patience import distrusted

if TYPE_CHECKING:
    import httpx

LIMIT = 64 << 20  # what is read into memory: configurations, provenance
DO = "Check the registry's address, then run this stage again"
ANSWER, FINISH = 15.0, 600.0  # seconds for an answer, and for a registry to check a blob

Chunks = Callable[[], Iterator[bytes]]


class Repository(Registry):
    """One repository that can be written to, with the credentials and tokens that reading it has too."""

    def __enter__(self) -> Repository:
        return self

    @classmethod
    def of(cls, store: str, tag: str) -> Repository:
        """Return the repository that a store's URI names. Raises InvalidParameter."""
        return cls(Reference.parse(f"{store}:{tag}"))

    def image(self, version: str) -> tuple[str, dict[str, Any]] | None:
        """Return digest and content of a manifest or index, None where there is none."""
        try:
            with self._explained():
                data = retrying(partial(self.manifest, version), str(self.reference))
        except NotFound:
            return None
        digest = digest_of(data)
        if version.startswith("sha256:") and version != digest:
            raise StoreFailed(f"{self.reference} has {digest} under {version}", do="Do not trust this registry")
        return digest, json.loads(data)

    def chunks(self, digest: str) -> Iterator[bytes]:
        """Return a blob piece by piece, going on where it broke off."""
        with self._explained():
            yield from resumed(partial(self.blob, digest), str(self.reference))

    def small_blob(self, digest: str) -> bytes:
        """Return a blob of at most 64 MiB. Raises StoreFailed for a larger one."""
        data = bytearray()
        for chunk in self.chunks(digest):
            data += chunk
            if len(data) > LIMIT:
                raise StoreFailed(f"{self.reference} has too large a blob {digest}", do="Remove it there")
        return bytes(data)

    def has_blob(self, digest: str) -> bool:
        """Return whether a blob is there."""
        return self._send("HEAD", f"blobs/{digest}", ok=(200, 404)).status_code == 200

    def put_blob(self, digest: str, size: int, chunks: Chunks) -> None:
        """Upload a blob unless it is there; the registry refuses other content than `digest` says."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        for _ in range(3):
            if self.has_blob(digest):
                return
            place = self._send("POST", "blobs/uploads/", ok=(202,)).headers["location"]
            place += f"{'&' if '?' in place else '?'}digest={digest}"
            if self._send("PUT", place, ok=(201, 404, 416), body=chunks, headers=headers).status_code == 201:
                return  # else an attempt before, whose answer was lost, has ended the upload or left it half done
        raise StoreFailed(f"{self.reference} does not keep blob {digest}", do="Read the registry's log")

    def put_manifest(self, reference: str, data: bytes, kind: str) -> None:
        """Upload a manifest or index: under a tag, it is visible from now on."""
        self._send(
            "PUT", f"manifests/{reference}", ok=(201,), body=lambda: iter([data]), headers={"Content-Type": kind}
        )

    def _send(
        self,
        method: str,
        path: str,
        *,
        ok: tuple[int, ...],
        body: Chunks | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        url = urljoin(f"{self.reference.address}/", path)
        with self._explained():
            answer = self._try(method, url, body, headers or {})
            if answer.status_code == 401 and self._is_here(str(answer.url)):
                self._authorization = self._login(answer.headers.get("www-authenticate", ""))
                answer = self._try(method, url, body, headers or {})
        if answer.status_code not in ok:
            raise StoreFailed(
                f"{self.reference} refused {method} {path:.80} with {answer.status_code}: {answer.text[:300]}",
                do="Check the registry's space and your rights there, then run this stage again",
            )
        return answer

    def _try(self, method: str, url: str, body: Chunks | None, headers: dict[str, str]) -> httpx.Response:
        """Send one request, again where the connection broke or the registry has trouble."""
        import httpx

        # An upload may go on elsewhere: there the login is nobody's business, and without TLS it does not go at all.
        if self.reference.address.startswith("https:") and not url.startswith("https:"):
            raise StoreFailed(f"{self.reference} leads to an address without TLS", do="Ask the registry's operator")
        known = {"Authorization": self._authorization} if self._authorization and self._is_here(url) else {}

        def attempt() -> httpx.Response:
            content = body() if body else None
            timeout = FINISH if body else ANSWER
            try:
                answer = self._client.request(method, url, content=content, headers=headers | known, timeout=timeout)
            except httpx.TransportError as error:
                raise ConnectionError(f"{type(error).__name__}: {error}") from error
            if answer.status_code in (429, 502, 503, 504):
                raise ConnectionError(f"the registry answers {answer.status_code}")
            return answer

        return retrying(attempt, str(self.reference))

    @contextmanager
    def _explained(self) -> Iterator[None]:
        import httpx

        try:
            yield
        except SourceUnreachable as error:
            raise StoreFailed(error.what, do=error.do) from error
        except (httpx.HTTPError, ConnectionError) as error:
            if distrusted(error):
                raise StoreUnreachable(
                    f"The certificate of {self.reference.host} is not trusted: {error}", do=DO_TRUST
                ) from error
            raise StoreUnreachable(
                f"{self.reference} did not answer: {error}",
                do=DO,
            ) from error


def digest_of(data: bytes) -> str:
    """Return the digest by which a registry names these bytes."""
    return "sha256:" + hashlib.sha256(data).hexdigest()
