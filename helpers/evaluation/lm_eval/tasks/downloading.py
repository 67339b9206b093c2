"""Download a task's data, as a process of its own: it has the hub's token and runs none of the task's code."""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

FAILED = 3


def main(sources: Path, found: Path) -> int:
    """Load each member's data and write where its Arrow files lie; a failure is one FAILURE line.

    `sources`: member -> path, name and kwargs of load_dataset. `found`: member -> split -> Arrow files.
    """
    wanted: dict[str, dict[str, Any]] = json.loads(sources.read_text("utf-8"))
    files: dict[str, dict[str, list[str]]] = {}
    for number, (member, call) in enumerate(wanted.items(), start=1):
        print(f"Data of {member} ({number} of {len(wanted)})", flush=True)
        try:
            if splits := _load(call):
                files[member] = splits
        except Exception as error:  # noqa: BLE001 - whatever a server's answer or somebody's file may raise
            print("FAILURE " + json.dumps(_failure(member, call, error)), flush=True)
            return FAILED
    found.write_text(json.dumps(files), "utf-8")
    return 0


def _load(call: dict[str, Any]) -> dict[str, list[str]]:
    """Return the files of each split, none where the data does not lie in files (streaming)."""
    datasets: Any = importlib.import_module("datasets")  # not the project's folder of this name
    loaded = datasets.load_dataset(call["path"], call["name"], **call["kwargs"])
    if not isinstance(loaded, datasets.DatasetDict):
        return {}
    files = {split: [item["filename"] for item in rows.cache_files] for split, rows in loaded.items()}
    return {split: names for split, names in files.items() if names}


def _failure(member: str, call: dict[str, Any], error: Exception) -> dict[str, str]:
    what = " ".join(str(error.__cause__ or error).split())[:300]
    unreachable = isinstance(error, ConnectionError | TimeoutError)
    kind = "SourceUnreachable" if unreachable else "InvalidDataset"
    do = "Try again" if unreachable else "Correct dataset_path, or set HF_TOKEN to a token that may read private data"
    return {"kind": kind, "what": f"The data of {member} ({call['path']}) cannot be loaded: {what}", "do": do}


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
