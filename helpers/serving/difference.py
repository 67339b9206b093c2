"""How the server that stands now differs from the one that was deployed."""

from __future__ import annotations

from typing import NamedTuple


class Difference(NamedTuple):
    """What became of the server."""

    what: str
    gone: bool  # the server of that specification is gone: the same may be served again
    stands: bool = False  # what replaced it has to be removed first: what it loaded was not verified
