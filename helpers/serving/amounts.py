"""Resources, tolerations and hardware, as one parameter holds them: `cpu:4,memory:16Gi,nvidia.com/gpu:1`."""

from __future__ import annotations

import re

from helpers.artifacts import Hardware
from helpers.runtime.parameters import words

Resources = dict[str, str]  # Kubernetes' name of a resource, and how much of it
Toleration = dict[str, str]
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
QUANTITY = re.compile(r"([0-9]+(?:\.[0-9]+)?)([A-Za-z]*)")
KEY = re.compile(r"([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
NO_ACCELERATOR = re.compile(r"(?i)rdma|infiniband|roce|sriov|vpc\.amazonaws\.com|/(ib|efa|hca|nic|kvm|tun|fuse)\b")
HARDWARE = re.compile(r"([A-Za-z][\w .()@+/-]*)(?::([1-9][0-9]{0,4}))?", re.ASCII)  # prices go by the name
LEAST_MEMORY = 2**26  # bytes; less is a forgotten or a wrong unit
UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "m": 1e-3}


def parse_resources(text: str) -> Resources:
    """Return the quantity of each resource. Raises ValueError."""
    found: Resources = {}
    for item in words(text):
        name, _, amount = item.rpartition(":")
        if not KEY.fullmatch(name) or not QUANTITY.fullmatch(amount):
            raise ValueError(f"{item!r} is not name:quantity, for example memory:16Gi")
        _require_meant(name, amount)
        if name in found:
            raise ValueError(f"{name} is there twice")
        if "/" in name and not amount.isdigit():
            raise ValueError(f"{name} comes in whole numbers")
        found[name] = amount
    if missing := [name for name in ("cpu", "memory") if name not in found]:
        raise ValueError(f"{missing[0]} is missing")
    return {name: amount for name, amount in found.items() if "/" not in name or int(amount)}


def _require_meant(name: str, amount: str) -> None:
    """Raise ValueError, with what was meant, for a quantity that Kubernetes refuses or takes for something else."""
    found = QUANTITY.fullmatch(amount)
    assert found
    digits, unit = found.groups()
    if unit not in UNITS:
        meant = f"{digits}{unit[0].upper()}i" if unit[0].lower() in "kmgt" and name != "cpu" else digits
        raise ValueError(f"{name}:{amount} has a unit that Kubernetes does not know; {name}:{meant} is meant")
    if name == "cpu" and unit not in ("", "m"):
        raise ValueError(f"cpu:{amount} would be {number(amount):.0f} processors; cpu:{digits} is meant")
    if name in ("cpu", "memory") and not number(amount):
        raise ValueError(f"{name}:{amount} gives the server nothing; say how much it may have")
    if name == "memory" and number(amount) < LEAST_MEMORY:
        meant = {"": "Gi", "m": "Mi"}.get(unit, "Mi")
        raise ValueError(f"memory:{amount} is {number(amount):g} bytes; memory:{digits}{meant} is meant")


def accelerator(resources: Resources) -> tuple[str, int]:
    """Return the accelerator's resource name and how many there are, ("", 0) for a server on the CPU.

    Devices of the network, for example rdma/ib, are none.
    """
    devices = [name for name in resources if "/" in name and not NO_ACCELERATOR.search(name)]
    return next(((name, int(resources[name])) for name in devices), ("", 0))


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
    found = HARDWARE.fullmatch(text.strip())
    if not found:
        raise ValueError("give a name with the number of accelerators, for example NVIDIA-L40S:2, or unknown")
    return Hardware(type=found[1].strip(), count=int(found[2] or 1))
