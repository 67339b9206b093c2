"""Archives inside of a model, and models that come as an archive."""

import gzip
import lzma
import stat
import tarfile
import zipfile
import zlib

from tests.ingestion.attacks import attack
from tests.ingestion.attacks.contents import harmful_pickle
from tests.ingestion.packing import entry, tar_of, tar_of_folder, zip_of


def packed(folder, *entries, **options):
    """Pack the model with these entries and return the archive."""
    archive = folder.with_name("model.tar")
    archive.write_bytes(tar_of_folder(folder, *entries, **options))
    return archive


def zipped(folder, change):
    """Pack the model as a zip archive, let `change` add to it, and return it."""
    target = folder.with_name("model.zip")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
        change(archive)
    return target


@attack(rule="archive", says="zip archive at its end")
def a_zip_with_a_pickle_in_a_nested_folder(folder):
    (folder / "extra.json").write_bytes(zip_of({"x/y/data.pkl": harmful_pickle()}))


@attack(rule="encoding", says="is no UTF-8 text")
def a_pickle_in_gzip_in_a_tar_in_a_subfolder(folder):
    (folder / "more").mkdir()
    (folder / "more" / "merges.txt").write_bytes(tar_of(entry("inner", gzip.compress(harmful_pickle(2)))))


@attack(rule="safetensors-header", says="claims a header of")
def a_compressed_pickle_as_joblib_writes_it(folder):
    (folder / "model.safetensors").write_bytes(zlib.compress(harmful_pickle()))


@attack(rule="encoding", says=r"U\+0000|is no UTF-8")
def a_pickle_in_a_compression_without_a_name(folder):
    (folder / "vocab.txt").write_bytes(lzma.compress(harmful_pickle(), lzma.FORMAT_ALONE))


@attack(rule="encoding", says=r"U\+0000")
def a_tar_with_a_link_that_leaves_the_folder(folder):
    link = entry("inside", kind=tarfile.SYMTYPE, linkname="../../etc/passwd")
    (folder / "NOTICE").write_bytes(tar_of(link))


@attack(rule="archive", says="zip archive at its end")
def a_zip_with_code(folder):
    (folder / "tokenizer.model").write_bytes(zip_of({"lib/evil.py": b"print()"}))


@attack(rule="json", says="is not plain UTF-8")
def a_gzip_bomb_named_json(folder):
    (folder / "extra.json").write_bytes(gzip.compress(bytes(100 << 20), 9))


@attack(rule="archive", says="zip archive at its end")
def a_zip_bomb_in_a_zip(folder):
    inner = zip_of({f"{number}": bytes(10 << 20) for number in range(8)})
    (folder / "extra.json").write_bytes(zip_of({"inner.zip": inner}))


@attack(rule="archive", says="zip archive at its end")
def archives_in_archives_in_archives(folder):
    packed = harmful_pickle()
    for _ in range(5):
        packed = zip_of({"next": packed})
    (folder / "extra.json").write_bytes(packed)


@attack(rule="json", says="is not plain UTF-8")
def an_archive_that_nobody_can_look_into(folder):
    (folder / "extra.json").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))


@attack(rule="link", says="a symbolic link to /etc/passwd")
def a_model_in_a_tar_with_a_link(folder):
    return packed(folder, entry("extra.json", kind=tarfile.SYMTYPE, linkname="/etc/passwd"))


@attack(rule="link", says="a hard link to config.json")
def a_model_in_a_tar_with_a_hard_link(folder):
    return packed(folder, entry("extra.json", kind=tarfile.LNKTYPE, linkname="config.json"))


@attack(rule="link", says="a symbolic link to /tmp")
def a_model_in_a_tar_that_writes_through_a_link(folder):
    link = entry("more", kind=tarfile.SYMTYPE, linkname="/tmp")
    return packed(folder, link, entry("more/extra.json", b"{}"))


@attack(rule="special-file", says="a character device")
def a_model_in_a_tar_with_a_device(folder):
    return packed(folder, entry("extra.json", kind=tarfile.CHRTYPE, devmajor=1, devminor=5))


