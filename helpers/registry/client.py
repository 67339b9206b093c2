"""The model registry as the notebooks use it: connect, register, shortlist, select, record, approve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from helpers.artifacts import Selection
from helpers.artifacts.deployment import UNKNOWN
from helpers.errors import InvalidInput, SignatureInvalid
from helpers.registry import records, witness
from helpers.registry import shortlist as _shortlist
from helpers.registry.connection import Connection, open_connection
from helpers.registry.decisions import Verdict, Withdrawal, add_verdict, list_verdicts
from helpers.registry.documents import (
    DOCUMENT,
    VERSION_ID,
    Document,
    Version,
    list_artifacts,
    list_versions,
    read_version,
    set_state,
)
from helpers.registry.history import RETIRED, Decision, History, figure_digests
from helpers.registry.judging import Trust, by_version, do_sign, judged, read_history
from helpers.registry.properties import Property
from helpers.registry.records import AttachedRecord
from helpers.registry.review import DAYS, Review, review_by, reviews
from helpers.registry.selection import DO_INGEST, Candidate, confirm, read_selection, register_candidate
from helpers.registry.shortlist import Constraints, Row, choose, find


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

    def register_endpoint(self, name: str, version: str, *, url: str, model: str) -> Selection:
        """Register an endpoint that exists as a version: its address and served model, all else unknown.

        The same again changes nothing; raises InvalidInput where the version has weights or another address.
        """
        known = {"endpoint": url, "endpoint_model": model}
        description = f"An endpoint that exists: {model} at {url}. Nobody knows its weights."
        candidate = Candidate(
            name, version, uri=url, digest=UNKNOWN, size_bytes=0, model_format=UNKNOWN, description=description,
            provenance=known,
        )  # fmt: skip
        found = register_candidate(self._connection, candidate, self._author)
        return found.model_copy(update={"reason": f"the endpoint {url}, which serves {model}"})

    def versions(self) -> list[Version]:
        """Return every version of every model with its properties."""
        return list_versions(self._connection)

    def judged(self, *, figures: bool = False) -> list[Version]:
        """Return every version with the approval that ModelOps has signed; `doubt` says why there is none.

        With `figures`, the baseline that it shows has to be the one that was decided on.
        """
        histories, _ = self._histories()
        return [judged(version, history, figures=figures) for version, history in histories]

    def _histories(self) -> tuple[list[tuple[Version, History]], list[Document]]:
        """Return every version with the decisions on it, and all documents."""
        documents = list_artifacts(self._connection, DOCUMENT)
        own, trust = by_version(documents, VERSION_ID), Trust.here()
        versions = self.versions()
        return [(each, read_history(each, own.get(each.model_version_id, []), trust)) for each in versions], documents

    def shortlist(self, constraints: Constraints | None = None) -> list[Row]:
        """Return a row per version, the best first; `excluded` says why one does not meet the constraints."""
        histories, documents = self._histories()
        versions = [judged(version, history, figures=True) for version, history in histories]
        return _shortlist.shortlist(versions, constraints or Constraints(), reviews(histories, documents))

    def reviews(self, policy_digest: str = "") -> dict[str, Review]:
        """Return when each approval has to be looked at again, by the version's id.

        `policy_digest` is of the policy that holds now; without it, the newest that the registry knows.
        """
        return reviews(*self._histories(), policy_digest)

    def select(self, rows: Sequence[Row], name: str = "", version: str = "") -> Selection:
        """Return the named model or else the best match; raises ModelNotFound or NoMatch with the reasons."""
        row, reason = choose(rows, name, version, self.address)
        found = read_selection(self._connection, row.name, row.model_version_id, reason)
        if found is None:
            raise InvalidInput(f"{row.label} has no model artifact", do=DO_INGEST)
        if row.approval == "approved":
            self.confirm(found, store=False)
        return found

    def attach_record(
        self,
        version_id: str,
        record_id: str,
        uri: str,
        summary: Mapping[str, Property],
        measurements: Mapping[str, Mapping[str, Property]],
    ) -> None:
        """Attach a record to a version, once; the version then shows the newest measurement of each name.

        `summary` has a `purpose` ("baseline" or "use-case") and a `use_case`; the figures of each measurement appear
        as `baseline.NAME.…` or `usecase.USE_CASE.NAME.…`.
        """
        records.attach_record(self._connection, version_id, record_id, uri, summary, measurements)

    def records(self, name: str = "", version: str = "", *, also_withdrawn: bool = False) -> list[AttachedRecord]:
        """Return the attached records, oldest first, of all models or one; withdrawn ones only if asked for."""
        return records.list_records(self._connection, name, version, also_withdrawn=also_withdrawn)

    def withdraw(self, record: AttachedRecord, *, by: str, reason: str) -> None:
        """Withdraw a record: it stays, with who withdrew it and why, and no stage reads it. Raises InvalidInput."""
        records.withdraw(self._connection, record.model_version_id, Withdrawal(record.record_id, by, reason))

    def set_approval(
        self,
        version_id: str,
        state: str,
        reasons: Sequence[str],
        *,
        by: str = "",
        policy_digest: str = "",
        criteria_digest: str = "",
        record: str = "",
        record_digest: str = "",
        measurements: Mapping[str, Mapping[str, Property]] | None = None,
        successor: str = "",
        review_days: int = DAYS,
    ) -> None:
        """Sign that a version is candidate, approved, rejected or retired, with the reasons for it.

        `by` names the person who decides; empty, files do, known by `policy_digest` and `criteria_digest`, on the
        `record` of that `record_digest`, which has these `measurements`: what else a version shows as its baseline is
        shortlisted no more. A person's decision stands until a person decides "candidate", which hands back to the
        files. An approval is to be looked at again after `review_days`; a retired version may have a `successor`, which
        is used in its place. Raises InvalidInput for a person's decision without a reason and for a key that is not
        trusted, SignatureInvalid where files would decide over a history that somebody else wrote.
        """
        decision = Decision(
            state, "; ".join(reasons), by=by, policy_digest=policy_digest, criteria_digest=criteria_digest,
            record=record, record_digest=record_digest,
            figures=figure_digests(records.shown_baseline(measurements or {}, record)), successor=successor,
            review_by=review_by(review_days) if state == "approved" else "",
        )  # fmt: skip
        records.set_approval(self._connection, version_id, decision)
        version = read_version(self._connection, version_id)
        if why := witness.keep(version, self._uri(version), self.history(version_id)):
            print(f"The decision on {version.name} {version.version} is in the registry and not in the store: {why}")

    def _uri(self, version: Version) -> str:
        """Return where the version's files lie, "" where the registry says too little."""
        try:
            found = self.selection(version)
        except InvalidInput:  # another tool's
            return ""
        return found.uri if found else ""

    def audit(self, version: Version) -> tuple[History, str]:
        """Return the history of a version and why it approves nothing, "" where it is whole, in its store too.

        Raises StoreUnreachable or StoreFailed where the store cannot be asked.
        """
        history = self.history(version.model_version_id)
        return history, history.doubt or witness.missing(version, self._uri(version), history)

    def history(self, version_id: str) -> History:
        """Return the decisions on a version as they are signed, and what is wrong with them."""
        documents = list_artifacts(self._connection, DOCUMENT, version_id)
        return read_history(read_version(self._connection, version_id), documents)

    def decisions(self, version_id: str) -> list[Decision]:
        """Return every decision on a version that ModelOps has signed, oldest first."""
        return [link.decision for link in self.history(version_id).decided if link.decision]

    def add_verdict(self, version_id: str, verdict: Verdict) -> None:
        """Keep what the regression gate found of a record, or that a person accepts it. Raises InvalidInput."""
        add_verdict(self._connection, version_id, verdict)

    def verdicts(self) -> list[Verdict]:
        """Return the verdicts on all versions' records, oldest first."""
        return list_verdicts(self._connection)

    def find(self, name: str, version: str) -> Version:
        """Return the version of that name; raises ModelNotFound with the closest names."""
        return find(self.versions(), name, version)

    def selection(self, version: Version) -> Selection | None:
        """Return where a version's files lie and what they are, None where no artifact says. Raises InvalidInput."""
        return read_selection(self._connection, version.name, version.model_version_id)

    def archive(self, version: Version) -> None:
        """Take a version out of use, as the platform's dashboard does: the registry deletes nothing."""
        set_state(self._connection, version.model_version_id, "ARCHIVED")

    def retire(self, version: Version, *, by: str, reason: str, successor: Version | None = None) -> None:
        """Sign that a version is used no more, why, and what instead, and archive it. Raises InvalidInput."""
        instead = f"{successor.name} {successor.version}" if successor else ""
        self.set_approval(version.model_version_id, RETIRED, [reason], by=by, successor=instead)
        self.archive(version)

    def restore(self, version: Version) -> None:
        """Bring an archived version back into use."""
        set_state(self._connection, version.model_version_id, "LIVE")

    def confirm(self, selection: Selection, *, require_approval: bool = True, store: bool = True) -> None:
        """Hold a selection against what the registry says now, and the approval against ModelOps' signature.

        Without `store`, the registry's decisions are not held against those that the model's store has. Raises
        NotApproved, SignatureInvalid, DigestMismatch, ModelNotFound, or what the store raises.
        """
        version = self.find(selection.name, selection.version)
        if require_approval and not selection.is_endpoint:
            doubt = self.audit(version)[1] if store else self.history(version.model_version_id).doubt
            if doubt:
                raise SignatureInvalid(f"{selection.label} is not approved: {doubt}", do=do_sign(version))
        confirm(version, selection, require_approval=require_approval)
