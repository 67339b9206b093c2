"""The one form in which JSON is hashed and signed: sorted keys, no blanks, UTF-8."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical(payload: Mapping[str, Any]) -> bytes:
    """Return the canonical form."""
    text = json.dumps(payload, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def digest(payload: Mapping[str, Any]) -> str:
    """Return `sha256:` and the digest of the canonical form."""
    return "sha256:" + hashlib.sha256(canonical(payload)).hexdigest()
