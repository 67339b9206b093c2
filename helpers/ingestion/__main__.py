"""`python -m helpers.ingestion PATH`: inspect a model folder or archive; nothing in it is loaded or run.

Exit code 0: clean. 1: refused. 2: could not be inspected.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from helpers.errors import AssayError
from helpers.ingestion.inspection import inspect
from helpers.ingestion.names import shown
from helpers.ingestion.policy import load_policy
from helpers.ingestion.report import report
from helpers.runtime import interrupts
from helpers.runtime.workspace import ROOT

CLEAN, REFUSED, NOT_INSPECTED = 0, 1, 2


def main(arguments: list[str] | None = None) -> int:
    """Inspect what the arguments name, print the report and return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        inspection = inspect(given.path, load_policy(given.policy), source=shown(str(given.path)), at_source=True)
    except AssayError as error:
        print(shown(str(error)), file=sys.stderr)
        return NOT_INSPECTED
    sys.stdout.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    print(inspection.model_dump_json(indent=2) if given.json else report(inspection))
    return REFUSED if inspection.refused else CLEAN


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m helpers.ingestion",
        description="Inspect a model folder or archive. Nothing in it is loaded or run.",
        epilog="Exit code 0: clean; 1: refused; 2: could not be inspected.",
    )
    parser.add_argument("path", type=Path, metavar="PATH", help="folder, or tar or zip archive, with a model's files")
    parser.add_argument("--policy", type=Path, metavar="FILE", default=ROOT / "pipelines" / "policy.yaml",
                        help="policy file (default: pipelines/policy.yaml)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print the inspection as JSON, for machines")
    return parser


def run() -> None:
    """End the process with the exit code; an error of our own never looks like a verdict."""
    try:
        sys.exit(interrupts.run(main, "the model is as it was. Run the same command again"))
    except Exception as error:
        import traceback

        traceback.print_exc()
        raise SystemExit(NOT_INSPECTED) from error


if __name__ == "__main__":
    run()
