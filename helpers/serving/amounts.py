"""Resources, tolerations and hardware, as one parameter holds them: `cpu:4,memory:16Gi,nvidia.com/gpu:1`."""

from __future__ import annotations

import re

from helpers.artifacts import Hardware
from helpers.parameters import words

Resources = dict[str, str]  # Kubernetes' name of a resource, and how much of it
Toleration = dict[str, str]
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|[kKMGT]i?)?")
KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "m": 1e-3}


def parse_resources(text: str) -> Resources:
    """Return the quantity of each resource. Raises ValueError."""
    found: Resources = {}
    for item in words(text):
        name, _, amount = item.rpartition(":")
        if not KEY.fullmatch(name) or not QUANTITY.fullmatch(amount):
            raise ValueError(f"{item!r} is not name:quantity, for example memory:16Gi")
        if name in found:
            raise ValueError(f"{name} is there twice")
        if "/" in name and not amount.isdigit():
            raise ValueError(f"{name} comes in whole numbers")
        found[name] = amount
    if missing := [name for name in ("cpu", "memory") if name not in found]:
        raise ValueError(f"{missing[0]} is missing")
    return {name: amount for name, amount in found.items() if "/" not in name or int(amount)}


def accelerator(resources: Resources) -> tuple[str, int]:
    """Return the accelerator's resource name and how many there are, ("", 0) for a server on the CPU."""
    return next(((name, int(amount)) for name, amount in resources.items() if "/" in name), ("", 0))


def number(amount: str) -> float:
    """Return a quantity as a number, for example 4.0 for `4000m`."""
    digits = re.match(r"[0-9.]+", amount)
    assert digits
    return float(digits[0]) * UNITS[amount[digits.end() :]]


def cores(amount: float) -> int | float:
    """Return a number of CPU cores to a thousandth, whole where it is."""
    exact = round(amount, 3)
    return int(exact) if exact == int(exact) else exact


def parse_toleration(text: str) -> Toleration:
    """Return a toleration of `key[=value][:effect]`. Raises ValueError."""
    taint, _, effect = text.partition(":")
    key, _, value = taint.partition("=")
    if not KEY.fullmatch(key) or (effect and effect not in EFFECTS):
        raise ValueError(f"{text!r} is not key[=value][:effect] with an effect of {', '.join(EFFECTS)}")
    meant = {"key": key, "operator": "Equal", "value": value} if value else {"key": key, "operator": "Exists"}
    return meant | ({"effect": effect} if effect else {})


def parse_hardware(text: str) -> Hardware:
    """Return the hardware of `name` or `name:count`. Raises ValueError."""
    name, _, count = text.rpartition(":") if re.search(r":[0-9]+$", text) else (text, "", "1")
    if not name.strip():
        raise ValueError("it has no name")
    return Hardware(type=name.strip(), count=int(count))
