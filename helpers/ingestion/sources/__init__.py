"""Where a model may come from. Whatever the source, it ends as a folder in quarantine with a SHA-256 for each file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from helpers.errors import InvalidParameter
from helpers.ingestion.metering import Refused
from helpers.ingestion.policy import Policy
from helpers.ingestion.sources.plan import Fetched, Plan
from helpers.ingestion.sources.quarantine import quarantined

__all__ = ["Fetched", "check_form", "fetch"]

KINDS = (
    "Give a folder, sample://name, hf://org/name@revision, s3://bucket/prefix, oci://registry/repository:tag, "
    "or the tuned.json of finetune_model"
)


@contextmanager
def fetch(source: str, policy: Policy, quarantine: Path) -> Iterator[Fetched]:
    """Yield the model of a source in a folder of its own below `quarantine`.

    What the policy refuses is in the findings, and then it was not downloaded, or not as a whole. The folder goes when
    the block ends normally or in a refusal; after anything else it stays, so that the next run continues.
    Raises InvalidParameter, NotFound, SourceUnreachable, StoreFailed or TimedOut.
    """
    try:
        plan = _plan(source, policy)
    except Refused as refusal:
        plan = Plan(identity="", origin={}, facts={}, findings=refusal.findings)
    facts = {"source": source, **plan.facts}
    if plan.place:
        yield Fetched(plan.place, {}, plan.origin, facts, plan.findings)
        return
    with quarantined(quarantine, source, plan.identity, policy.limits.hours) as folder:
        yield _receive(plan, folder, facts)


def _receive(plan: Plan, folder: Path, facts: dict[str, str]) -> Fetched:
    model = folder / "model"
    fetched = partial(Fetched, origin=plan.origin, facts=facts)
    if any(finding.severity != "low" for finding in plan.findings):
        model.mkdir(exist_ok=True)
        return fetched(model, {}, findings=plan.findings, complete=False)
    try:
        sums = plan.receive(folder, model)
    except Refused as refusal:
        model.mkdir(exist_ok=True)
        return fetched(model, {}, findings=(*plan.findings, *refusal.findings), complete=False)
    return fetched(model, sums, findings=plan.findings)


def _plan(source: str, policy: Policy) -> Plan:
    from helpers.ingestion.sources import bucket, folder, hub, registry_image, tuned

    check_form(source)
    scheme, separator, rest = source.partition("://")
    if tuned.is_tuned(source):
        return tuned.plan(source, policy)
    if not separator:
        return folder.plan(Path(source).expanduser(), policy)
    plans = {"sample": folder.sample, "hf": hub.plan, "s3": bucket.plan, "oci": registry_image.plan}
    return plans[scheme](rest, policy)


def check_form(source: str) -> None:
    """Refuse an address that names no model, whatever its server would say. Raises InvalidParameter."""
    from helpers.ingestion.oci import Reference
    from helpers.ingestion.sources import bucket, folder, hub

    scheme, separator, rest = source.partition("://")
    forms = {"sample": folder.known, "hf": hub.named, "s3": bucket.named, "oci": Reference.parse}
    if separator and scheme not in forms:
        raise InvalidParameter(f"SOURCE begins with {scheme}://, which is no source", do=KINDS)
    if separator:
        forms[scheme](rest)
