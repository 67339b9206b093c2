"""What a command that judges ends with: a verdict's code, or one that is no verdict."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

CODES = {"pass": 0, "fail": 1, "inconclusive": 2}
NOT_JUDGED = 64


class Parser(argparse.ArgumentParser):
    """A parser whose errors are no verdict: argparse's own code, 2, is taken."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end."""
        self.print_usage(sys.stderr)
        self.exit(NOT_JUDGED, f"{self.prog}: {message}\n")
