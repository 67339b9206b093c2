"""The runtime configurations that Elyra knows: where pipelines run and where their files are kept."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from helpers.errors import InvalidInput, NotFound

DO_MAKE = (
    "On OpenShift AI restart the workbench after the pipeline server was configured; elsewhere create one with "
    "`elyra-metadata create runtimes --schema_name kfp`"
)


@dataclass(frozen=True)
class Runtime:
    """A runtime configuration; its keys stay in `metadata`, which is never printed."""

    name: str
    metadata: Mapping[str, Any]

    @property
    def api_endpoint(self) -> str:
        """The Pipelines server, without a slash at the end."""
        return str(self.metadata["api_endpoint"]).rstrip("/")

    @property
    def store(self) -> str:
        """The object store's address with the bucket."""
        return f"{self.metadata['cos_endpoint']}/{self.metadata['cos_bucket']}"


def prepare() -> None:
    """Make Elyra's surroundings complete: it watches a folder that may not be there, and its CA has had two names."""
    from jupyter_core.paths import jupyter_runtime_dir

    Path(jupyter_runtime_dir()).mkdir(parents=True, exist_ok=True)
    if bundle := os.environ.get("PIPELINES_SSL_SA_CERTS"):  # what the workbenches of OpenShift AI 2.25 set
        os.environ.setdefault("KF_PIPELINES_SSL_SA_CERTS", bundle)


def find(name: str) -> Runtime:
    """Return the runtime of this name. Raises NotFound with the names that exist, or InvalidInput."""
    from elyra.metadata.manager import MetadataManager
    from elyra.metadata.schemaspaces import Runtimes

    known = MetadataManager(schemaspace=Runtimes.RUNTIMES_SCHEMASPACE_ID).get_all()
    found = {item.name: item for item in known if item.schema_name == "kfp"}
    if name not in found:
        exist = f"there are {', '.join(sorted(found))}" if found else "there is none"
        raise NotFound(f"No Pipelines runtime is called {name!r}; {exist}", do=DO_MAKE)
    runtime = Runtime(name, found[name].metadata)
    if runtime.metadata.get("cos_auth_type") == "USER_CREDENTIALS" or not runtime.metadata.get("cos_secret"):
        raise InvalidInput(
            f"Runtime {name} names no Secret for its object store: Elyra would write its keys into the pipeline",
            do="Set its cos_auth_type to KUBERNETES_SECRET and its cos_secret to a Secret of the project",
        )
    return runtime
