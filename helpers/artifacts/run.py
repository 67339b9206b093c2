"""Which run a stage belongs to: what a run writes is read by the same run only."""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
from datetime import UTC, datetime
from pathlib import Path

VARIABLE = "ELYRA_RUN_NAME"  # set by Elyra, here and on a cluster, where Argo puts the run's id in
SELECTION = "selection.json"
LONGEST_LABEL = 63


def current(folder: Path) -> str:
    """Return the run's id: Elyra's, or for a notebook run by hand the one of `folder`'s selection, "" without one."""
    return os.environ.get(VARIABLE, "") or _selected(folder).get("run", "")


def of_selection(folder: Path, model: str) -> str:
    """Return the id for a selection that is about to be written: by hand, another model begins another run.

    `model` is its digest, or an endpoint's address and name.
    """
    before = _selected(folder)
    known = before.get("digest") or f"{before.get('uri')} {before.get('name')}"
    if VARIABLE in os.environ or known == model:
        return current(folder) or _by_hand()
    return _by_hand()


def label(run: str) -> str:
    """Return the id as a label's value in Kubernetes: letters, digits, `-`, `_` and `.`, at most 63 characters."""
    safe = re.sub(r"[^A-Za-z0-9_.-]+", "-", run).strip("-_.")
    if safe == run and len(run) <= LONGEST_LABEL:
        return run
    mark = hashlib.sha256(run.encode()).hexdigest()[:10]
    return f"{safe[: LONGEST_LABEL - len(mark) - 1]}-{mark}".lstrip("-_.")


def _by_hand() -> str:
    return f"by-hand-{datetime.now(UTC):%Y%m%d%H%M%S}-{secrets.token_hex(3)}"


def _selected(folder: Path) -> dict[str, str]:
    try:
        found = json.loads((folder / SELECTION).read_bytes())
    except (OSError, ValueError):
        return {}
    known = found if isinstance(found, dict) else {}  # what is no selection is told by whoever reads it whole
    return {key: known[key] for key in ("run", "digest", "uri", "name") if isinstance(known.get(key), str)}
