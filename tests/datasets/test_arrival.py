"""A use case in a repository: one commit, one folder, and nothing that leads out of it."""

from __future__ import annotations

import subprocess
from contextlib import chdir

import pytest

from helpers.datasets import arrival, stated
from helpers.datasets.making import make_use_case
from helpers.errors import InvalidDataset

ME = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]


def git(folder, *words):
    done = subprocess.run(["git", *ME, *words], cwd=folder, check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path):
    """A repository with a use case in a folder, and its address at the first commit; the second renames the task."""
    folder = tmp_path / "cases.git"
    make_use_case("mine", folder / "all")
    (folder / "all" / "mine" / "link").symlink_to("/etc/passwd")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-qm", "one")
    commit = git(folder, "rev-parse", "HEAD")
    file = folder / "all" / "mine" / "use-case.yaml"
    file.write_text(file.read_text().replace("task: mine", "task: other"))
    git(folder, "commit", "-qam", "two")
    return f"git+file://{folder}@{commit}"


def test_a_folder_of_a_commit_is_a_use_case(repository, tmp_path):
    (tmp_path / "notebooks").mkdir()
    with chdir(tmp_path / "notebooks"):
        found = stated.find_use_case(f"{repository}#all/mine")
        assert (found.name, found.evaluation("knowledge")["task"]) == ("mine", "mine")
        assert not found.folder.is_absolute()
        assert not (found.folder / "link").is_symlink()
        assert not list(found.folder.glob(".git*"))
        assert arrival.place("USE_CASE", repository) != arrival.place("USE_CASE", f"{repository}#all/mine")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda address: address + "#all/nowhere", "nowhere"),
        (lambda address: address + "#../..", "names no commit"),
        (lambda address: address[:-1], "names no commit"),
        (lambda address: address[:-40] + "0" * 40, "cannot be fetched"),
        (lambda address: address.replace("file://", "https://me:hunter2@"), "names no commit"),
        (lambda address: "git+ext::sh -c id@" + address[-40:], "names no commit"),
    ],
)
def test_what_is_no_commit_is_refused_without_repeating_a_login(repository, tmp_path, change, said):
    (tmp_path / "notebooks").mkdir()
    with chdir(tmp_path / "notebooks"), pytest.raises(InvalidDataset, match=said) as refused:
        stated.find_use_case(change(repository))
    assert "hunter2" not in str(refused.value)
