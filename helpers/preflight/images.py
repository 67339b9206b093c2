"""The runtime images: whether Elyra offers them and the cluster has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from helpers.errors import Forbidden
from helpers.pipelines.definition import Pipeline, names
from helpers.preflight.lines import Line, note, ok
from helpers.preflight.project import Project

LABEL = "opendatahub.io/runtime-image=true"
PLATFORM = ("redhat-ods-applications", "opendatahub")
DO_BUILD = "Build them with `oc apply -k runtime-images/openshift/images` (or images-project without admin rights)"


def images(project: Project) -> Iterator[Line]:
    """Compare what the pipelines name with what Elyra's dropdown and the image streams have."""
    wanted = {_short(node["runtime_image"]) for name in names() for node in Pipeline(name).nodes}
    offered = {_short(image) for image in _offered()}
    if missing := wanted - offered:
        do = "Build the images, then restart the workbench (runtime-images/README.md)"
        yield note(f"Elyra does not offer {', '.join(sorted(missing))}", do)
    else:
        yield ok(f"Elyra offers {', '.join(sorted(wanted))}")
    built = _streams(project)
    if missing := wanted - built:
        yield note(f"No image stream for {', '.join(sorted(missing))} is to be seen", DO_BUILD)
    else:
        yield ok(f"There are image streams for {', '.join(sorted(wanted))}")


def _offered() -> list[str]:
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("metadata", "runtime-images")]
    files = [path for folder in folders if folder.is_dir() for path in folder.glob("*.json")]
    return [str(json.loads(path.read_text())["metadata"]["image_name"]) for path in files]


def _streams(project: Project) -> set[str]:
    """Return the image streams of the project and, where they may be seen, the platform's."""
    found: set[str] = set()
    for namespace in (project.namespace, *PLATFORM):
        try:
            streams = project.cluster.list("ImageStream", namespace=namespace)
        except Forbidden:
            continue
        found |= {_short(item["metadata"]["name"]) for item in streams}
    return found


def _short(image: str) -> str:
    """Return an image's own name: no registry, project, tag, digest or prefix."""
    last = image.rpartition("/")[2].partition("@")[0].partition(":")[0]
    return last.removeprefix("runtime-").removeprefix("assay-")
