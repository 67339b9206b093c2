"""hf://organization/name@revision: resolved to a commit, judged by its list of files, then downloaded."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial

from helpers.errors import InvalidParameter
from helpers.ingestion.findings import Finding
from helpers.ingestion.leaving import Leaving
from helpers.ingestion.metering import persistently
from helpers.ingestion.policy import Policy
from helpers.ingestion.sources.hub_client import Hub, Repository, Sibling
from helpers.ingestion.sources.listed import Remote, receive_listed
from helpers.ingestion.sources.listing import inspect_listing
from helpers.ingestion.sources.plan import Plan

FORM = re.compile(r"((?:\w[\w.-]*/)?\w[\w.-]*)(?:@([\w.][\w./-]{0,199}))?", re.ASCII)
CONSIDERED = "Take it from an allowed organization, or let the platform team add this one to the policy"


def plan(address: str, policy: Policy) -> Plan:
    """Return the plan for a repository of the hub. Raises InvalidParameter, NotFound, SourceUnreachable or Refused."""
    match = named(address)
    hub = Hub(match[1], match[2] or "main")
    if findings := _organization(hub.repository, hub.revision, policy):
        return Plan("", {}, {}, findings)
    known = persistently(hub.describe, hub.name)
    leaving = Leaving(policy)
    taken = [file for file in known.siblings if not leaving(file.rfilename)]
    origin = {
        "kind": "hub", "class": hub.host, "group": known.id.rpartition("/")[0], "id": known.sha, "name": known.id,
    }  # fmt: skip
    facts = {"commit": known.sha, "revision": hub.revision, "repository": known.id, "hub": hub.host}
    findings = (
        *_organization(known.id, hub.revision, policy),
        *_sizes(taken, policy),
        *leaving.note(),
        *_unstated(taken),
    )
    receive = partial(receive_listed, hub.name, _remotes(hub, known, taken), policy)
    return Plan(known.sha, origin, facts, findings, receive)


def named(address: str) -> re.Match[str]:
    """Return an address in its parts. Raises InvalidParameter."""
    match = FORM.fullmatch(address)
    if not match or ".." in address:
        raise InvalidParameter(f"hf://{address} names no model on a hub", do="Give hf://organization/name@revision")
    return match


def _organization(repository: str, revision: str, policy: Policy) -> tuple[Finding, ...]:
    """Return why a repository is not one of those that the policy allows: its name of today counts, too."""
    allowed = policy.sources.organizations
    organization = repository.rpartition("/")[0]
    if "*" not in allowed and organization.casefold() not in {name.casefold() for name in allowed}:
        problem = f"comes from {organization or 'no organization'}, which the policy does not allow"
        return (Finding(".", "source", "medium", problem, CONSIDERED),)
    if revision.startswith("refs/"):
        problem = f"is {revision}, a proposal that anyone may make, not what {organization} published"
        return (Finding(".", "source", "high", problem, "Give a branch, tag or commit of the repository itself"),)
    return ()


def _sizes(taken: Sequence[Sibling], policy: Policy) -> list[Finding]:
    names = {file.rfilename for file in taken}
    if len(names) < len(taken) or any(file.size is None for file in taken):
        problem = "has a list of files with one of them twice or without a size"
        return [Finding(".", "source", "high", problem, "Check HF_ENDPOINT: the hub itself states them")]
    return inspect_listing({file.rfilename: file.size or 0 for file in taken}, policy)


def _unstated(taken: Sequence[Sibling]) -> tuple[Finding, ...]:
    names = [file.rfilename for file in taken if not file.lfs and not file.blobId]
    if not names:
        return ()
    problem = f"has {len(names)} files whose hash the hub does not state, {names[0]} among them"
    return (Finding(".", "digest", "low", problem, "Ask the hub itself rather than a mirror, where that matters"),)


def _remotes(hub: Hub, known: Repository, taken: Sequence[Sibling]) -> list[Remote]:
    return [
        Remote(
            file.rfilename,
            file.size or 0,
            partial(hub.file, known.sha, file.rfilename),
            sha256=file.lfs.sha256 if file.lfs else "",
            blob_id="" if file.lfs else file.blobId,
        )
        for file in taken
    ]
