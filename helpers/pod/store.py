"""The bucket of a node's run: it may be away for two minutes, and its refusals are told as ours."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from helpers.errors import ArtifactMissing, AssayError, StoreFailed, StoreUnreachable
from helpers.patience import brief, distrusted, patiently, refused_tls

T = TypeVar("T")
MISSING = ("NoSuchKey", "NoSuchObject", "ResourceNotFound")
BUSY = ("SlowDown", "RequestTimeout", "InternalError", "ServiceUnavailable")


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
