"""Unpacking: what comes out, what stays in, and that nothing lands outside of the folder."""

import gzip
import io
import os
import tarfile
import tracemalloc

import pytest

from helpers.errors import StoreFailed
from helpers.ingestion.archives import unpack
from helpers.ingestion.policy import load_policy
from tests.ingestion.packing import entry, tar_of, zip_of
from tests.plugins.models import POLICY

LIMITS = load_policy(POLICY).limits
CONTENT = {"config.json": b"{}", "more/model.safetensors": os.urandom(100_000)}
ENTRIES = [entry(name, content) for name, content in CONTENT.items()]


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "unpacked"
    path.mkdir()
    return path


@pytest.fixture
def pack(tmp_path):
    """Return a function that writes bytes as an archive."""

    def write(content):
        archive = tmp_path / "archive"
        archive.write_bytes(content)
        return archive

    return write


def tree(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_tar_comes_out_whole(pack, folder, mode, form):
    long = entry("folder/" + "n" * 200, b"x")
    assert unpack(pack(tar_of(*ENTRIES, long, mode=mode, format=form)), folder, LIMITS) == []
    assert tree(folder) == CONTENT | {long[0].name: b"x"}


def test_a_zip_comes_out_whole(pack, folder):
    assert unpack(pack(zip_of(CONTENT)), folder, LIMITS) == []
    assert tree(folder) == CONTENT


def test_several_gzip_and_xz_streams_in_one_file_are_one_archive(pack, folder):
    import lzma

    whole = tar_of(*ENTRIES)
    for number, compress in enumerate((gzip.compress, lzma.compress)):
        parts = compress(whole[:5000]) + compress(whole[5000:])
        assert unpack(pack(parts), folder / str(number), LIMITS) == []
        assert tree(folder / str(number)) == CONTENT


def test_an_archive_of_a_folder_with_its_dot_comes_out(pack, folder):
    dotted = [entry(".", kind=tarfile.DIRTYPE), entry("./more", kind=tarfile.DIRTYPE), entry("./more/a.json", b"{}")]
    assert unpack(pack(tar_of(*dotted)), folder, LIMITS) == []
    assert tree(folder) == {"more/a.json": b"{}"}


@pytest.mark.parametrize("start", ["/", "", "./"])
def test_of_an_image_only_the_models_folder_counts(pack, folder, start):
    layer = tar_of(
        entry("etc/passwd", b"root"),
        entry("bin/sh", kind=tarfile.SYMTYPE, linkname="busybox"),
        entry("dev/null", kind=tarfile.CHRTYPE),
        entry("etc/.wh.shadow"),
        entry(f"{start}models/", kind=tarfile.DIRTYPE),
        entry(f"{start}models/config.json", b"{}"),
        entry(f"{start}models/more/a.json", b"[]"),
        entry("modelsx/config.json", b"not this one"),
    )
    assert unpack(pack(layer), folder, LIMITS, prefix="models/") == []
    assert tree(folder) == {"config.json": b"{}", "more/a.json": b"[]"}


@pytest.mark.parametrize(
    ("name", "fields", "rule"),
    [
        ("models/.wh.config.json", {}, "archive"),
        ("models/.wh..wh..opq", {}, "archive"),
        (".wh.models", {}, "archive"),
        (".wh..wh..opq", {}, "archive"),
        ("models", {"kind": tarfile.SYMTYPE, "linkname": "/tmp"}, "link"),
        ("models/a.json", {"kind": tarfile.LNKTYPE, "linkname": "etc/passwd"}, "link"),
        ("/models/./a.json", {"content": b"{}"}, "path"),
        (".//models/a.json", {"content": b"{}"}, "path"),
        ("models//a.json", {"content": b"{}"}, "path"),
        ("etc/../models/a.json", {"content": b"{}"}, "path"),
        ("models/../../a.json", {"content": b"{}"}, "path"),
    ],
)
def test_a_layer_cannot_hide_move_or_leave_the_models_folder(pack, folder, name, fields, rule):
    found = unpack(pack(tar_of(entry(name, **fields))), folder, LIMITS, prefix="models/")
    assert [finding.rule for finding in found] == [rule]
    assert tree(folder) == {}


def test_a_later_layer_does_not_replace_a_file(pack, folder):
    assert unpack(pack(tar_of(entry("models/config.json", b"{}"))), folder, LIMITS, prefix="models/") == []
    [found] = unpack(pack(tar_of(entry("models/config.json", b"[]"))), folder, LIMITS, prefix="models/")
    assert (found.rule, found.file) == ("archive", "config.json")
    assert tree(folder) == {"config.json": b"{}"}


@pytest.mark.parametrize("name", ["../outside", "/nowhere/outside", "a/../../outside", "..", "C:/outside"])
def test_nothing_lands_outside(pack, folder, tmp_path, name):
    for content in (tar_of(entry(name, b"x")), zip_of({name: b"x"})):
        before = sorted(tmp_path.rglob("*"))
        assert [finding.rule for finding in unpack(pack(content), folder, LIMITS)] == ["path"]
        assert set(tmp_path.rglob("*")) - set(before) <= {tmp_path / "archive"}


def test_a_link_in_the_target_is_not_followed(pack, folder, tmp_path):
    (folder / "config.json").symlink_to(tmp_path / "victim")
    assert [finding.rule for finding in unpack(pack(zip_of(CONTENT)), folder, LIMITS)] == ["archive"]
    assert not (tmp_path / "victim").exists()


def test_all_that_is_wrong_is_told_at_once_and_the_rest_comes_out(pack, folder):
    bad = [entry("link", kind=tarfile.SYMTYPE, linkname="/etc"), entry("../x", b"x"), entry("Config.json", b"{}")]
    found = unpack(pack(tar_of(*ENTRIES, *bad)), folder, LIMITS)
    assert [finding.rule for finding in found] == ["link", "path", "name"]
    assert tree(folder) == CONTENT


@pytest.mark.parametrize("packed", [zip_of, lambda members: tar_of(*map(entry, members, members.values()))])
def test_files_are_counted_and_measured(pack, folder, packed):
    few = LIMITS.model_copy(update={"files": 3})
    found = unpack(pack(packed({f"{number}.json": b"{}" for number in range(9)})), folder, few)
    assert {finding.rule for finding in found} <= {"count", "archive"}
    assert len(found) == 1
    assert len(tree(folder)) <= 3
    small = LIMITS.model_copy(update={"file_gib": 10 / 2**30})
    assert [finding.rule for finding in unpack(pack(packed({"a.json": b"{}" * 10})), folder, small)] == ["size"]


def test_a_broken_archive_is_told_as_such(pack, folder):
    whole = gzip.compress(tar_of(*ENTRIES))
    broken = [whole[:5000], whole[:-30] + bytes(30), b"", b"no archive", tar_of(*ENTRIES)[:3000], zip_of(CONTENT)[:-30]]
    for content in broken:
        found = unpack(pack(content), folder / str(len(content)), LIMITS)
        assert [finding.rule for finding in found] == ["archive"], content[:20]


def test_a_member_with_other_content_than_its_checksum_says_is_found(pack, folder):
    content = bytearray(zip_of(CONTENT))
    content[5000] ^= 0xFF
    assert {finding.rule for finding in unpack(pack(bytes(content)), folder, LIMITS)} == {"archive"}


@pytest.mark.parametrize("kind", ["tar", "zip", "pax", "sparse", "global"])
def test_memory_stays_small_for_any_archive(pack, folder, kind):
    hostile = {
        "tar": lambda: tar_of(entry("a", bytes(60 << 20)), mode="w:gz"),
        "zip": lambda: zip_of({"a": bytes(60 << 20)}),
        "pax": lambda: tar_of(
            entry("a", pax_headers={"comment": "x" * (60 << 20)}), mode="w:gz", format=tarfile.PAX_FORMAT
        ),
        "sparse": lambda: gzip.compress(sparse_headers_without_end()),
        "global": lambda: global_headers_without_end(),
    }
    archive = pack(hostile[kind]())
    tracemalloc.start()
    unpack(archive, folder, LIMITS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 << 20


def sparse_headers_without_end():
    """A GNU sparse member whose list of holes goes on for megabytes."""
    info = tarfile.TarInfo("a")
    info.type = tarfile.GNUTYPE_SPARSE
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[482] = 1  # the list goes on in the next block
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    block = bytearray(b"00000000001\0" * 42).ljust(504, b"\0") + b"\1" + bytes(7)
    return bytes(header) + bytes(block) * 60_000


def global_headers_without_end():
    """A tar archive in which each member brings some more headers for all that follow."""
    packed = io.BytesIO()
    for number in range(500):
        headers = {f"key{number}.{more}": "x" * 500 for more in range(150)}
        packed.write(tarfile.TarInfo.create_pax_global_header(headers))
        packed.write(tarfile.TarInfo(f"{number}").tobuf(tarfile.USTAR_FORMAT))
    return packed.getvalue()


def test_a_full_disk_is_not_the_archives_fault(pack, folder, monkeypatch):
    def full(descriptor, *_):
        os.close(descriptor)
        return open("/dev/full", "wb")

    monkeypatch.setattr(os, "fdopen", full)
    with pytest.raises(StoreFailed, match=r"Could not unpack .*No space left.*Free some space"):
        unpack(pack(zip_of(CONTENT)), folder, LIMITS)


def test_an_xz_file_that_wants_half_a_gigabyte_of_memory_is_refused(pack, folder):
    import lzma

    wide = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 512 << 20}]
    assert unpack(pack(lzma.compress(tar_of(*ENTRIES), filters=wide)), folder, LIMITS)
    assert tree(folder) == {}
