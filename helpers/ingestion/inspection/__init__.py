"""What may come in: safetensors weights, JSON and tokenizer files, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from helpers.errors import NotFound, RefusedModel

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
