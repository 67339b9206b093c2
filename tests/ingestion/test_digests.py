"""The digest of a model: what is hashed, what is copied on the way, and which manifests are believed."""

import hashlib
import os
import subprocess
import sys
import threading

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from helpers.errors import InvalidInput
from helpers.ingestion.digests import (
    copy_hashed,
    digest,
    digest_of,
    hash_folder,
    manifest,
    manifest_of,
    model_files,
    parse_manifest,
)
from tests.plugins.memory import measured
from tests.plugins.packages import model_folder

A, B = "a" * 64, "b" * 64


@pytest.fixture
def folder(tmp_path):
    return model_folder(tmp_path / "model")


def test_the_manifest_is_one_that_sha256sum_checks(folder):
    assert "tokenizer/vocab.txt" in hash_folder(folder)
    (folder / "SHA256SUMS").write_text(manifest(folder))
    subprocess.run(["sha256sum", "--check", "--quiet", "--strict", "SHA256SUMS"], cwd=folder, check=True, timeout=60)


def test_the_digest_changes_with_a_byte_and_with_a_name_but_not_with_the_provenance(folder):
    known = digest(folder)
    assert known == "sha256:" + hashlib.sha256(manifest(folder).encode()).hexdigest() == digest_of(hash_folder(folder))
    (folder / "provenance").mkdir()
    (folder / "provenance" / "model.sig").write_text("x")
    assert digest(folder) == known
    assert model_files(hash_folder(folder)) == parse_manifest(manifest(folder))
    (folder / "LICENSE").rename(folder / "LICENSE.txt")
    renamed = digest(folder)
    (folder / "config.json").write_text("[]")
    assert len({known, renamed, digest(folder)}) == 3


def test_a_copy_is_the_same_and_is_hashed_on_the_way(folder, tmp_path):
    sums = copy_hashed(folder, tmp_path / "copy")
    assert sums == hash_folder(folder) == hash_folder(tmp_path / "copy")
    assert list(sums) == sorted(sums)


def test_a_copy_replaces_what_a_killed_run_left_and_follows_no_link_that_lies_there(folder, tmp_path):
    target, outside = tmp_path / "copy", tmp_path / "outside"
    target.mkdir()
    outside.write_text("mine")
    (target / "LICENSE").write_text("half")
    (target / "config.json").symlink_to(outside)
    assert copy_hashed(folder, target) == hash_folder(target)
    assert outside.read_text() == "mine"


@pytest.mark.parametrize("below", ["", "tokenizer"])
@pytest.mark.parametrize("make", ["file link", "folder link", "pipe", "socket"])
def test_what_is_no_file_is_neither_hashed_nor_copied(folder, tmp_path, make, below, monkeypatch):
    path = folder / below / "odd.json"
    if make == "pipe":
        os.mkfifo(path)
    elif make == "socket":
        import socket

        monkeypatch.chdir(path.parent)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind("odd.json")
    else:
        path.symlink_to("/etc/hostname" if make == "file link" else "/etc")
    for work in (hash_folder, lambda source: copy_hashed(source, tmp_path / "copy")):
        with pytest.raises(InvalidInput, match=r"odd\.json is a link or no regular file"):
            work(folder)


def test_a_link_that_appears_after_the_listing_is_not_followed(folder, monkeypatch):
    from helpers.ingestion import copying

    def swapped(path):
        yield from (copying.File(name, 1, path, name) for name in ("config.json", "tokenizer/vocab.txt"))
        (folder / "tokenizer").rename(folder / "real")
        (folder / "tokenizer").symlink_to("real")

    monkeypatch.setattr(copying, "_files", swapped)
    with pytest.raises(InvalidInput, match=r"tokenizer/vocab\.txt cannot be read: Not a directory"):
        hash_folder(folder)


def test_a_file_that_grows_while_it_is_copied_is_refused(folder, tmp_path, monkeypatch):
    from helpers.ingestion import copying

    grown = folder / "config.json"
    real = copying.os.readv

    def readv(descriptor, buffers):
        with grown.open("ab") as file:
            file.write(b" ")
        return real(descriptor, buffers)

    monkeypatch.setattr(copying.os, "readv", readv)
    with pytest.raises(InvalidInput, match=r"config\.json changed while it was read"):
        copy_hashed(folder, tmp_path / "copy")


