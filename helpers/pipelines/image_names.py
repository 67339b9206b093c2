"""The parts of an image's name; needs nothing but Python."""

from __future__ import annotations

import re
import tomllib

from helpers.runtime.workspace import ROOT

NOWHERE = ".invalid"  # a top-level domain that resolves nowhere (RFC 2606): the names that are shipped have it


def is_placeholder(image: str) -> bool:
    """Return whether an image is one that nobody can pull."""
    host = image.partition("/")[0].partition(":")[0]
    return f".{host}".endswith(NOWHERE)


def short(image: str) -> str:
    """Return the last part of an image's name, without tag or digest."""
    return re.split("[:@]", image.rpartition("/")[2])[0]


def tag() -> str:
    """Return the tag of the images that this checkout makes."""
    return str(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"])
