"""Train the sample models that are missing: `python -m helpers.local.samples --out DIR`."""

from __future__ import annotations

import argparse
import functools
from pathlib import Path

from helpers.local.samples.cache import ensure_samples
from helpers.workspace import home


def main() -> None:
    """Print progress, then one line per model with its folder."""
    parser = argparse.ArgumentParser(prog="python -m helpers.local.samples", description=__doc__)
    parser.add_argument("--out", type=Path, default=home() / "samples", help="folder that gets one folder per model")
    say = functools.partial(print, flush=True)
    for name, path in ensure_samples(parser.parse_args().out, say=say).items():
        say(f"{name}: {path}")


if __name__ == "__main__":
    main()
