"""What may be called how: names become parts of paths, addresses, labels, tables and pages."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, StringConstraints

SHORT = r"^[a-z0-9][a-z0-9_-]{0,40}$"  # measurements and use cases: what their files are called
OWN = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$"  # what Assay registers: models, versions, headings of records
OTHERS = r"^[@\w][\w .:/@+~()-]{0,199}$"  # what other tools register, and what servers call a model


def _no_way_up(name: str) -> str:
    if not {".", ".."}.isdisjoint(name.split("/")):
        raise ValueError("leads out of its folder")
    return name


ShortName = Annotated[str, StringConstraints(pattern=SHORT)]
OwnName = Annotated[str, StringConstraints(pattern=OWN)]
AnyName = Annotated[str, StringConstraints(pattern=OTHERS), AfterValidator(_no_way_up)]
