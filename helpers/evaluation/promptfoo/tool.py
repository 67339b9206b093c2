"""Where promptfoo and its Node are: in the image's environment, or on one machine in .tools."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import NamedTuple

from helpers.errors import NotFound
from helpers.runtime.workspace import ROOT

PLACES = (Path(sys.prefix, "lib", "promptfoo"), ROOT / ".tools" / "promptfoo")
PACKAGE = Path("node_modules", "promptfoo")


class Tool(NamedTuple):
    """Node and the installed promptfoo."""

    node: Path
    folder: Path

    @property
    def command(self) -> list[str]:
        """What starts promptfoo."""
        return [str(self.node), str(self.folder / PACKAGE / "dist" / "src" / "entrypoint.js")]

    @property
    def reads(self) -> list[Path]:
        """What it reads of itself."""
        return [self.node.resolve(), self.folder]


def tool() -> Tool:
    """Return what asks. Raises NotFound where Node or promptfoo is not installed."""
    folder = next((place for place in PLACES if (place / PACKAGE / "package.json").is_file()), None)
    if folder is None:
        raise NotFound("promptfoo is not installed here", do="Run make .tools/promptfoo, which needs npm and a minute")
    if (node := shutil.which("node")) is None:
        raise NotFound(
            "Node is not installed here", do="Install Node 20.20 or 22.22 with npm, then make .tools/promptfoo"
        )
    return Tool(Path(node), folder.resolve())


@cache
def versions() -> dict[str, str]:
    """Return which promptfoo and which Node these are. Raises as `tool`."""
    found = tool()
    package = json.loads((found.folder / PACKAGE / "package.json").read_text("utf-8"))
    done = subprocess.run([found.node, "--version"], capture_output=True, text=True, check=True, timeout=60)
    return {"promptfoo": package["version"], "node": done.stdout.strip().removeprefix("v")}
