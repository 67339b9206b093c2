"""The decisions on one version as a signed chain: each names its model, version and digest, and the one before it.

A registry and a bucket are places where many may write. What counts is what ModelOps' key has signed: a document that
it has not, one of another version, a gap in the chain or a property that says otherwise makes the whole history
doubtful, and a doubtful history approves nothing. A person's decision sets aside what was found doubtful, by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from helpers.artifacts import upgrading
from helpers.artifacts.canonical import digest
from helpers.registry.documents import DECISION, Version
from helpers.registry.properties import Property
from helpers.runtime import signing

KIND = "decision"
RETIRED = "retired"
SHOWN = ("approval", "approval_reasons", "approval_by")
APPLIED = "approval_decision"  # the property that names the document which the version shows
BASELINE = "baseline."  # what begins so are the figures that a version shows
START = ("", "candidate", "unknown")  # what a version shows on which nobody has decided


@dataclass(frozen=True)
class Decision:
    """One decision on one version. `by` is a person's name; empty where files decided, whose digests it then has.

    The fields from `model` on are what was signed beside it; `previous` is the digest of the decision before, `aside`
    names the documents that it sets aside, and `figures` has the digest of each measurement of the baseline. For a
    retired version, `successor` is what to use instead; for an approved one, `review_by` is the day by which somebody
    has to decide again.
    """

    state: str
    reasons: str
    by: str = ""
    policy_digest: str = ""
    criteria_digest: str = ""
    decided_at: str = ""
    record: str = ""
    record_digest: str = ""
    model: str = ""
    version: str = ""
    digest: str = ""
    account: str = ""
    serial: int = 0
    previous: str = ""
    aside: tuple[str, ...] = ()
    figures: tuple[str, ...] = ()
    successor: str = ""
    review_by: str = ""

    def payload(self) -> dict[str, Any]:
        """Return what is signed."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {"kind": KIND, **found, "aside": list(self.aside), "figures": list(self.figures)}

    def shown(self) -> dict[str, Property]:
        """Return what a version shows of it."""
        instead = f"; use {self.successor} instead" if self.successor else ""
        return dict(zip(SHOWN, (self.state, f"{self.reasons}{instead}", self.by), strict=True))

    def says(self, other: Decision) -> bool:
        """Return whether both decide the same for the same reasons."""
        same = ("state", "reasons", "by", "policy_digest", "criteria_digest", "record", "record_digest", "successor")
        return all(getattr(self, name) == getattr(other, name) for name in same)


@dataclass(frozen=True)
class Link:
    """A document of the history: the decision in it, or why it is none that counts."""

    document: str
    decision: Decision | None = None
    signed: signing.Document | None = None
    fault: str = ""

    @property
    def said(self) -> Decision:
        """The decision, asked of links that have one."""
        assert self.decision, self.document
        return self.decision

    @property
    def digest(self) -> str:
        """The digest of what was signed."""
        return self.signed.digest if self.signed else ""


@dataclass(frozen=True)
class History:
    """All decisions on a version, oldest first, and what is wrong with them.

    `faults` are of the chain; `shown` says where only the version's properties say otherwise.
    """

    links: tuple[Link, ...]
    faults: tuple[str, ...]
    shown: str = ""

    @property
    def doubt(self) -> str:
        """Why this history approves nothing, "" where it is whole."""
        return "; ".join([*self.faults, *([self.shown] if self.shown else [])])

    @property
    def decided(self) -> list[Link]:
        """The decisions that are signed and about this version, oldest first."""
        return sorted((link for link in self.links if link.decision), key=_serial)

    @property
    def chain(self) -> list[Link]:
        """Those since the last one that set something aside: what came before it decides nothing any more."""
        found = self.decided
        start = max((place for place, link in enumerate(found) if link.said.aside), default=0)
        return found[start:]

    @property
    def figures(self) -> set[str]:
        """The digests of all measurements on which files decided, none where no decision says them."""
        return {digest for link in self.chain for digest in link.said.figures}

    @property
    def standing(self) -> Link | None:
        """The decision that holds: a person's newest, unless it hands back to the policy by "candidate"."""
        if self.faults or not self.chain:
            return None
        persons = [link for link in self.chain if link.said.by]
        if persons and persons[-1].said.state != "candidate":
            return persons[-1]
        return self.chain[-1]


def _serial(link: Link) -> int:
    return link.said.serial


def named(version: Version) -> tuple[str, str, str]:
    """Return what a decision on a version has to name: model, version and digest."""
    return version.name, version.version, str(version.properties.get("digest", ""))


def baseline(properties: Mapping[str, Property]) -> dict[str, dict[str, Property]]:
    """Return the figures of a version's baseline by measurement, those of version 1 too."""
    found: dict[str, dict[str, Property]] = upgrading.baseline(properties)
    for key, value in properties.items():
        if key.startswith(BASELINE) and key.count(".") > 1:
            name, _, figure = key.removeprefix(BASELINE).partition(".")
            found.setdefault(name, {})[figure] = value
    return found


def figure_digests(properties: Mapping[str, Property]) -> tuple[str, ...]:
    """Return the digest of each measurement of the baseline among a version's properties."""
    return tuple(digest({"name": name, **figures}) for name, figures in sorted(baseline(properties).items()))


def document_name(serial: int) -> str:
    """Return the name of a decision's document, which the registry takes once: two that decide at once do not fork."""
    return f"{DECISION}{serial:06d}"
