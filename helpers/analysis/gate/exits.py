"""What a command that judges ends with: a verdict's code, or one that is no verdict."""

from __future__ import annotations

import argparse
import sys
import traceback
from collections.abc import Callable
from typing import NoReturn

from helpers.errors import AssayError

CODES = {"pass": 0, "fail": 1, "inconclusive": 2}
NOT_JUDGED = 64


class Parser(argparse.ArgumentParser):
    """A parser whose errors are no verdict: argparse's own code, 2, is taken."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and end."""
        self.print_usage(sys.stderr)
        self.exit(NOT_JUDGED, f"{self.prog}: {message}\n")


def judged(work: Callable[[], int], shown: Callable[[str], str] = str) -> int:
    """Return the verdict's code, or NOT_JUDGED with what failed on standard error; `shown` makes a text fit to show."""
    try:
        return work()
    except AssayError as error:
        print(shown(f"{type(error).__name__}: {error}"), file=sys.stderr)
    except BrokenPipeError:  # who reads has enough
        raise
    except Exception:  # noqa: BLE001 - Python's own code for it, 1, is a verdict
        traceback.print_exc()
    return NOT_JUDGED
