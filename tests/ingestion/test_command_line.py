"""`python -m helpers.ingestion`: a report, an exit code, and bounded memory whatever it is given."""

import json
import os
import re
import subprocess
import sys
import tarfile

import pytest

from helpers.ingestion import Finding, Inspection
from helpers.ingestion.report import report
from helpers.runtime.workspace import ROOT
from tests.ingestion.clean import CLEAN, write_json
from tests.plugins.memory import measured
from tests.plugins.models import POLICY

MIB = 1024**2
COMMAND = [sys.executable, "-m", "helpers.ingestion"]


@pytest.fixture
def folder(tmp_path):
    return CLEAN["single"](tmp_path / "model")


def run(*arguments, **environment):
    """Return exit code, standard output and standard error."""
    done = subprocess.run(
        [*COMMAND, *map(os.fspath, arguments)], cwd=ROOT, capture_output=True, text=True, timeout=120,
        env=os.environ | {"COLUMNS": "140"} | environment,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_a_clean_model_ends_with_0_and_one_line(folder):
    code, out, err = run(folder)
    assert (code, err) == (0, "")
    assert re.fullmatch(
        rf"CLEAN {folder}: no findings; 5 files, [\d,]+ bytes; policy sha256:[0-9a-f]{{64}}; "
        r"assay 0\.1\.0, modelscan 0\.8\.8\n",
        out,
    )


def test_a_folder_as_the_hubs_download_leaves_it_is_clean(folder):
    (folder / ".cache" / "huggingface").mkdir(parents=True)
    (folder / ".cache" / "huggingface" / ".gitignore").write_text("*")
    (folder / ".gitattributes").write_text("*.safetensors filter=lfs")
    (folder / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
    code, out, _ = run(folder)
    assert code == 0
    assert "no findings; 5 files" in out


def test_a_snapshot_of_the_hubs_cache_is_clean(folder, tmp_path):
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / ("c" * 40)
    blobs.mkdir(parents=True)
    snapshot.mkdir(parents=True)
    for number, path in enumerate(folder.iterdir()):
        path.rename(blobs / f"{number:040x}")
        (snapshot / path.name).symlink_to(f"../../blobs/{number:040x}")
    code, out, _ = run(snapshot)
    assert code == 0
    assert "no findings; 5 files" in out


def test_a_refused_model_ends_with_1_and_says_for_each_file_what_to_do(folder):
    (folder / "run.sh").write_text("")
    (folder / "README.md").unlink()
    code, out, err = run(folder)
    assert (code, err) == (1, "")
    first, *rows, blank, summary = out.splitlines()
    assert first.split() == ["SEVERITY", "FILE", "RULE", "WHAT,", "AND", "WHAT", "TO", "DO"]
    assert [row.split()[:3] for row in rows if not row.startswith(" ")] == [
        ["critical", "run.sh", "file-type"],
        ["medium", "README.md", "license"],
        ["medium", "run.sh", "size"],
    ]
    assert [row.strip() for row in rows if "→" in row] == [
        "→ Remove it", "→ Add the publisher's model card", "→ Remove it, or add what it should hold",
    ]  # fmt: skip
    assert blank == ""
    assert summary.startswith(f"REFUSED {folder}: 1 critical, 2 medium; 5 files")


def test_json_is_all_that_is_on_standard_output(folder):
    write_json(folder / "tokenizer_config.json", {"auto_map": {"AutoTokenizer": "x.Y"}})
    code, out, err = run(folder, "--json")
    assert (code, err) == (1, "")
    report = json.loads(out)
    assert report["source"] == str(folder)
    assert report["scanners"] == {"assay": "0.1.0", "modelscan": "0.8.8"}
    [found] = [Finding(*finding) for finding in report["findings"]]
    assert (found.file, found.rule, found.severity) == ("tokenizer_config.json", "remote-code", "critical")


def test_another_policy_decides_otherwise(folder, tmp_path):
    stricter = tmp_path / "policy.yaml"
    stricter.write_text(POLICY.read_text().replace("  - apache-2.0\n", ""))
    code, out, _ = run(folder, "--policy", stricter)
    assert code == 1
    assert "names the license 'apache-2.0'; allowed are bsd-3-clause" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nowhere"], r"nowhere does not exist\. Give a folder or an archive"),
        (["model/config.json"], r"config\.json is neither a folder nor an archive\. Give the folder"),
        (
            ["model", "--policy", "nowhere.yaml"],
            r"nowhere\.yaml cannot be read: No such file.*Give POLICY a policy file",
        ),
        (["model", "--policy", "bad.yaml"], r"bad\.yaml:1: licences: Extra inputs are not permitted"),
        ([], "the following arguments are required: PATH"),
    ],
)
def test_what_cannot_be_inspected_ends_with_2_and_a_sentence(folder, tmp_path, arguments, says):
    (tmp_path / "bad.yaml").write_text("licences: [mit]\n")
    paths = [argument if argument.startswith("--") else tmp_path / argument for argument in arguments]
    code, out, err = run(*paths)
    assert (code, out) == (2, "")
    assert re.search(says, err)
    assert "Traceback" not in err


