"""`python -m helpers.local.lab`: JupyterLab on this workspace, with the local registry up, on loopback."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from helpers.local import stack
from helpers.workspace import ROOT


def main(arguments: list[str]) -> None:
    """Start the registry, then become JupyterLab; further arguments are JupyterLab's own."""
    print(f"registry: {stack.up()}", flush=True)
    jupyter = Path(sys.executable).with_name("jupyter-lab")
    own = [f"--ServerApp.root_dir={ROOT}", "--ServerApp.ip=127.0.0.1"]
    if os.geteuid() == 0:
        own.append("--allow-root")
    # Kernels and the Elyra command line must be this environment's, whatever the shell's PATH says.
    os.environ["PATH"] = f"{jupyter.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    os.execv(jupyter, [str(jupyter), *own, *arguments])


if __name__ == "__main__":
    main(sys.argv[1:])
