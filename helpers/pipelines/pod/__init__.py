"""What Assay adds to Elyra's bootstrapper in a node's pod: a folder for each run, and an end that leaves nothing lost.

Archives lie in the version's folder of the bucket; what a run writes and reads lies in `<version>/<run>/`, what its
exit task writes in `<version>/<run>/exit/`.
"""

from helpers.pipelines.pod.files import InRun
from helpers.pipelines.pod.reasons import REFUSED
from helpers.pipelines.pod.running import main

__all__ = ["REFUSED", "InRun", "main"]
