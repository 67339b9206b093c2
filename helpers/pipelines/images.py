"""`make images IMAGES=registry/project`: the runtime images by another name, in Elyra's dropdown and in the pipelines.

Needs nothing but Python and Jupyter, so that it runs in a workbench in which nothing is set up.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from helpers.errors import AssayError, InvalidInput, NotFound
from helpers.pipelines.image_names import is_placeholder, short, tag
from helpers.runtime import interrupts
from helpers.runtime.workspace import ROOT

PLACE = re.compile(r"[a-z0-9][a-z0-9.-]*(:\d+)?(/[a-z0-9][a-z0-9._-]*)+")


def rename(images: str, root: Path = ROOT) -> dict[str, str]:
    """Put `images` (registry/project) in the place of the present one; returns the new names by the old ones.

    An image is named by its digest where that can be had, else by its tag, and it is said why. Changes the pipelines
    and the images' metadata under `root`, and writes the metadata where the user's Elyra looks. Raises InvalidInput,
    and NotFound where no Jupyter says which folder that is; nothing has been changed then.
    """
    if not PLACE.fullmatch(images):
        do = "Give registry/project, for example image-registry.openshift-image-registry.svc:5000/my-project"
        raise InvalidInput(f"IMAGES={images!r} is no place for images", do=do)
    described = sorted((root / "runtime-images").glob("*/runtime-image.json"))
    old = [json.loads(path.read_text())["metadata"]["image_name"] for path in described]
    shown = shown_in()
    names = {name: _named(f"{images}/{short(name)}:{tag()}") for name in old}
    for path in [*described, *sorted((root / "pipelines").glob("*.pipeline"))]:
        _write(path, _replaced(path.read_text(), names))
    for path in described:
        _write(shown / f"assay-{path.parent.name}.json", path.read_text())
    return names


def _named(image: str) -> str:
    """Return the image's name by digest, or as it is, after saying why."""
    if is_placeholder(image):
        return image
    try:
        from helpers.pipelines.image_digests import by_digest

        return by_digest(image)
    except ImportError as error:  # a workbench in which nothing is set up
        why = f"{error}; `make setup`, then this command again"
    except AssayError as error:
        why = str(error)
    print(f"{image} stays named by its tag, which may be moved to another image: {why}", file=sys.stderr)
    return image


def shown_in() -> Path:
    """Return the folder in which the user's Elyra looks for runtime images. Raises NotFound without Jupyter."""
    try:
        from jupyter_core.paths import jupyter_data_dir
    except ImportError as error:
        raise NotFound(
            f"{sys.executable} has no Jupyter (jupyter_core), which knows where Elyra's dropdown looks",
            do="Run `make images` in a workbench's terminal, or after `make setup`",
        ) from error
    return Path(jupyter_data_dir()) / "metadata" / "runtime-images"


def _replaced(text: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        text = text.replace(json.dumps(old), json.dumps(new))
    return text


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.replace(path)


def main(arguments: list[str]) -> int:
    """Rename the images and say what is shown where."""
    try:
        names = rename(arguments[0] if arguments else "")
    except AssayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    print("\n".join(f"{old} is now {new}" for old, new in names.items()))
    print(f"shown in the dropdown from {shown_in()}; reload JupyterLab's page")
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.run(lambda: main(sys.argv[1:]), "some names may be changed. Run the same command again"))
