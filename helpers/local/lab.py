"""`python -m helpers.local.lab`: JupyterLab on this workspace, with the local registry up, on loopback.

Its canvas has a runtime "This machine", so that Run works without a cluster.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from helpers.local import stack
from helpers.runtime.workspace import ROOT


def main(arguments: list[str]) -> None:
    """Start the registry, then become JupyterLab; further arguments are JupyterLab's own."""
    print(f"registry: {stack.up()}", flush=True)
    jupyter = Path(sys.executable).with_name("jupyter-lab")
    own = ["--ServerApp.ip=127.0.0.1"]
    if not any(argument.startswith("--ServerApp.root_dir=") for argument in arguments):  # it may not be given twice
        own.append(f"--ServerApp.root_dir={ROOT}")
    if os.geteuid() == 0:
        own.append("--allow-root")
    # Kernels and the Elyra command line must be this environment's, whatever the shell's PATH says.
    os.environ["PATH"] = f"{jupyter.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    os.environ["ELYRA_METADATA_PATH"] = os.pathsep.join(metadata_paths())
    os.execv(jupyter, [str(jupyter), *own, *arguments])


def metadata_paths() -> list[str]:
    """Return where Elyra looks for runtimes: first the user's own folder, because it writes into the first."""
    from jupyter_core.paths import jupyter_data_dir

    before = os.environ.get("ELYRA_METADATA_PATH") or jupyter_data_dir()
    return [before, str(Path(__file__).with_name("elyra"))]


if __name__ == "__main__":
    main(sys.argv[1:])
