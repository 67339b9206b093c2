"""The model registry as the notebooks use it: connect, register, shortlist, select, record, approve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from helpers.artifacts import Selection
from helpers.errors import InvalidInput
from helpers.registry import records
from helpers.registry import shortlist as _shortlist
from helpers.registry.candidates import Candidate, register_candidate
from helpers.registry.confirmation import confirm
from helpers.registry.connecting import open_connection
from helpers.registry.connection import Connection
from helpers.registry.decisions import Decision, list_decisions
from helpers.registry.listing import Version, list_versions
from helpers.registry.properties import Property
from helpers.registry.records import AttachedRecord
from helpers.registry.selection import DO_INGEST, read_selection
from helpers.registry.shortlist import Constraints, Row, choose, find, shortlist_table
from helpers.registry.verdicts import Verdict, add_verdict, list_verdicts

__all__ = [
    "AttachedRecord",
    "Candidate",
    "Constraints",
    "Decision",
    "Registry",
    "Row",
    "Verdict",
    "Version",
    "connect",
    "shortlist_table",
]


def connect(address: str, *, author: str = "assay", timeout: float | None = None) -> Registry:
    """Return the registry at `address`, or the one on this machine for "local".

    `timeout` is how long each request is asked again, in seconds, None for two minutes. Raises InvalidParameter,
    RegistryUnreachable or RegistryFailed.
    """
    return Registry(open_connection(address, timeout), author)


class Registry:
    """A model registry; every method may be run again.

    All raise RegistryUnreachable where nothing answers, and RegistryFailed where it says that it cannot.
    """

    def __init__(self, connection: Connection, author: str) -> None:
        self._connection, self._author = connection, author

    @property
    def address(self) -> str:
        """The registry's address."""
        return self._connection.address

    @property
    def interface(self) -> str:
        """The version of the REST interface that it speaks, for example v1alpha3."""
        return self._connection.interface

    def register_candidate(
        self, name: str, version: str, *, uri: str, digest: str, size_bytes: int, **known: Any
    ) -> Selection:
        """Register a version with approval "candidate"; `known` are the other fields of Candidate.

        The same name, version and digest again change nothing; raises InvalidInput for another digest.
        """
        candidate = Candidate(name, version, uri=uri, digest=digest, size_bytes=size_bytes, **known)
        return register_candidate(self._connection, candidate, self._author)

    def versions(self) -> list[Version]:
        """Return every version of every model with its properties."""
        return list_versions(self._connection)

    def shortlist(self, constraints: Constraints | None = None) -> list[Row]:
        """Return a row per version, the best first; `excluded` says why one does not meet the constraints."""
        return _shortlist.shortlist(self.versions(), constraints or Constraints())

    def select(self, rows: Sequence[Row], name: str = "", version: str = "") -> Selection:
        """Return the named model or else the best match; raises ModelNotFound or NoMatch with the reasons."""
        row, reason = choose(rows, name, version, self.address)
        found = read_selection(self._connection, row.name, row.model_version_id, reason)
        if found is None:
            raise InvalidInput(f"{row.label} has no model artifact", do=DO_INGEST)
        return found

    def attach_record(self, version_id: str, record_id: str, uri: str, summary: Mapping[str, Property]) -> None:
        """Attach a measurement to a version, once; the version then shows the newest one of each purpose.

        `summary` has a `purpose` ("baseline" or "use-case"); its other figures appear as `baseline_…` or `use_case_…`.
        """
        records.attach_record(self._connection, version_id, record_id, uri, summary)

    def records(self, name: str = "", version: str = "") -> list[AttachedRecord]:
        """Return the attached measurements, oldest first, of all models or one."""
        return records.list_records(self._connection, name, version)

    def set_approval(
        self, version_id: str, state: str, reasons: Sequence[str], *, by: str = "", policy_digest: str = ""
    ) -> None:
        """Set a version to candidate, approved or rejected, with the reasons for it.

        `by` names the person who decides; empty, a policy does. A person's decision stands until a person decides
        "candidate", which hands back to the policy. Raises InvalidInput for a person's decision without a reason.
        """
        records.set_approval(self._connection, version_id, Decision(state, "; ".join(reasons), by, policy_digest))

    def decisions(self, version_id: str) -> list[Decision]:
        """Return every decision on a version, oldest first."""
        return list_decisions(self._connection, version_id)

    def add_verdict(self, version_id: str, verdict: Verdict) -> None:
        """Keep what the regression gate found of a record, or that a person accepts it. Raises InvalidInput."""
        add_verdict(self._connection, version_id, verdict)

    def verdicts(self) -> list[Verdict]:
        """Return the verdicts on all versions' records, oldest first."""
        return list_verdicts(self._connection)

    def find(self, name: str, version: str) -> Version:
        """Return the version of that name; raises ModelNotFound with the closest names."""
        return find(self.versions(), name, version)

    def confirm(self, selection: Selection, *, require_approval: bool = True) -> None:
        """Hold a selection against what the registry says now. Raises NotApproved, DigestMismatch or ModelNotFound."""
        confirm(self.find(selection.name, selection.version), selection, require_approval=require_approval)
