"""A model on this machine: a folder, an archive, or one of the samples."""

from __future__ import annotations

import shutil
from functools import partial
from pathlib import Path

from helpers.errors import InvalidParameter, NotFound
from helpers.ingestion.findings import Finding
from helpers.ingestion.leaving import Leaving
from helpers.ingestion.metering import Refused
from helpers.ingestion.policy import Policy
from helpers.ingestion.sources.plan import Plan, Sums
from helpers.runtime.workspace import home

ELSEWHERE = (
    "Give SOURCE=hf://organization/name or s3://bucket/prefix; or run `make samples`, upload the sample's folder to a "
    "bucket and name that"
)


def sample(name: str, policy: Policy) -> Plan:
    """Return the plan for one of the sample models, which is made now where it is missing.

    Raises InvalidParameter, also where this environment cannot make it, SourceUnreachable or DigestMismatch.
    """
    from helpers.ingestion.samples import SAMPLES, ensure_samples

    known(name)
    try:
        path = ensure_samples(home() / "samples", [SAMPLES[name]])[name]
    except ModuleNotFoundError:  # a runtime image has neither torch nor gguf
        raise InvalidParameter(f"SOURCE is sample://{name}, which only a workspace can make", do=ELSEWHERE) from None
    return plan(path, policy)


def known(name: str) -> None:
    """Refuse what is no sample's name. Raises InvalidParameter."""
    from helpers.ingestion.samples import SAMPLES

    if name not in SAMPLES:
        raise InvalidParameter(
            f"sample://{name} names no sample model", do=f"Give sample:// and one of {', '.join(SAMPLES)}"
        )


def plan(path: Path, policy: Policy) -> Plan:
    """Return the plan for a folder or archive. Raises NotFound."""
    from helpers.ingestion.inspection.tree import inspect_tree

    if not path.exists():
        raise NotFound(f"{path} does not exist", do="Give SOURCE the folder that holds the model's files")
    path = path.resolve()
    origin = {"kind": "folder", "class": "local", "group": str(path.parent), "id": str(path), "name": path.name}
    if not policy.sources.folders:
        finding = Finding(
            ".", "source", "medium", "comes from a folder, and the policy allows none", "Give another source"
        )
        return Plan(str(path), origin, {}, (finding,))
    if not path.is_dir():
        if not path.is_file():
            raise InvalidParameter(
                f"{path} is neither folder nor file", do="Give the folder that holds the model's files"
            )
        return Plan(str(path), origin, {}, receive=partial(_unpack, path, policy))
    findings = inspect_tree(path, policy, at_source=True)
    if any(finding.severity != "low" for finding in findings):
        return Plan(str(path), origin, {}, tuple(findings), place=path)
    return Plan(str(path), origin, {}, tuple(findings), receive=partial(_copy, path, policy))


def _copy(path: Path, policy: Policy, work: Path, model: Path) -> Sums:
    from helpers.ingestion.digests import copy_hashed

    shutil.rmtree(model, ignore_errors=True)
    model.mkdir()
    return copy_hashed(path, model, leaving=Leaving(policy))


def _unpack(path: Path, policy: Policy, work: Path, model: Path) -> Sums:
    from helpers.ingestion.archives import unpack
    from helpers.ingestion.digests import hash_folder

    draft = work / "unpacked"
    for folder in (draft, model):
        shutil.rmtree(folder, ignore_errors=True)
    draft.mkdir()
    if findings := unpack(path, draft, policy.limits, leaving=Leaving(policy)):
        raise Refused(str(path), *findings)
    inside = list(draft.iterdir())
    whole = inside[0] if len(inside) == 1 and inside[0].is_dir() else draft
    whole.rename(model)
    return hash_folder(model)
