"""Make the sample models that are missing: `python -m helpers.ingestion.samples --out DIR NAME …`."""

from __future__ import annotations

import argparse
import functools
import sys
from pathlib import Path

from helpers.errors import AssayError
from helpers.ingestion.samples import SAMPLES, ensure_samples
from helpers.runtime import interrupts
from helpers.runtime.workspace import home


def main() -> int:
    """Print progress, then one line per model with its folder; end with 1 where one cannot be made."""
    parser = argparse.ArgumentParser(prog="python -m helpers.ingestion.samples", description=__doc__)
    parser.add_argument("--out", type=Path, default=home() / "samples", help="folder that gets one folder per model")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(SAMPLES)}; all where none is given")
    given, say = parser.parse_args(), functools.partial(print, flush=True)
    if unknown := set(given.names) - set(SAMPLES):
        parser.error(f"there is no sample model {', '.join(sorted(unknown))}")
    try:
        for name, path in ensure_samples(given.out, [SAMPLES[name] for name in given.names or SAMPLES], say).items():
            say(f"{name}: {path}")
    except AssayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.run(main, "what is finished is kept. Run the same command again"))
