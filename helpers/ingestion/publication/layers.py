"""A model's files as layers of an image: the same files give the same layers, and none is written to a disk."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from helpers.errors import InvalidInput

ROOT = "models/"  # where KServe looks
LARGE, MOST = 64 << 20, 64  # a file of so many bytes gets a layer of its own; runtimes take about 120 layers
CHUNK = 1 << 20
END = bytes(2 * tarfile.BLOCKSIZE)


@dataclass(frozen=True)
class Layer:
    """One layer: its digest, and which files with which SHA-256 it has."""

    folder: Path
    names: tuple[str, ...]
    digest: str
    sums: Mapping[str, str]

    def chunks(self) -> Iterator[bytes]:
        """Return the layer, a tar archive, piece by piece. Raises InvalidInput for a file that changed."""
        return _tar(self.folder, self.names, self.sums)

    @property
    def size(self) -> int:
        """Bytes of the archive."""
        entries = [_entry(self.folder, name) for name in self.names]
        return sum(len(_head(entry)) + entry.size + len(_padding(entry)) for entry in entries) + len(END)

    @property
    def label(self) -> str:
        """The first of its files, and how many more there are."""
        return f"{self.names[0]} and {len(self.names) - 1} more" if len(self.names) > 1 else "".join(self.names)

    @property
    def descriptor(self) -> dict[str, object]:
        """The layer as an image's manifest lists it."""
        return {"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": self.digest, "size": self.size}


def model_layers(folder: Path, sums: Mapping[str, str]) -> list[Layer]:
    """Return the layers of files with these SHA-256. Raises InvalidInput for a file that changed."""
    sizes = {name: (folder / name).stat().st_size for name in sorted(sums)}
    large = [name for name in sizes if sizes[name] >= LARGE]
    step = -(-len(large) // MOST) or 1
    groups = [large[start : start + step] for start in range(0, len(large), step)]
    small = [name for name in sizes if sizes[name] < LARGE]
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda names: layer(folder, names, sums), [*groups, small] if small else groups))


def layer(folder: Path, names: Sequence[str], sums: Mapping[str, str]) -> Layer:
    """Return one layer of these files. Raises InvalidInput for a file that changed."""
    whole = hashlib.sha256()
    for chunk in _tar(folder, names, sums):
        whole.update(chunk)
    return Layer(folder, tuple(names), f"sha256:{whole.hexdigest()}", sums)


def _tar(folder: Path, names: Sequence[str], sums: Mapping[str, str]) -> Iterator[bytes]:
    for name in names:
        entry, value = _entry(folder, name), hashlib.sha256()
        left = entry.size
        with (folder / name).open("rb") as file:
            yield _head(entry)
            while left and (chunk := file.read(min(CHUNK, left))):
                value.update(chunk)
                yield chunk
                left -= len(chunk)
        if left or value.hexdigest() != sums[name]:
            raise InvalidInput(f"{folder / name} changed after it was signed", do="Ingest the model again")
        yield _padding(entry)
    yield END


def _entry(folder: Path, name: str) -> tarfile.TarInfo:
    entry = tarfile.TarInfo(ROOT + name)
    entry.size = (folder / name).stat().st_size
    return entry


def _head(entry: tarfile.TarInfo) -> bytes:
    return entry.tobuf(tarfile.GNU_FORMAT)


def _padding(entry: tarfile.TarInfo) -> bytes:
    return bytes(-entry.size % tarfile.BLOCKSIZE)


def unpack(data: bytes) -> dict[str, bytes]:
    """Return the files of a small layer by their names below `models/`. Raises tarfile.TarError."""
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        members = [member for member in archive if member.isreg()]
        return {item.name.removeprefix(ROOT): _content(archive, item) for item in members}


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""
