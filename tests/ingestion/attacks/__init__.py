"""The attack corpus: each function spoils a clean model folder, and says which rule finds it for what reason.

A function gets a folder of its own and may change it as it likes; where it returns a path, that is inspected instead
(an archive, a link). Every module in this package is part of the corpus.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Spoil = Callable[[Path], Path | None]


@dataclass(frozen=True)
class Attack:
    """One way to smuggle something in, the rule that finds it, and a regular expression for the reason it gives."""

    name: str
    rule: str
    says: str
    spoil: Spoil


ATTACKS: list[Attack] = []


def attack(*, rule: str, says: str) -> Callable[[Spoil], Spoil]:
    """Register a function as an attack."""

    def register(spoil: Spoil) -> Spoil:
        ATTACKS.append(Attack(spoil.__name__, rule, says, spoil))
        return spoil

    return register


def all_attacks() -> list[Attack]:
    """Return every attack of every module in this package."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(ATTACKS, key=lambda found: found.name)