@pytest.mark.parametrize("name", ["config.json", "LICENSE"])
def test_a_file_that_may_not_be_read_ends_with_2(folder, name):
    (folder / name).write_text("{}")
    (folder / name).chmod(0)
    if os.geteuid():
        code, out, err = run(folder)
    else:  # root may read everything, so somebody else asks
        code, out, err = as_nobody(folder)
    assert (code, out) == (2, "")
    assert re.search(rf"{name}.* cannot be read: Permission denied", err)


def as_nobody(folder):
    """Run the command without root's right to read everything."""
    for parent in list(folder.parents)[:3]:
        parent.chmod(0o755)
    done = subprocess.run(
        ["setpriv", "--bounding-set", "-dac_override,-dac_read_search", "--inh-caps", "-all", *COMMAND, folder],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_an_error_of_our_own_is_no_verdict(folder):
    code = "import helpers.ingestion.__main__ as cli; cli.inspect = lambda *a, **k: 1 / 0; cli.run()"
    done = subprocess.run([sys.executable, "-c", code, folder], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "ZeroDivisionError" in done.stderr


def test_names_and_texts_move_no_cursor(folder):
    (folder / "a\x1b[2J\u202e.json").write_text("{}")
    write_json(folder / "config.json", {"auto_map": {"AutoModel\x1b[31m": "\x1b]0;x\x07.Y\u202e"}})
    code, out, _ = run(folder)
    assert code == 1
    assert out.replace("\n", "").isprintable()
    assert r"a\x1b[2J\u202e.json" in out


def test_no_field_of_a_report_moves_a_cursor():
    hostile = "\x1b[2J\u202e\x07\udc80"
    found = Finding(hostile, "name", "high", hostile, hostile)
    seen = Inspection(source=hostile, files=1, size_bytes=1, findings=(found,), policy_digest="sha256:0")
    assert report(seen).replace("\n", "").isprintable()


def test_an_archive_is_inspected_like_the_folder_in_it(folder, tmp_path):
    write_json(folder / "tokenizer_config.json", {"auto_map": {"AutoTokenizer": "x.Y"}})
    archive = tmp_path / "model.tar.gz"
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(folder, "model")
        link = tarfile.TarInfo("model/extra.json")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        packed.addfile(link)
    code, out, _ = run(archive, "--json")
    assert code == 1
    assert {finding[1] for finding in json.loads(out)["findings"]} == {"remote-code", "link"}


def fill(path, start, piece, end, size=63 * MIB):
    """Write `piece` again and again between `start` and `end`."""
    block = piece * max(1, MIB // len(piece))
    with path.open("wb") as file:
        file.write(start)
        for _ in range(size // len(block)):
            file.write(block)
        file.write(end)


def tokenizer(folder):
    """As large as the largest real ones: 35 MB, 260,000 tokens, 500,000 merges."""
    with (folder / "tokenizer.json").open("w", encoding="utf-8") as file:
        file.write('{"version": "1.0", "model": {"type": "BPE", "vocab": {"a": 0')
        file.writelines(f',\n"Ġtoken-with-a-long-name-{number}": {number}' for number in range(1, 260_000))
        file.write('}, "merges": [["a", "a"]')
        file.writelines(f',\n["Ġtoken-{number}", "a-name-{number}"]' for number in range(500_000))
        file.write("]}}")


def many_names(folder):
    with (folder / "x.json").open("w", encoding="utf-8") as file:
        file.write('{"a": 0')
        file.writelines(f',"{number:x}":0' for number in range(2_000_000))
        file.write("}")


NASTY = {
    "open lists": lambda folder: fill(folder / "x.json", b"", b"[", b""),
    "numbers": lambda folder: fill(folder / "x.json", b"[", b"0,", b"0]"),
    "emoji": lambda folder: fill(folder / "x.json", b'["', "🙂".encode(), b'"]'),
    "one wide letter": lambda folder: fill(folder / "x.json", b'["\xf0\x9f\x99\x82', b"a", b'"]'),
    "escapes": lambda folder: fill(folder / "x.json", b'["', b"\\ud83d\\ude42", b'"]'),
    "texts": lambda folder: fill(folder / "x.json", b"[", b'"' + b"a" * 4_000_000 + b'",', b"0]"),
    "names": many_names,
    "templates": lambda folder: fill(
        folder / "x.json", b'{"chat_template": [', b'"' + b"{{a}}" * 50_000 + b'",', b'""]}'
    ),
    "front matter": lambda folder: fill(
        folder / "README.md", b"---\nlicense: mit\nx:\n", b" - {a: [1, 2]}\n", b"---\n"
    ),
    "a pickle": lambda folder: fill(folder / "x.json", b"\x80\x04(", b"K\x01\x94", b"t."),
    "a text that is a pickle": lambda folder: fill(folder / "LICENSE", b"(", b"I1\n", b"t."),
    "vocabulary": lambda folder: fill(folder / "vocab.txt", b"", b"token\n", b""),
    "tokenizer": tokenizer,
}


@pytest.mark.load
@pytest.mark.parametrize("name", NASTY)
def test_memory_stays_under_500_mb(folder, name):
    NASTY[name](folder)
    code, mebibytes, printed = measured([*COMMAND, folder, "--json"])
    clean = name in ("tokenizer", "vocabulary")
    assert code == (0 if clean else 1), printed[:1000]
    assert bool(json.loads(printed)["findings"]) != clean
    assert mebibytes < 476  # 500 MB
