"""What the server's own pod runs before each start of vLLM: its files are the signed ones, or it does not start.

deploy_model has verified who signed that digest. This is the text of `python -c`, so it needs nothing but Python.
"""

import hashlib
import importlib.util
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

OTHER_FILES = 65  # exit code
WAIT_SECONDS = 120  # for a model that a container beside this one brings
TOLD = Path("/dev/termination-log")  # Kubernetes shows it as the container's message
CHUNK = 1 << 22
EDGES = "--custom-histogram-buckets"  # which an older vLLM does not know: it would end at it


def digest_of(folder: Path) -> str:
    """Return the digest of the model in a folder. Raises OSError for a link, which could lead anywhere."""
    names: list[str] = []
    for place, folders, files in os.walk(folder, onerror=_fail):
        for path in (Path(place, name) for name in [*folders, *files]):
            if path.is_symlink():
                raise OSError(f"{path} is a link")
        names += [Path(place, name).relative_to(folder).as_posix() for name in files]
    names = sorted(name for name in names if not name.startswith("provenance/"))
    with ThreadPoolExecutor(8) as threads:
        sums = list(threads.map(lambda name: _sha256(folder / name), names))
    lines = "".join(f"{value}  {name}\n" for name, value in zip(names, sums, strict=True))
    return f"sha256:{hashlib.sha256(lines.encode()).hexdigest()}"


def _fail(error: OSError) -> None:
    raise error


def _sha256(path: Path) -> str:
    value = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(CHUNK):
            value.update(data)
    return value.hexdigest()


def main(wanted: str, folder: str, *command: str) -> None:
    """Become the command where the folder holds the wanted model; else say why not and end with OTHER_FILES."""
    began = time.monotonic()
    while not Path(folder).is_dir() and time.monotonic() - began < WAIT_SECONDS:
        time.sleep(1)
    try:
        found = digest_of(Path(folder))  # itself a link where an image is mounted
    except OSError as error:
        found = str(error)
    if found != wanted:
        message = f"Assay: {folder} holds {found}, and {wanted} was signed"
        print(message, file=sys.stderr, flush=True)
        if TOLD.exists():
            TOLD.write_text(message)
        sys.exit(OTHER_FILES)
    print(f"Assay: {folder} is what was signed, {wanted}, read in {time.monotonic() - began:.0f} s", flush=True)
    command = tuple(word for word in command if not word.startswith(EDGES) or takes_edges())
    os.execvp(command[0], command)


def takes_edges() -> bool:
    """Return whether the image's vLLM takes the edges of its histograms; it is looked at and not imported."""
    found = importlib.util.find_spec("vllm")
    source = Path(found.origin).parent / "engine" / "arg_utils.py" if found and found.origin else None
    return bool(source and source.is_file() and EDGES in source.read_text("utf-8"))


if __name__ == "__main__":
    main(*sys.argv[1:])
