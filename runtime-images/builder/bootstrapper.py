"""What a node of Assay's images starts: Elyra's bootstrapper, where each run has a folder of its own.

Elyra's own lies in the images beside this file, as elyra_bootstrapper.py. What is changed is in helpers/pipelines/pod.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(sys.executable).parent / "utils"))  # a pod copies this file alone into its folder

import elyra_bootstrapper as elyra

from helpers.pipelines import pod

for kind in ("NotebookFileOp", "PythonFileOp", "RFileOp"):
    setattr(elyra, kind, type(kind, (pod.InRun, getattr(elyra, kind)), {}))

if __name__ == "__main__":
    sys.exit(pod.main(elyra.main))
