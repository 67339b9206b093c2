"""A use case in a repository: one commit, one folder, and nothing that leads out of it."""

from __future__ import annotations

import shutil
import subprocess
from contextlib import chdir, nullcontext

import pytest

from helpers.datasets import arrival, stated
from helpers.datasets.making import make_use_case
from helpers.errors import InvalidDataset, InvalidParameter
from helpers.pipelines import Pipeline, data
from helpers.pipelines.values import check_values
from helpers.runtime.parameters import UNSAFE

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
    ("old", "new"),
    [
        ("prompts: prompts.jsonl", "prompts: ../../outside.txt"),
        ("task: mine", "task: mine, include_path: ../.."),
        ("criteria: criteria.yaml", "criteria: ../../outside.txt"),
    ],
)
def test_what_a_fetched_use_case_names_outside_its_folder_is_refused(repository, tmp_path, monkeypatch, old, new):
    folder = tmp_path / "cases.git"
    file = folder / "all" / "mine" / "use-case.yaml"
    file.write_text(file.read_text().replace("task: other", "task: mine").replace(old, new))
    git(folder, "commit", "-qam", "three")
    address = f"git+file://{folder}@{git(folder, 'rev-parse', 'HEAD')}#all/mine"
    (tmp_path / "notebooks" / "given").mkdir(parents=True)
    (tmp_path / "notebooks" / "given" / "outside.txt").write_text("a secret")
    with chdir(tmp_path / "notebooks"), pytest.raises(InvalidDataset, match="outside the use case"):
        stated.find_use_case(address)
    monkeypatch.setattr(data, "home", lambda: tmp_path / "notebooks")
    with pytest.raises(InvalidParameter, match="outside the use case"):
        check_values(Pipeline("ai-engineer"), {"USE_CASE": address})


def test_data_of_a_fetched_task_that_lie_outside_the_folder_are_refused(repository, tmp_path, monkeypatch):
    folder = tmp_path / "cases.git"
    task = folder / "all" / "mine" / "task.yaml"
    task.write_text(task.read_text().replace("questions.jsonl", "../../questions.jsonl"))
    (folder / "all" / "mine" / "use-case.yaml").write_text(
        (folder / "all" / "mine" / "use-case.yaml").read_text().replace("task: other", "task: mine")
    )
    git(folder, "commit", "-qam", "three")
    (tmp_path / "home" / "given").mkdir(parents=True)
    shutil.copy(folder / "all" / "mine" / "questions.jsonl", tmp_path / "home" / "given")
    monkeypatch.setattr(data, "home", lambda: tmp_path / "home")
    with pytest.raises(InvalidParameter, match="outside the use case"):
        check_values(
            Pipeline("ai-engineer"),
            {"USE_CASE": f"git+file://{folder}@{git(folder, 'rev-parse', 'HEAD')}#all/mine"},
        )


def test_a_folder_of_a_commit_travels_with_the_nodes(repository, tmp_path, monkeypatch):
    monkeypatch.setattr(data, "home", lambda: tmp_path / "home")
    for address in (f"{repository}#all/mine", f"{repository}#all"):
        with nullcontext() if address.endswith("mine") else pytest.raises(InvalidParameter, match=r"no use-case\.yaml"):
            found = check_values(Pipeline("ai-engineer"), {"USE_CASE": address})
            assert not UNSAFE.search(found.values["USE_CASE"])
            with found.beside():
                assert stated.find_use_case(found.values["USE_CASE"]).name == "mine"


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
