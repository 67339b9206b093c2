"""Asking a hub with huggingface_hub's session, headers and errors; answers are bounded, no message has a token.

huggingface_hub's own downloads begin again from the first byte after a kill, so files are streamed from any byte here.
Nothing needs xet: the hub serves every file over plain HTTP too.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit

from pydantic import BaseModel, Field, ValidationError

from helpers.errors import NotFound, SourceUnreachable
from helpers.ingestion.metering import refused
from helpers.ingestion.transfer import Incoming, starts_at, whole

TIMEOUT = 30.0  # seconds without a byte
ANSWER_BYTES = 64 << 20


class Lfs(BaseModel):
    """What the hub states of a file in large file storage."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    size: int = Field(ge=0)


class Sibling(BaseModel):
    """One file of a repository."""

    rfilename: str
    size: int | None = Field(default=None, ge=0)
    blobId: str = Field(default="", pattern=r"^([0-9a-f]{40})?$")
    lfs: Lfs | None = None


class Repository(BaseModel):
    """A repository at one commit; `id` is its name of today, whatever it was asked for by."""

    id: str
    sha: str = Field(pattern=r"^[0-9a-f]{40}$")
    siblings: list[Sibling] = []


class Hub:
    """The hub that HF_ENDPOINT names, with HF_TOKEN, both as the environment has them now."""

    def __init__(self, repository: str, revision: str) -> None:
        from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

        self.repository, self.revision = repository, revision
        self.endpoint = (os.environ.get("HF_ENDPOINT") or "https://huggingface.co").rstrip("/")
        self._headers = build_hf_headers(token=os.environ.get("HF_TOKEN") or False, library_name="assay")

    @property
    def name(self) -> str:
        """The source as messages name it."""
        return f"hf://{self.repository}@{self.revision}"

    @property
    def host(self) -> str:
        """The hub's host, without what an address may carry besides."""
        return urlsplit(self.endpoint).hostname or "the hub"

    def describe(self) -> Repository:
        """Return commit and files. Raises NotFound, SourceUnreachable, Refused, or ConnectionError to try again."""
        address = f"{self.endpoint}/api/models/{self.repository}/revision/{quote(self.revision, safe='')}?blobs=true"
        with self._get(address, {}) as answer:
            data = whole(answer.iter_bytes(), ANSWER_BYTES)
        if data is None:
            problem = f"has a list of files of more than {ANSWER_BYTES >> 20} MiB"
            raise refused(self.name, ".", "count", problem, "Choose another model")
        try:
            return Repository.model_validate_json(data)
        except ValidationError as error:
            raise SourceUnreachable(
                f"{self.host} answers for {self.name} as no hub does: {error.errors()[0]['msg']}",
                do="Check HF_ENDPOINT",
            ) from error

    @contextmanager
    def file(self, commit: str, name: str, offset: int) -> Iterator[Incoming]:
        """Open a file of a commit from `offset` on, as `download` wants it."""
        from huggingface_hub import hf_hub_url

        address = hf_hub_url(self.repository, name, revision=commit, endpoint=self.endpoint)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={offset}-"} if offset else {})
        with self._get(address, headers) as answer:
            start = starts_at(answer.status_code, answer.headers.get("content-range", ""))
            yield Incoming(start, answer.iter_bytes())

    @contextmanager
    def _get(self, address: str, headers: dict[str, str]) -> Iterator[Any]:
        from huggingface_hub import errors, get_session
        from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

        try:
            with get_session().stream("GET", address, headers=self._headers | headers, timeout=TIMEOUT) as answer:
                hf_raise_for_status(answer)
                if self.endpoint.startswith("https:") and answer.url.scheme != "https":
                    raise SourceUnreachable(f"{self.name} leads to an address without TLS", do="Check HF_ENDPOINT")
                yield answer
        except errors.HfHubHTTPError as error:  # its text has the address, which may be signed: not passed on
            raise self._explained(error) from None
        except errors.HTTPError as error:  # type: ignore[attr-defined]  # of the HTTP library that this version uses
            raise ConnectionError(f"{self.host}: {type(error).__name__}") from None

    def _explained(self, error: Any) -> Exception:
        from huggingface_hub import errors

        status = error.response.status_code
        if isinstance(error, errors.GatedRepoError):
            return SourceUnreachable(
                f"{self.name} is gated",
                do=f"Accept its terms on {self.host} and set HF_TOKEN to a token of that account",
            )
        if isinstance(error, errors.RevisionNotFoundError):
            return NotFound(f"{self.name}: there is no such revision", do="Check the branch, tag or commit")
        if status == 404 or isinstance(error, errors.RepositoryNotFoundError):
            return NotFound(
                f"{self.name} is not on {self.host}, or only for those who may read it",
                do="Check organization and name, and for a private model HF_TOKEN",
            )
        if status in (401, 403):
            return SourceUnreachable(
                f"{self.host} refuses HF_TOKEN for {self.name}", do="Set HF_TOKEN to a valid token"
            )
        if status in (408, 425, 429) or status >= 500:
            return ConnectionError(f"{self.host} answers {status}")
        return SourceUnreachable(f"{self.host} answers {status} for {self.name}", do="Check HF_ENDPOINT and the name")
