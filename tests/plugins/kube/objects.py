"""The objects of a cluster and what is going to happen to them."""

from __future__ import annotations

import copy
import heapq
import itertools
import threading
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime

from tests.plugins.kube.replies import already_exists, conflict, not_found
from tests.plugins.kube.resources import Resource

FINALIZED_SECONDS = 1  # in which whoever wrote a finalizer takes it away again
GRACE_SECONDS = 2  # in which a pod whose owner is gone ends

Key = tuple[Resource, str, str]  # resource, namespace ("" for none), name


class Objects:
    """Stored objects; what was planned happens when somebody looks, in the order and at the time it was planned."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.speed = 1.0  # how much faster planned time runs
        self._items: dict[Key, dict] = {}
        self._planned: list[tuple[float, int, Callable[[], None]]] = []
        self._happening = False
        self._numbers = itertools.count(1)
        self._start = time.monotonic()

    @property
    def now(self) -> float:
        """Planned seconds since the start."""
        return (time.monotonic() - self._start) * self.speed

    def plan(self, seconds: float, call: Callable[[], None]) -> None:
        """Let something happen `seconds` of planned time from now."""
        with self.lock:
            heapq.heappush(self._planned, (self.now + seconds, next(self._numbers), call))

    def catch_up(self) -> None:
        """Do what is due, in order: what happens looks at objects too, and what is next must not overtake it."""
        with self.lock:
            if self._happening:
                return
            self._happening = True
            try:
                while self._planned and self._planned[0][0] <= self.now:
                    heapq.heappop(self._planned)[2]()
            finally:
                self._happening = False

    def get(self, key: Key) -> dict:
        self.catch_up()
        with self.lock:
            if key not in self._items:
                raise not_found(key[0], key[2])
            return copy.deepcopy(self._items[key])

    def list(self, resource: Resource, namespace: str = "") -> list[dict]:
        self.catch_up()
        with self.lock:
            keys = [key for key in self._items if key[0] == resource and namespace in ("", key[1])]
            return [copy.deepcopy(self._items[key]) for key in sorted(keys, key=lambda key: key[1:])]

    def create(self, key: Key, manifest: dict) -> dict:
        self.catch_up()
        with self.lock:
            if key in self._items:
                raise already_exists(key[0], key[2])
            item = copy.deepcopy(manifest) | {"apiVersion": key[0].api_version, "kind": key[0].kind}
            item["metadata"] = {
                **(manifest.get("metadata") or {}), "name": key[2], **({"namespace": key[1]} if key[1] else {}),
                "uid": str(uuid.uuid4()), "resourceVersion": str(next(self._numbers)), "generation": 1,
                "creationTimestamp": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            }  # fmt: skip
            self._items[key] = item
            return copy.deepcopy(item)

    def merge(self, key: Key, change: dict) -> dict:
        """Merge a change into an object (RFC 7386); a stale resourceVersion in it is a conflict."""
        self.catch_up()
        with self.lock:
            before = self.get(key)
            stated = (change.get("metadata") or {}).get("resourceVersion")
            if stated and stated != before["metadata"]["resourceVersion"]:
                raise conflict(key[0], key[2])
            after = merged(before, change)
            after["metadata"]["resourceVersion"] = str(next(self._numbers))
            if after.get("spec") != before.get("spec"):
                after["metadata"]["generation"] += 1
            self._items[key] = after
            return copy.deepcopy(after)

    def delete(self, key: Key, seconds: float = 0) -> dict:
        """Remove an object and what it owns, `seconds` of planned time after it was marked for it."""
        item = self.get(key)
        seconds = seconds or (FINALIZED_SECONDS if item["metadata"].get("finalizers") else 0)
        if not seconds:
            self._remove(key)
            return item
        return self._end(key, item, seconds)

    def _end(self, key: Key, item: dict, seconds: float) -> dict:
        if "deletionTimestamp" not in item["metadata"]:
            stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            item = self.merge(key, {"metadata": {"deletionTimestamp": stamp, "deletionGracePeriodSeconds": 0}})
            self.plan(seconds, lambda: self._remove(key))
        return item

    def _remove(self, key: Key) -> None:
        with self.lock:
            if gone := self._items.pop(key, None):
                owned = [(other, item) for other, item in self._items.items() if _owned(item, gone["metadata"]["uid"])]
                for other, item in owned:
                    if other[0].kind == "Pod":
                        self._end(other, item, GRACE_SECONDS)
                    else:
                        self._remove(other)


def merged(value: object, change: object) -> object:
    """Apply a JSON merge patch."""
    if not isinstance(change, dict):
        return copy.deepcopy(change)
    result = dict(value) if isinstance(value, dict) else {}
    for name, part in change.items():
        if part is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), part)
    return result


def _owned(item: dict, uid: str) -> bool:
    return any(owner.get("uid") == uid for owner in item["metadata"].get("ownerReferences") or [])