@attack(rule="path", says=r"leaves its folder \(\.\.\)")
def a_model_in_a_tar_that_writes_outside(folder):
    return packed(folder, entry("more/../../extra.json", b"{}"))


@attack(rule="path", says="an absolute path")
def a_model_in_a_tar_with_an_absolute_path(folder):
    return packed(folder, entry("/absolute/extra.json", b"{}"))


@attack(rule="archive", says="twice in the archive")
def a_model_in_a_tar_with_a_file_twice(folder):
    return packed(folder, entry("config.json", b'{"auto_map": {}}'))


@attack(rule="name", says="same name as")
def a_model_in_a_tar_with_colliding_folders(folder):
    return packed(folder, entry("More/a.json", b"{}"), entry("more/b.json", b"{}"))


@attack(rule="archive", says="decompression bomb")
def a_model_in_a_tar_bomb(folder):
    return packed(folder, entry("extra.json", bytes(100 << 20)), mode="w:xz", preset=0)


@attack(rule="archive", says="a header of 2,097,152 bytes inside")
def a_model_in_a_tar_with_a_name_of_two_megabytes(folder):
    return packed(folder, entry("a" * ((2 << 20) - 1), b"{}"), format=tarfile.GNU_FORMAT)


@attack(rule="archive", says="is a sparse file")
def a_model_in_a_tar_with_a_sparse_file(folder):
    sparse = {"GNU.sparse.major": "0", "GNU.sparse.minor": "1", "GNU.sparse.map": "0,1", "GNU.sparse.size": "99999999"}
    return packed(folder, entry("extra.json", b"{", pax_headers=sparse), format=tarfile.PAX_FORMAT)


@attack(rule="archive", says="does not end where its last member ends")
def a_model_in_a_tar_with_noise_at_its_end(folder):
    archive = packed(folder)
    members, blank = archive.read_bytes(), bytes(512)
    end = len(members.rstrip(b"\0")) // 512 * 512 + 512  # tarfile takes a broken header for the archive's end
    archive.write_bytes(members[:end] + b"noise".ljust(512) + blank + blank)
    return archive


@attack(rule="archive", says="broken archive")
def a_model_in_a_truncated_archive(folder):
    archive = folder.with_name("model.tar.xz")
    whole = lzma.compress(tar_of_folder(folder))
    archive.write_bytes(whole[: len(whole) // 2])
    return archive


@attack(rule="link", says="a symbolic link")
def a_model_in_a_zip_with_a_link(folder):
    link = zipfile.ZipInfo("extra.json")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    return zipped(folder, lambda archive: archive.writestr(link, "/etc/passwd"))


@attack(rule="archive", says="an encrypted file")
def a_model_in_a_zip_with_an_encrypted_file(folder):
    archive = zipped(folder, lambda archive: archive.writestr("extra.json", "{}"))
    content = bytearray(archive.read_bytes())
    last = content.rfind(b"PK\x01\x02")
    content[last + 8] |= 1
    archive.write_bytes(content)
    return archive


@attack(rule="archive", says="compressed in an unusual way")
def a_model_in_a_zip_with_an_unusual_compression(folder):
    return zipped(folder, lambda archive: archive.writestr("extra.json", "{}", zipfile.ZIP_LZMA))


@attack(rule="name", says=r"same name as config\.json")
def a_model_in_a_zip_with_colliding_names(folder):
    return zipped(folder, lambda archive: archive.writestr("Config.json", "{}"))


@attack(rule="path", says=r"leaves its folder \(\.\.\)")
def a_model_in_a_zip_that_writes_outside(folder):
    return zipped(folder, lambda archive: archive.writestr("../extra.json", "{}"))


@attack(rule="count", says="more than 2000 files")
def a_model_in_a_zip_of_six_thousand_files(folder):
    def many(archive):
        for number in range(6_000):
            archive.writestr(f"{number}.json", b"")

    return zipped(folder, many)
