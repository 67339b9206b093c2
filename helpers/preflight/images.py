"""The runtime images that the pipelines name: whether Elyra offers them, and whether the cluster has built them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from helpers.errors import Forbidden
from helpers.pipelines.definition import Pipeline, names
from helpers.preflight.lines import Line, State, fix, note, ok
from helpers.preflight.project import Project
from helpers.preflight.pulling import pulled

INSIDE = "image-registry.openshift-image-registry.svc:5000"
DO_NAME = f"`make images IMAGES={INSIDE}/PROJECT` names those that the cluster built, here and in the pipelines"
DO_BUILD = "Build them: runtime-images/README.md says how"


def images(project: Project) -> Iterator[Line]:
    """Compare the names in the pipelines with Elyra's dropdown and with the cluster's image streams."""
    wanted = sorted({node["runtime_image"] for name in names() for node in Pipeline(name).nodes})
    if missing := [image for image in wanted if image not in _offered()]:
        yield note(f"Elyra does not offer {', '.join(missing)}", DO_NAME)
    else:
        yield ok(f"Elyra offers {', '.join(wanted)}")
    built = {image: _built(project, image) for image in wanted if image.startswith(f"{INSIDE}/")}
    yield from built.values()
    if there := [image for image in wanted if image not in built or built[image].state is not State.FIX]:
        yield from pulled(project, there)


def _built(project: Project, image: str) -> Line:
    """Return the line for an image of the cluster's own registry."""
    namespace, _, tagged = image.removeprefix(f"{INSIDE}/").partition("/")
    name, _, tag = tagged.partition(":")
    try:
        stream = project.cluster.get("ImageStream", name, namespace=namespace)
    except Forbidden as error:
        return note(error.what, "The first run shows whether the image is there")
    if stream is None:
        return fix(f"There is no image stream {name} in {namespace}", DO_BUILD)
    tags = {item["tag"]: item.get("items") for item in (stream.get("status") or {}).get("tags") or []}
    if not tags.get(tag):
        return fix(f"{image} is not built", f"See how the build went: oc -n {namespace} logs buildconfig/{name}")
    return ok(f"{image} is built")


def _offered() -> set[str]:
    from jupyter_core.paths import jupyter_path

    folders = [Path(folder) for folder in jupyter_path("metadata", "runtime-images")]
    files = [path for folder in folders if folder.is_dir() for path in folder.glob("*.json")]
    return {str(json.loads(path.read_text())["metadata"]["image_name"]) for path in files}
