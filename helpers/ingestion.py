"""The gate for models: what may come in, the digest it is known by from then on, and its way into the store."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from helpers import storage
from helpers.errors import InvalidInput, NotFound, RefusedModel

MANIFEST = "SHA256SUMS"
WEIGHTS = ".safetensors"
ALLOWED_SUFFIXES = (WEIGHTS, ".json", ".jinja", ".md")
ALLOWED_NAMES = ("tokenizer.model", "vocab.txt", "merges.txt", "LICENSE", "LICENSE.txt", "NOTICE", "NOTICE.txt")


class Finding(NamedTuple):
    """One reason to refuse a folder."""

    file: str
    problem: str
    do: str


def inspect(folder: Path) -> list[Finding]:
    """Return every reason to refuse `folder`; an empty list lets it in. Raises NotFound where there is no folder."""
    if not folder.is_dir():
        raise NotFound(f"{folder} is no folder", do="Give SOURCE the folder that holds the model's files")
    findings = [finding for path in sorted(folder.rglob("*")) for finding in _inspect_file(path, folder)]
    present = {path.name for path in folder.iterdir()}
    if not any(name.endswith(WEIGHTS) for name in present):
        findings.append(Finding(".", "holds no safetensors weights", "Convert the weights to safetensors"))
    return findings + [
        Finding(name, "is missing", "Add the file that the model's publisher ships")
        for name in ("config.json", "tokenizer_config.json")
        if name not in present
    ]


def _inspect_file(path: Path, folder: Path) -> Iterator[Finding]:
    name = path.relative_to(folder).as_posix()
    if path.is_symlink():
        yield Finding(name, "is a symbolic link", "Replace it by the file itself")
    elif path.is_dir():
        return
    elif not path.is_file():
        yield Finding(name, "is no regular file", "Remove it")
    elif path.suffix not in ALLOWED_SUFFIXES and path.name not in ALLOWED_NAMES:
        yield Finding(
            name,
            "is neither safetensors weights nor a JSON or tokenizer file",
            "Remove it, or convert weights to safetensors",
        )
    elif path.suffix == WEIGHTS and (problem := _safetensors_problem(path)):
        yield Finding(name, f"is not safetensors: {problem}", "Export the weights again")
    elif path.suffix == ".json" and (problem := _json_problem(path)):
        yield Finding(name, f"is not JSON: {problem}", "Repair or remove it")


def _safetensors_problem(path: Path) -> str:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            return "" if list(file.keys()) else "no tensors"
    except (SafetensorError, OSError) as error:
        return str(error)


def _json_problem(path: Path) -> str:
    import json

    try:
        json.loads(path.read_bytes())
    except ValueError as error:
        return str(error)
    return ""


def admit(folder: Path) -> None:
    """Raise RefusedModel with every finding unless the folder may come in."""
    if findings := inspect(folder):
        listed = "; ".join(f"{finding.file} {finding.problem}" for finding in findings)
        raise RefusedModel(
            f"{folder} is refused: {listed}", do="; ".join(dict.fromkeys(finding.do for finding in findings))
        )


def manifest(folder: Path) -> str:
    """Return SHA-256 and relative path of every file, sorted by path, in the format of `sha256sum`."""
    files = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return "".join(f"{_sha256(folder / name)}  {name}\n" for name in files if name != MANIFEST)


def digest(folder: Path) -> str:
    """Return `sha256:` and the SHA-256 of the folder's manifest: one digest for the whole model."""
    return "sha256:" + hashlib.sha256(manifest(folder).encode()).hexdigest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def parameter_count(folder: Path) -> int:
    """Return the number of weights in all safetensors files."""
    import math

    from safetensors import safe_open

    total = 0
    for path in sorted(folder.rglob(f"*{WEIGHTS}")):
        with safe_open(path, framework="np") as file:
            total += sum(math.prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118
    return total


def model_card(folder: Path) -> dict[str, Any]:
    """Return the YAML front matter of the model card (README.md), empty where there is none."""
    import yaml

    path = folder / "README.md"
    if not path.is_file() or not (text := path.read_text(encoding="utf-8")).startswith("---\n"):
        return {}
    try:
        front = yaml.safe_load(text[4:].split("\n---", 1)[0])
    except yaml.YAMLError as error:
        raise InvalidInput(f"{path} has front matter that is not YAML: {error}", do="Repair the model card") from error
    return front if isinstance(front, dict) else {}


def publish(folder: Path, store: str, name: str, version: str) -> str:
    """Copy the folder to `models/<name>/<version>` in the store and return that URI; the manifest is written last.

    The same content again changes nothing; other content under the same version raises InvalidInput.
    """
    uri = f"{store}/models/{name}/{version}"
    sums = manifest(folder)
    if storage.exists(f"{uri}/{MANIFEST}"):
        if storage.get(f"{uri}/{MANIFEST}").decode() != sums:
            raise InvalidInput(
                f"{name} {version} is in the store with other content", do="Give MODEL_VERSION a new value"
            )
        return uri
    for line in sums.splitlines():
        file = line.split("  ", 1)[1]
        storage.put(folder / file, f"{uri}/{file}")
    storage.put(sums.encode(), f"{uri}/{MANIFEST}")
    return uri
