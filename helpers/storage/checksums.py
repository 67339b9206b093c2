"""The SHA-256 that an S3 store keeps of an object: of its content or, where it came in parts, of the parts' SHA-256.

obstore writes it and does not return it, so the store is asked through MinIO's client, which Elyra brings along.
"""

from __future__ import annotations

import hashlib
import ssl
from base64 import b64decode
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

from helpers.storage import CONNECT_SECONDS, STALLED_SECONDS, data_connection, part_bytes

if TYPE_CHECKING:
    from minio import Minio


def of_parts(path: Path) -> str:
    """Return what the store will keep of a file that `storage.put` writes in parts, in hexadecimal digits."""
    part, whole = part_bytes(path.stat().st_size), hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(part):
            whole.update(hashlib.sha256(data).digest())
    return whole.hexdigest()


def kept(uri: str) -> str:
    """Return the SHA-256 that the store keeps of an object, in hexadecimal digits; empty where it tells none.

    One of content and one of parts look alike. Nothing is asked again: who gets no answer reads the object.
    """
    from minio.error import MinioException
    from urllib3.exceptions import HTTPError

    place, config = urlparse(uri), data_connection.store_config()
    try:
        client = _client(tuple(config.items()))
        asked = {"x-amz-checksum-mode": "ENABLED"}
        told = client.stat_object(place.netloc, place.path.strip("/"), extra_headers=dict(asked)).metadata or {}
        return b64decode(told.get("x-amz-checksum-sha256", "").partition("-")[0]).hex()  # -3: of three parts
    except (MinioException, HTTPError, ValueError):
        return ""


@lru_cache(maxsize=1)
def _client(items: tuple[tuple[str, str], ...]) -> Minio:
    import urllib3
    from minio import Minio
    from minio.credentials.providers import ChainedProvider, EnvAWSProvider, IamAwsProvider

    config = dict(items)
    endpoint = urlparse(config.get("endpoint", "https://s3.amazonaws.com"))
    context = ssl.create_default_context()
    if more := data_connection.client_options(endpoint.geturl()).get("root_certificate"):
        context.load_verify_locations(cadata=more)
    timeout = urllib3.Timeout(connect=CONNECT_SECONDS, read=STALLED_SECONDS)
    return Minio(
        endpoint.netloc,
        access_key=config.get("access_key_id"),
        secret_key=config.get("secret_access_key"),
        session_token=config.get("session_token"),
        credentials=None if "access_key_id" in config else ChainedProvider([EnvAWSProvider(), IamAwsProvider()]),
        secure=endpoint.scheme == "https",
        region=config.get("region", "us-east-1"),
        http_client=urllib3.PoolManager(8, ssl_context=context, timeout=timeout, retries=1),
    )
