"""Looks at a deployment every two seconds until it is ready or has failed; the account may get and list, not watch."""

from __future__ import annotations

import time
from contextlib import suppress

from helpers.cluster import Cluster
from helpers.errors import ClusterRefused, Forbidden, NotFound, StageFailed, StartTimedOut
from helpers.serving.diagnosis import cause_of, last_lines
from helpers.serving.kserve import failures
from helpers.serving.kserve.failures import SERVER, Failure, holders
from helpers.serving.kserve.names import POD_OF, Object
from helpers.serving.kserve.pods import condition, current_container, first_crash
from helpers.serving.kserve.state import Seen, judge, newest, untrue
from helpers.serving.settings import Settings

QUIET_SECONDS = 15
LOG_LINES = 200


class Watch:
    """One deployment while it comes up: `start_timeout` seconds, without those for which it queues."""

    def __init__(self, cluster: Cluster, name: str, label: str, settings: Settings) -> None:
        self.cluster, self.name, self.label, self._settings = cluster, name, label, settings
        self._unreadable: set[str] = set()
        self._nodes: list[Object] | None = None
        self._since: dict[tuple[type[StageFailed], bool], float] = {}
        self._began = self._looked = time.monotonic()
        self._queued = 0.0
        self._said, self._said_at = "", 0.0
        self.progress = ""

    def ready(self) -> bool:
        """Return whether it is ready.

        Raises the DeploymentFailed that fits, with the last log lines in a note, StartTimedOut when the time is over,
        and DigestMismatch where the pod refuses the model.
        """
        seen = self._look()
        found = judge(seen)
        now, before = time.monotonic(), self._looked
        self._looked = now
        if found == "ready":
            self.progress = found
            self._since.clear()
            return True
        if isinstance(found, Failure):
            self.progress = found.what
            if found.queued:
                self._queued += now - before
                self.progress = f"{found.what}{self._held(found)}; it waits up to {self._settings.queue_seconds} s"
            self._consider(found, now)
        else:
            self.progress = found
            self._since.clear()
            self._end_after_first_crash(seen)
        if now - self._began - self._queued >= self._settings.start_timeout:
            raise self._timed_out(seen)
        return False

    def say(self, waited: float) -> None:
        """Print how far it is when that changed, and now and then when it did not."""
        if self.progress != self._said or waited - self._said_at >= QUIET_SECONDS:
            print(f"{self.label} on {self.cluster.namespace}/{self.name}, {waited:.0f} s: {self.progress}", flush=True)
            self._said, self._said_at = self.progress, waited

    def error(self, failure: Failure) -> StageFailed:
        """Return the error of a failure; where a container ended, its log may know better."""
        log = self._log(failure.pod, failure.container)
        cause = cause_of(log) if failure.container == SERVER else None
        where = f"{self.label} was not served ({self.cluster.namespace}/{self.name}): {failure.what}"
        if cause and failure.error is not cause.error:
            error: StageFailed = cause.error(f"{where}; {cause.text}", do=cause.do)
        else:
            error = failure.error(where, do=failure.do)
        if log:
            error.add_note(last_lines(log))
        return error

    def pods(self) -> list[Object]:
        """Return the deployment's pods, the newest last."""
        found = self.cluster.list("Pod", f"{POD_OF}={self.name}")
        return sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))

    def _look(self) -> Seen:
        service, pods = self.cluster.get("InferenceService", self.name), self.pods()
        deployment = None
        with suppress(Forbidden):
            deployment = self.cluster.get("Deployment", f"{self.name}-predictor")
        pending = any((pod.get("status") or {}).get("phase") == "Pending" for pod in pods)
        events = self._all("Event") if pending else None
        if self._nodes is None and any(condition(pod, "PodScheduled").get("status") == "False" for pod in pods):
            self._nodes = self._all("Node")
        return Seen(service, pods, deployment, events or [], self._nodes, time.monotonic() - self._began)

    def _all(self, kind: str) -> list[Object] | None:
        """Return all objects of a kind, None where this account may not read them."""
        if kind not in self._unreadable:
            try:
                return self.cluster.list(kind)
            except (Forbidden, NotFound):
                self._unreadable.add(kind)
        return None

    def _held(self, failure: Failure) -> str:
        """Return who in the project has what is taken."""
        if not any("/" in resource for resource in failure.short):
            return ""
        found = holders(self._all("Pod") or [], failure.short)
        return f"; {', '.join(found)} in this project hold it" if found else "; no run of this project holds it"

    def _consider(self, failure: Failure, now: float) -> None:
        """Raise the failure's error once it has held for as long as it has to."""
        since = self._since.setdefault((failure.error, failure.queued), now)
        patience = self._settings.queue_seconds if failure.queued else failure.patience
        if now - since >= patience * failures.SCALE:
            raise self.error(failure._replace(what=self.progress) if failure.queued else failure)

    def _timed_out(self, seen: Seen) -> StartTimedOut:
        """Return the error that tells what it waited for, while the pod is still there to tell."""
        conditions = "; ".join(untrue(seen.service))
        error = StartTimedOut(
            f"{self.label} was not served within {self._settings.start_timeout} s "
            f"({self.cluster.namespace}/{self.name}): {self.progress}{f'. {conditions}' if conditions else ''}",
            do="Raise START_TIMEOUT_SECONDS if it only needs longer, or correct what it waits for",
        )
        for pod in newest(seen.pods, seen.deployment)[-1:]:
            if log := self._log(pod["metadata"]["name"], current_container(pod)):
                error.add_note(last_lines(log))
        return error

    def _end_after_first_crash(self, seen: Seen) -> None:
        """Raise at once where the log of the first attempt tells that the next one would end so too."""
        for pod in newest(seen.pods, seen.deployment):
            if first_crash(pod) == SERVER:
                name = pod["metadata"]["name"]
                if (cause := cause_of(self._log(name, SERVER))) and cause.final:
                    raise self.error(Failure(cause.error, cause.text, cause.do, 0, name, SERVER))

    def _log(self, pod: str, container: str) -> str:
        """Return the last lines of the attempt that failed, "" where they cannot be had."""
        if not pod or not container:
            return ""
        with suppress(Forbidden, NotFound, ClusterRefused):
            before = self.cluster.logs(pod, container=container, lines=LOG_LINES, previous=True)
            return before or self.cluster.logs(pod, container=container, lines=LOG_LINES)
        return ""
