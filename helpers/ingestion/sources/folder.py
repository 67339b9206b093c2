"""A model on this machine: a folder, an archive, or one of the samples."""

from __future__ import annotations

import re
import shutil
from functools import partial
from pathlib import Path

from helpers.errors import InvalidParameter, NotFound
from helpers.ingestion.findings import Finding
from helpers.ingestion.leaving import Leaving
from helpers.ingestion.policy import Policy
from helpers.ingestion.sources.plan import Plan, Sums
from helpers.metering import Refused
from helpers.workspace import home


def sample(name: str, policy: Policy) -> Plan:
    """Return the plan for one of the sample models. Raises InvalidParameter or NotFound."""
    if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII):
        raise InvalidParameter(f"sample://{name} names no sample", do="Give sample://name")
    if not (home() / "samples" / name).exists():
        raise NotFound(f"There is no sample model {name} on this machine", do="Run make samples, which trains them")
    return plan(home() / "samples" / name, policy)


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
