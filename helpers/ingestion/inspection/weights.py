"""Whether a safetensors file holds exactly what its header says: every tensor, no overlap, no gap, no rest."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from helpers.errors import InvalidInput
from helpers.ingestion.findings import Finding
from helpers.ingestion.inspection.header import BITS, EXPORT, MAX_INTEGER, MOST, Header, Tensor, label, read_header
from helpers.ingestion.inspection.opening import open_file
from helpers.ingestion.inspection.shards import inspect_index
from helpers.ingestion.policy import Policy

RULE = "safetensors-header"
__all__ = ["inspect_index", "inspect_weights"]


def inspect_weights(path: Path, name: str, policy: Policy) -> Iterator[Finding]:
    """Yield what is wrong with one safetensors file; reads its header and no tensor."""
    try:
        with open_file(path) as file:
            header = read_header(file)
    except InvalidInput as error:
        yield Finding(name, RULE, "high", error.what, error.do)
    else:
        for problem in islice(layout_problems(header), MOST):
            yield Finding(name, RULE, "high", problem, EXPORT)


def layout_problems(header: Header) -> Iterator[str]:
    """Yield every way in which the tensors do not cover the data exactly once."""
    if not header.tensors:
        yield "holds no tensors"
        return
    for name, tensor in header.tensors.items():
        if problem := _size_problem(tensor):
            yield f"has tensor {label(name)} {problem}"
    yield from _coverage_problems(header)


def _size_problem(tensor: Tensor) -> str:
    elements = 1
    for length in tensor.shape:
        elements *= length or 1  # a zero must not hide that the rest overflows
        if elements > MAX_INTEGER:
            return "with more elements than can be counted (overflow)"
    bits = BITS[tensor.dtype] * (0 if 0 in tensor.shape else elements)
    if tensor.end < tensor.begin:
        return "that ends before it begins"
    if bits % 8:
        return f"of {tensor.dtype} that does not end at a whole byte"
    if bits // 8 != tensor.end - tensor.begin:
        shape = " x ".join(map(str, tensor.shape)) or "one element"
        return f"of {tensor.dtype} {shape} = {bits // 8:,} bytes in a range of {tensor.end - tensor.begin:,}"
    return ""


def _coverage_problems(header: Header) -> Iterator[str]:
    covered, last = 0, ""
    for begin, end, name in sorted((tensor.begin, tensor.end, name) for name, tensor in header.tensors.items()):
        if begin < covered:
            yield f"has tensors {label(last)} and {label(name)} that overlap"
        elif begin > covered:
            yield f"has a gap of {begin - covered:,} bytes before tensor {label(name)}"
        if end >= covered:
            covered, last = end, name
    if covered > header.data_bytes:
        yield f"has tensor {label(last)} that ends {covered - header.data_bytes:,} bytes beyond the file"
    elif covered < header.data_bytes:
        yield f"has {header.data_bytes - covered:,} bytes after its last tensor (trailing data)"
