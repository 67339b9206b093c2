"""What an hour of each hardware costs, from a table that the user keeps."""

from __future__ import annotations

import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import Field

from helpers.artifacts import Contract
from helpers.errors import InvalidParameter
from helpers.runtime.yaml_files import read_yaml

DO = "Correct the price table, or name another in PRICES"


class PriceList(Contract):
    """Price of an hour of one accelerator, or of one CPU core, by the record's hardware type; `*` matches anything."""

    date: datetime.date
    source: str = Field(min_length=1)
    currency: str = Field(min_length=1)
    per_hour: dict[str, float | None]

    def hourly(self, hardware: str, count: float) -> float | None:
        """Return what `count` of that hardware cost in an hour, None where the table has no price."""
        price = next((price for name, price in self.per_hour.items() if fnmatchcase(hardware, name)), None)
        return None if price is None else price * count


def load_prices(path: Path) -> PriceList:
    """Return the table in a YAML file. Raises InvalidParameter with file, line and field."""
    return read_yaml(path, PriceList, InvalidParameter, missing=DO, repair=DO)[0]
