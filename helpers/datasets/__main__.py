"""`make use-case NAME=mine`."""

from __future__ import annotations

import argparse
import sys

from helpers.datasets.making import make_use_case
from helpers.errors import AssayError
from helpers.runtime.workspace import ROOT


def main() -> int:
    """Return the exit code: 0 done, 1 refused."""
    parser = argparse.ArgumentParser(prog="python -m helpers.datasets", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    maker = commands.add_parser("new", help="write datasets/NAME/, a use case that runs at once, with data to replace")
    maker.add_argument("name", nargs="?", default="")
    arguments = parser.parse_args()
    try:
        folder = make_use_case(arguments.name, ROOT / "datasets").relative_to(ROOT)
    except AssayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print(f"{folder} can be measured as it is; put your own prompts and questions in, then\n"
          f"  make check USE_CASE={folder.name}\n  make run USE_CASE={folder.name}")  # fmt: skip
    return 0


if __name__ == "__main__":
    sys.exit(main())
