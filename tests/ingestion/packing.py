"""Archives for attacks and tests, made in memory."""

import io
import struct
import tarfile
import zipfile


def zip_of(members, compression=zipfile.ZIP_DEFLATED):
    """Return a zip archive with these members: name to content."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return packed.getvalue()


def zip64_of(members):
    """Return a zip archive whose end is written as PyTorch does it, for large archives however small it is."""
    packed = zip_of(members, zipfile.ZIP_STORED)
    listed, end = packed[:-22], packed[-22:]
    count, size, offset = struct.unpack("<10xHII2x", end)
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, count, count, size, offset)
    return listed + record + struct.pack("<4sIQI", b"PK\6\7", 0, len(listed), 1) + end


def entry(name, content=b"", kind=tarfile.REGTYPE, **fields):
    """Return one member of a tar archive with its content."""
    info = tarfile.TarInfo(name)
    info.type, info.size = kind, len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, content


def tar_of(*entries, mode="w", **options):
    """Return a tar archive with these entries."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode, **options) as archive:
        for info, content in entries:
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def tar_of_folder(folder, *more, mode="w", **options):
    """Return a tar archive of a model folder's files and some more entries."""
    files = [entry(path.name, path.read_bytes()) for path in sorted(folder.iterdir()) if path.is_file()]
    return tar_of(*files, *more, mode=mode, **options)
