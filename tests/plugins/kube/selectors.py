"""Label and field selectors as the API server reads them."""

from __future__ import annotations

import re

EQUAL = re.compile(r"^([^=!]+?)\s*(==|=|!=)\s*(.*)$")
SET = re.compile(r"^(\S+)\s+(in|notin)\s+\(([^)]*)\)$")


def selected(item: dict, labels: str, fields: str) -> bool:
    """Return whether an object has the labels and the field values."""
    own = item["metadata"].get("labels") or {}
    by_label = all(_label(own, part.strip()) for part in re.split(r",(?![^(]*\))", labels) if part.strip())
    return by_label and all(_field(item, part.strip()) for part in fields.split(",") if part.strip())


def _label(labels: dict[str, str], requirement: str) -> bool:
    if found := SET.match(requirement):
        inside = labels.get(found[1]) in [value.strip() for value in found[3].split(",")]
        return inside if found[2] == "in" else not inside
    if found := EQUAL.match(requirement):
        return (labels.get(found[1]) == found[3]) != (found[2] == "!=")
    return requirement[1:] not in labels if requirement.startswith("!") else requirement in labels


def _field(item: dict, requirement: str) -> bool:
    found = EQUAL.match(requirement)
    assert found, requirement
    value = item
    for part in found[1].split("."):
        value = value.get(part, "") if isinstance(value, dict) else ""
    return (str(value) == found[3]) != (found[2] == "!=")
