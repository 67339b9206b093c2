"""A bucket as a node's pod reaches it."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest

from helpers.pipelines.pod.store import Store
from helpers.runtime import patience
from tests.plugins.stores import KEYS, Bucket


@pytest.fixture
def quickly(monkeypatch):
    """Two minutes are half a second."""
    monkeypatch.setattr(patience, "SECONDS", 0.5)
    monkeypatch.setattr(patience, "STEPS", (0.01, 0.1))


def store_of(bucket: Bucket) -> Store:
    from minio import Minio
    from urllib3 import PoolManager

    address = urlsplit(bucket.endpoint).netloc
    client = Minio(
        endpoint=address, access_key=KEYS["ACCESS_KEY_ID"], secret_key=KEYS["SECRET_ACCESS_KEY"], secure=False,
        region="us-east-1", http_client=PoolManager(retries=False),
    )  # fmt: skip
    return Store(client, address, bucket.name)


@pytest.fixture
def store(s3_bucket):
    return store_of(s3_bucket)