def test_a_full_disk_is_named(folder, tmp_path):
    code = (
        "import resource, signal, sys; from pathlib import Path; from helpers.ingestion.digests import copy_hashed\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
        "copy_hashed(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(folder), str(tmp_path / "copy")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert "StoreFailed: Could not write" in done.stderr
    assert "copy/model-0000" in done.stderr


def test_memory_stays_small_whatever_the_size_of_a_file(tmp_path):
    source = tmp_path / "model"
    source.mkdir()
    for number in range(2):
        with (source / f"{number}.safetensors").open("wb") as file:
            file.truncate(200_000_000)
    code = "import sys; from pathlib import Path; from helpers.ingestion.digests import copy_hashed\n"
    code += "copy_hashed(Path(sys.argv[1]), Path(sys.argv[2]))"
    ended, mebibytes, _ = measured([sys.executable, "-c", code, source, tmp_path / "copy"])
    assert ended == 0
    assert mebibytes < 150


def test_files_are_read_by_two_threads_at_once(folder, monkeypatch):
    from helpers.ingestion import copying

    meet, real = threading.Barrier(2, timeout=30), copying._hash
    monkeypatch.setattr(copying, "_hash", lambda *given: (meet.wait(), real(*given))[1])
    (folder / "another.json").write_text("{}")
    assert len(hash_folder(folder)) == 6  # an even number: a single thread would wait for another one in vain


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "1 does not end in a newline"),
        (f"{A}  a", "1 does not end in a newline"),
        (f"{A}  a\n\n", "2 does not begin with 64"),
        (f"{A} *a\n", "1 does not begin with 64"),
        (f"{A.upper()}  a\n", "1 does not begin with 64"),
        (f"{A[1:]}  a\n", "1 does not begin with 64"),
        (f"\\{A}  a\n", "1 does not begin with 64"),
        (f"{A}  ../a\n", "1 has the path '../a', which is not a plain"),
        (f"{A}  /a\n", "1 has the path '/a', which is not a plain"),
        (f"{A}  a//b\n", "1 has the path 'a//b', which is not a plain"),
        (f"{A}  a/./b\n", "1 has the path 'a/./b', which is not a plain"),
        (f"{A}  a\\b\n", "1 has the path 'a\\\\\\\\b', which is not a plain"),
        (f"{A}  a\r\n", "1 has the path 'a\\\\r', which is not a plain"),
        (f"{A}  a\x00b\n", "which is not a plain"),
        (f"{A}  \n", "1 has the path '', which is not a plain"),
        (f"{A}  b\n{B}  a\n", "2 has the path 'a' twice or out of order"),
        (f"{A}  a\n{B}  a\n", "2 has the path 'a' twice or out of order"),
    ],
)
def test_a_manifest_that_no_publication_wrote_is_refused_with_its_line(text, problem):
    with pytest.raises(InvalidInput, match=rf"^SHA256SUMS:.*{problem}"):
        parse_manifest(text)


ANY_SUMS = st.dictionaries(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=20) | st.sampled_from(["a/b", "a/..", "./a", "ä ö"]),
    st.text("0123456789abcdef", min_size=64, max_size=64),
    min_size=1,
    max_size=5,
)


@given(ANY_SUMS)
def test_what_is_written_is_read_back_or_was_not_written(sums):
    try:
        text = manifest_of(sums)
    except InvalidInput:
        return
    assert parse_manifest(text) == dict(sorted(sums.items()))


LINE = st.tuples(st.sampled_from([A, B, A[1:], ""]), st.sampled_from(["  ", " *", " ", ""]), st.text(max_size=8))


@given(st.text() | st.lists(LINE).map(lambda lines: "".join("".join(line) + "\n" for line in lines)))
@example(f"{A}  a\n")
def test_only_what_would_be_written_again_is_believed(text):
    try:
        sums = parse_manifest(text)
    except InvalidInput:
        return
    assert manifest_of(sums) == text
