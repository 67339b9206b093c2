"""Counts what arrives from a source: bounds on size and time, a line of progress, patience with a silent source."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from helpers.errors import RefusedModel, SourceUnreachable
from helpers.runtime.patience import distrusted, patiently, refused_tls

if TYPE_CHECKING:
    from helpers.ingestion.findings import Finding
    from helpers.ingestion.policy import Limits

T = TypeVar("T")
DO = "Check the address and the network, then run it again"
DO_TRUST = "Name the CA's PEM file in SSL_CERT_FILE, then run it again"
GIB = 1024**3


class Refused(RefusedModel):
    """What a source sent may not come in: the findings say why."""

    def __init__(self, source: str, *findings: Finding) -> None:
        listed = "; ".join(f"{finding.file} {finding.problem} ({finding.rule})" for finding in findings)
        super().__init__(f"{source} is refused: {listed}", do="; ".join(dict.fromkeys(item.do for item in findings)))
        self.findings = findings


class Meter:
    """Counts what arrives for one model; every byte is held against the limits, now and then a line is printed."""

    def __init__(self, source: str, limits: Limits, total: int = 0) -> None:
        self.source, self.limits, self.total = source, limits, total
        self._done = self._received = 0
        self._start = self._shown_at = time.monotonic()
        self._shown = 0
        self._lock = threading.Lock()
        self._error: BaseException | None = None

    def end(self, error: BaseException) -> None:
        """Make every thread that still counts give up with this error, or the one of an earlier call."""
        with self._lock:
            self._error = self._error or error

    def found(self, count: int) -> None:
        """Count bytes that an earlier run left; negative ones were thrown away."""
        with self._lock:
            self._done += count

    def add(self, count: int) -> None:
        """Count bytes that arrived. Raises Refused when there are too many, SourceUnreachable when time is over."""
        with self._lock:
            self._done += count
            self._received += count
            self._show()
        self.check_time()
        if self._done > self.limits.total_bytes:
            problem = f"sends more than the {self.limits.total_gib:g} GiB that the policy allows in all"
            raise refused(self.source, ".", "size", problem, "Choose a smaller model, or raise the policy's limit")

    def check_time(self) -> None:
        """Raise SourceUnreachable when the policy's hours are over, and what another thread ended with."""
        if self._error:
            raise self._error
        if time.monotonic() - self._start > self.limits.hours * 3600:
            raise SourceUnreachable(
                f"{self.source} had sent {_size(self._done)} after {self.limits.hours:g} hours, the policy's limit",
                do="Run it again to continue where it ended, or raise the policy's hours",
            )

    def close(self) -> None:
        """Print the last line, unless nothing had to be fetched."""
        if self._received:
            self._show(last=True)

    def _show(self, *, last: bool = False) -> None:
        now = time.monotonic()
        step = self.total and self._done - self._shown > self.total / 20 and now - self._shown_at > 1
        if last or step or now - self._shown_at > 5:
            speed = self._received / max(now - self._start, 1e-3) / 1024**2
            of = f" of {_size(self.total)}" if self.total else ""
            print(f"{self.source}: {_size(self._done)}{of}, {speed:.1f} MiB/s", flush=True)
            self._shown_at, self._shown = now, self._done


def refused(source: str, file: str, rule: str, problem: str, do: str) -> Refused:
    """Return the error for one grave finding."""
    from helpers.ingestion.findings import Finding

    return Refused(source, Finding(file, rule, "high", problem, do))


def persistently(call: Callable[[], T], source: str) -> T:
    """Return what `call` returns, asked again after a ConnectionError. Raises SourceUnreachable in the end."""
    try:
        return retrying(call, source)
    except ConnectionError as error:
        if distrusted(error):
            raise SourceUnreachable(f"The certificate of {source} is not trusted: {error}", do=DO_TRUST) from error
        raise SourceUnreachable(f"{source} did not answer: {error}", do=DO) from error


def retrying(call: Callable[[], T], source: str, passing: Callable[[], bool] = lambda: True) -> T:
    """Return what `call` returns, asked again after a ConnectionError as long as `passing` says so."""

    def again(error: Exception) -> bool:
        return isinstance(error, ConnectionError) and not refused_tls(error) and passing()

    return patiently(call, what=source, do=DO, again=again)


def _size(count: int) -> str:
    return f"{count / GIB:.2f} GiB" if count >= GIB else f"{count / 1024**2:.1f} MiB"
