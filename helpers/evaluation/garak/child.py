"""Run garak: a script for the Python that has it, behind the wall, with nothing of this project imported."""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

SECONDS = 5.0  # between two lines on how far it is
SCORED = b'"status": 2'  # of an attempt, in the report


def main(config: Path, left: Path) -> int:
    """Run what `config` says, and name the probes in `left`/probes.json; a failure is one FAILURE line."""
    os.environ["OPENAICOMPATIBLE_API_KEY"] = sys.stdin.readline().strip() or "none"
    said, sys.stdout = sys.stdout, sys.stderr  # garak's own words go into the log

    def tell(text: str) -> None:
        print(text, file=said, flush=True)

    from garak import _plugins, cli

    known = {name.removeprefix("probes."): active for name, active in _plugins.enumerate_plugins("probes")}
    asked = json.loads(config.read_text("utf-8"))["plugins"]["probe_spec"].split(",")
    found = {name: _meant(name, known) for name in asked}
    if missing := [name for name, probes in found.items() if not probes]:
        what = f"garak knows no probe {', '.join(missing)}"
        do = f"Choose among {', '.join(sorted({name.partition('.')[0] for name in known}))}, or their probes"
        tell("FAILURE " + json.dumps({"kind": "InvalidParameter", "what": what, "do": do}))
        return 3
    (left / "probes.json").write_text(json.dumps(sorted({name for probes in found.values() for name in probes})))
    threading.Thread(target=_follow, args=(left, tell), daemon=True).start()
    cli.main(["--config", str(config)])
    return 0


def _meant(name: str, known: dict[str, bool]) -> list[str]:
    """Return the probes of a name: itself, or of a family the active ones."""
    family = [probe for probe, active in known.items() if active and probe.partition(".")[0] == name]
    return [name] if name in known else family


def _follow(left: Path, tell: Any) -> None:
    """Tell now and then how many attempts were judged."""
    while not threading.Event().wait(SECONDS):
        reports = list(left.glob("*.report.jsonl"))
        judged = sum(line.count(SCORED) for report in reports for line in report.read_bytes().splitlines())
        tell(f"{judged} attempts judged")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
