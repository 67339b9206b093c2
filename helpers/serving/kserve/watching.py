"""Looks at a deployment every two seconds until it is ready or has failed; the account may get and list, not watch."""

from __future__ import annotations

import time
from contextlib import suppress

from helpers.cluster import Cluster
from helpers.errors import ClusterRefused, DeploymentFailed, Forbidden, NotFound
from helpers.serving.diagnosis import cause_of, last_lines
from helpers.serving.kserve import failures
from helpers.serving.kserve.failures import SERVER, Failure
from helpers.serving.kserve.pods import first_crash
from helpers.serving.kserve.state import Seen, judge

POD_OF = "serving.kserve.io/inferenceservice"
QUIET_SECONDS = 15
LOG_LINES = 200


class Watch:
    """One deployment while it comes up."""

    def __init__(self, cluster: Cluster, name: str, label: str) -> None:
        self.cluster, self.name, self.label = cluster, name, label
        self._may_read_events = True
        self._since: dict[type[DeploymentFailed], float] = {}
        self._said, self._said_at = "", 0.0
        self.progress = ""

    def ready(self) -> bool:
        """Return whether it is ready. Raises the DeploymentFailed that fits, with the last log lines in a note."""
        seen = self._look()
        found = judge(seen)
        if isinstance(found, Failure):
            self._consider(found)
            self.progress = found.what
            return False
        self._since.clear()
        if found != "ready":
            self._end_after_first_crash(seen)
        self.progress = found
        return found == "ready"

    def say(self, waited: float) -> None:
        """Print how far it is when that changed, and now and then when it did not."""
        if self.progress != self._said or waited - self._said_at >= QUIET_SECONDS:
            print(f"{self.label} on {self.cluster.namespace}/{self.name}, {waited:.0f} s: {self.progress}", flush=True)
            self._said, self._said_at = self.progress, waited

    def error(self, failure: Failure) -> DeploymentFailed:
        """Return the error of a failure; where a container ended, its log may know better."""
        log = self._log(failure.pod, failure.container)
        cause = cause_of(log) if failure.container == SERVER else None
        where = f"{self.label} was not served ({self.cluster.namespace}/{self.name}): {failure.what}"
        if cause and failure.error is not cause.error:
            error = cause.error(f"{where}; {cause.text}", do=cause.do)
        else:
            error = failure.error(where, do=failure.do)
        if log:
            error.add_note(last_lines(log))
        return error

    def pods(self) -> list[dict]:
        """Return the deployment's pods, the newest last."""
        found = self.cluster.list("Pod", f"{POD_OF}={self.name}")
        return sorted(found, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")))

    def _look(self) -> Seen:
        service = self.cluster.get("InferenceService", self.name)
        pods = self.pods()
        deployment = None if pods else self.cluster.get("Deployment", f"{self.name}-predictor")
        pending = any((pod.get("status") or {}).get("phase") == "Pending" for pod in pods)
        return Seen(service, pods, deployment, self._events() if pending else [])

    def _events(self) -> list[dict]:
        if self._may_read_events:
            try:
                return self.cluster.list("Event")
            except (Forbidden, NotFound):
                self._may_read_events = False
        return []

    def _consider(self, failure: Failure) -> None:
        """Raise the failure's error once it has held for as long as it has to."""
        now = time.monotonic()
        since = self._since.setdefault(failure.error, now)
        if now - since >= failure.patience * failures.SCALE:
            raise self.error(failure)

    def _end_after_first_crash(self, seen: Seen) -> None:
        """Raise at once where the log of the first attempt tells that the next one would end so too."""
        for pod in seen.pods:
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
