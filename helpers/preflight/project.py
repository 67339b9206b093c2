"""The project that is checked, and what the checks found out about it on the way."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from helpers.errors import ClusterUnreachable

if TYPE_CHECKING:
    from helpers.cluster import Cluster

RUNNER = "pipeline-runner-dspa"
SET_UP = "runtime-images/openshift/project/README.md says how"
DO_ASK = "Run this as an administrator of the project, who may ask for another account"


@dataclass
class Project:
    """What the user named; the first check adds the cluster and who asks it."""

    namespace: str = ""
    registry: str = "auto"
    store: str = "auto"
    runtime: str = "odh_dsp"
    seconds: float = 15  # how long something that does not answer is asked again
    connected: Cluster | None = None
    account: str = ""

    @property
    def cluster(self) -> Cluster:
        """The cluster; raises ClusterUnreachable where the first check found none."""
        if self.connected is None:
            raise ClusterUnreachable("Not looked at, because the cluster's API was not reached", do="See above")
        return self.connected

    @property
    def runs_pipelines(self) -> bool:
        """Whether the checks run as the account of the pipelines themselves."""
        return self.account.endswith(f":{RUNNER}")
