"""Hold a version's decisions against the keys that are trusted here and against what the registry shows."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import NamedTuple, Self

from helpers.errors import SignatureInvalid
from helpers.registry.documents import DECISION, Document, Version, of_kind, properties_of
from helpers.registry.history import (
    APPLIED,
    KIND,
    SHOWN,
    START,
    Decision,
    History,
    Link,
    document_name,
    figure_digests,
    named,
)
from helpers.runtime import keys, signing

COMMAND = 'python -m helpers.registry approve {} {} --reason "…" (or reject)'


class Trust(NamedTuple):
    """The public keys whose decisions count here, or why there is none."""

    keys: tuple[bytes, ...]
    why: str = ""

    @classmethod
    def here(cls) -> Self:
        """Return what is trusted in this environment. Raises InvalidInput for a key that is none."""
        try:
            return cls(keys.trusted(keys.MODEL_OPS))
        except SignatureInvalid as error:
            return cls((), error.what)


def read_history(version: Version, documents: Sequence[Document], trust: Trust | None = None) -> History:
    """Return the history of a version from the documents on it, held against the keys that are trusted.

    Where no key is trusted, that is what is wrong with it.
    """
    found = of_kind(documents, DECISION)
    if not found:
        return History((), (), _undecided(version))
    trust = trust or Trust.here()
    if trust.why:
        return History(tuple(Link(str(each["name"]), fault=trust.why) for each in found), (trust.why,))
    links = tuple(_link(version, document, trust.keys) for document in found)
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
    decision = replace(decision, aside=tuple(decision.aside), figures=tuple(decision.figures))
    about = (decision.model, decision.version, decision.digest)
    if about != named(version):
        return Link(name, signed=signed, fault=f"is about {' '.join(about)}, not {' '.join(named(version))}")
    if name != document_name(decision.serial):
        return Link(name, signed=signed, fault=f"is a copy of {document_name(decision.serial)}")
    return Link(name, decision, signed)


def _faults(history: History) -> Iterator[str]:
    chain = history.chain
    aside = {name for link in chain[:1] for name in link.said.aside}
    for link in history.links:
        if link.fault and link.document not in aside:
            yield f"the decision {link.document} {link.fault}"
    if not chain:
        return
    first = chain[0].said
    if first.previous and not first.aside:
        yield f"the decision before {chain[0].document} is gone"
    for before, after in pairwise(chain):
        if after.said.previous != before.digest:
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
    wanted = standing.said.shown()
    wrong = [f"{name}={properties.get(name, '')}" for name in SHOWN if properties.get(name, "") != wanted[name]]
    return f"the registry shows {', '.join(wrong)}, which {standing.document} does not say" if wrong else ""


def judged(version: Version, history: History, *, figures: bool = False) -> Version:
    """Return the version with the approval that is signed in the place of what the registry shows.

    `doubt` says why there is none; its approval is then "doubtful". With `figures`, so is a version whose baseline is
    not the one that was decided on.
    """
    doubt = history.doubt
    if figures and not doubt and history.figures and not history.figures.issuperset(figure_digests(version.properties)):
        doubt = "the baseline that the registry shows is not the one that was decided on"
    if not doubt:
        return version
    return replace(version, properties={**version.properties, "approval": "doubtful"}, doubt=doubt)


def do_sign(version: Version) -> str:
    """Return what brings a doubtful history in order."""
    return f"Have ModelOps look into it and sign anew: {COMMAND.format(version.name, version.version)}"


def by_version(documents: Sequence[Document], key: str) -> Mapping[str, list[Document]]:
    """Return documents by the version that each says it is of."""
    found: dict[str, list[Document]] = {}
    for document in documents:
        found.setdefault(str(properties_of(document).get(key, "")), []).append(document)
    return found
