"""`make use-case NAME=mine`: a folder that can be measured at once, to be filled with somebody's own data."""

from __future__ import annotations

import re
import shutil
import tempfile
from pathlib import Path

from helpers.datasets.use_case import SAFE
from helpers.errors import InvalidInput

TEMPLATE = Path(__file__).with_name("template")


def make_use_case(name: str, among: Path) -> Path:
    """Write the folder `name` among the use cases and return it. Raises InvalidInput for a bad name or one in use."""
    folder = among / name
    if not re.fullmatch(SAFE, name):
        raise InvalidInput(
            f"{name!r} is no name of a use case",
            do="Give NAME=… of at most 41 small letters, digits, - and _, of which the first is a letter or digit",
        )
    if folder.exists():
        raise InvalidInput(f"{folder} is there already", do="Give another name, or remove the folder yourself")
    among.mkdir(parents=True, exist_ok=True)
    words = {"{name}": name, "{task}": name.replace("-", "_")}
    with tempfile.TemporaryDirectory(prefix=f".{name}-", dir=among) as draft:
        whole = Path(draft, name)
        shutil.copytree(TEMPLATE, whole)
        for file in whole.iterdir():
            text = file.read_text(encoding="utf-8")
            for word, value in words.items():
                text = text.replace(word, value)
            file.write_text(text, encoding="utf-8")
        whole.rename(folder)
    return folder
