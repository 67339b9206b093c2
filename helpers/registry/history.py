"""The decisions on one version as a signed chain: each names its model, version and digest, and the one before it.

A registry and a bucket are places where many may write. What counts is what ModelOps' key has signed: a document that
it has not, one of another version, a gap in the chain or a property that says otherwise makes the whole history
doubtful, and a doubtful history approves nothing. A person's decision sets aside what was found doubtful, by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import pairwise
from typing import Any

from helpers.errors import SignatureInvalid
from helpers.registry.documents import DECISION, Document, Version, of_kind, properties_of
from helpers.registry.properties import Property
from helpers.runtime import keys, signing

KIND = "decision"
SHOWN = ("approval", "approval_reasons", "approval_by")
APPLIED = "approval_decision"  # the property that names the document which the version shows
START = ("", "candidate", "unknown")  # what a version shows on which nobody has decided
COMMAND = 'python -m helpers.registry approve {} {} --reason "…" (or reject)'


@dataclass(frozen=True)
class Decision:
    """One decision on one version. `by` is a person's name; empty where files decided, whose digests it then has.

    The fields from `model` on are what was signed beside it; `previous` is the digest of the decision before, and
    `aside` names the documents that it sets aside.
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

    def payload(self) -> dict[str, Any]:
        """Return what is signed."""
        found = {each.name: getattr(self, each.name) for each in fields(self)}
        return {"kind": KIND, **found, "aside": list(self.aside)}

    def shown(self) -> dict[str, Property]:
        """Return what a version shows of it."""
        return dict(zip(SHOWN, (self.state, self.reasons, self.by), strict=True))

    def says(self, other: Decision) -> bool:
        """Return whether both decide the same for the same reasons."""
        same = ("state", "reasons", "by", "policy_digest", "criteria_digest", "record", "record_digest")
        return all(getattr(self, name) == getattr(other, name) for name in same)


@dataclass(frozen=True)
class Link:
    """A document of the history: the decision in it, or why it is none that counts."""

    document: str
    decision: Decision | None = None
    signed: signing.Document | None = None
    fault: str = ""

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
        start = max((place for place, link in enumerate(found) if _of(link).aside), default=0)
        return found[start:]

    @property
    def standing(self) -> Link | None:
        """The decision that holds: a person's newest, unless it hands back to the policy by "candidate"."""
        if self.faults or not self.chain:
            return None
        persons = [link for link in self.chain if _of(link).by]
        if persons and _of(persons[-1]).state != "candidate":
            return persons[-1]
        return self.chain[-1]


def _of(link: Link) -> Decision:
    assert link.decision, "asked of decisions only"
    return link.decision


def _serial(link: Link) -> int:
    return _of(link).serial


def read_history(version: Version, documents: Sequence[Document]) -> History:
    """Return the history of a version from the documents on it, held against the keys that are trusted here.

    Where no key is trusted, that is what is wrong with it.
    """
    found = of_kind(documents, DECISION)
    if not found:
        return History((), (), _undecided(version))
    try:
        trusted = keys.trusted(keys.MODEL_OPS)
    except SignatureInvalid as error:
        return History(tuple(Link(str(each["name"]), fault=error.what) for each in found), (error.what,))
    links = tuple(_link(version, document, trusted) for document in found)
    history = History(links, ())
    history = replace(history, faults=tuple(_faults(history)))
    return history if history.faults else replace(history, shown=_shown(version, history))


def _link(version: Version, document: Document, trusted: Sequence[bytes]) -> Link:
    name, properties = str(document["name"]), properties_of(document)
    signed = signing.Document.of(properties)
    if signed is None:
        return Link(name, fault="is not signed")
    try:
        payload = signing.verified(signed, KIND, trusted)
    except SignatureInvalid as error:
        return Link(name, signed=signed, fault=error.what)
    decision = Decision(**{key: value for key, value in payload.items() if key != "kind"})
    decision = replace(decision, aside=tuple(decision.aside))
    about = (decision.model, decision.version, decision.digest)
    if about != named(version):
        return Link(name, signed=signed, fault=f"is about {' '.join(about)}, not {' '.join(named(version))}")
    if name != document_name(decision.serial):
        return Link(name, signed=signed, fault=f"is a copy of {document_name(decision.serial)}")
    return Link(name, decision, signed)


def named(version: Version) -> tuple[str, str, str]:
    """Return what a decision on a version has to name: model, version and digest."""
    return version.name, version.version, str(version.properties.get("digest", ""))


def document_name(serial: int) -> str:
    """Return the name of a decision's document, which the registry takes once: two that decide at once do not fork."""
    return f"{DECISION}{serial:06d}"


def _faults(history: History) -> Iterator[str]:
    chain = history.chain
    aside = {name for link in chain[:1] for name in _of(link).aside}
    for link in history.links:
        if link.fault and link.document not in aside:
            yield f"the decision {link.document} {link.fault}"
    if not chain:
        return
    first = _of(chain[0])
    if first.previous and not first.aside:
        yield f"the decision before {chain[0].document} is gone"
    for before, after in pairwise(chain):
        if _of(after).previous != before.digest:
            yield f"{after.document} does not follow {before.document}: a decision between them was changed or removed"


def _undecided(version: Version) -> str:
    said = str(version.properties.get("approval", ""))
    if said in START and not version.properties.get(APPLIED):
        return ""
    return f"the registry shows approval={said}, and no decision says so"


def _shown(version: Version, history: History) -> str:
    """Return how the version's properties differ from the decision that holds, "" where they agree."""
    properties, standing = version.properties, history.standing
    if (applied := properties.get(APPLIED)) and applied not in {link.document for link in history.links}:
        return f"the decision {applied}, which the version shows, is gone"
    if standing is None:  # every document of the history was set aside, or there is none
        return ""
    wanted = _of(standing).shown()
    wrong = [f"{name}={properties.get(name, '')}" for name in SHOWN if properties.get(name, "") != wanted[name]]
    return f"the registry shows {', '.join(wrong)}, which {standing.document} does not say" if wrong else ""


def judged(version: Version, documents: Sequence[Document]) -> Version:
    """Return the version with the approval that is signed in the place of what the registry shows.

    `doubt` says why there is none; its approval is then "doubtful".
    """
    history = read_history(version, documents)
    if not history.doubt:
        return version
    return replace(version, properties={**version.properties, "approval": "doubtful"}, doubt=history.doubt)


def do_sign(version: Version) -> str:
    """Return what brings a doubtful history in order."""
    return f"Have ModelOps look into it and sign anew: {COMMAND.format(version.name, version.version)}"


def by_version(documents: Sequence[Document], key: str) -> Mapping[str, list[Document]]:
    """Return documents by the version that each says it is of."""
    found: dict[str, list[Document]] = {}
    for document in documents:
        found.setdefault(str(properties_of(document).get(key, "")), []).append(document)
    return found
