"""Files as people have them raise no alarm: texts by their first letter, shards by their numbers, Git's pointers."""

import string

import pytest

from helpers.ingestion import inspect, load_policy
from tests.ingestion.attacks.weights import shard, write_index
from tests.ingestion.clean import CLEAN
from tests.plugins.models import POLICY

TEXTS = (
    "The MIT License (MIT)\n\nCopyright (c)",
    "BSD 3-Clause License\n\nCopyright (c)",
    "This model was trained on text.",
    "Below is an instruction that describes a task.",
    "XGen is a language model.",
    "N.B. This is a draft.",
    "I0\n.",
)


@pytest.fixture(scope="module")
def policy():
    return load_policy(POLICY)


@pytest.fixture
def folder(tmp_path):
    return CLEAN["single"](tmp_path / "model")


def found(folder, policy):
    """Return file, rule and severity of each finding."""
    return [finding[:3] for finding in inspect(folder, policy).findings]


@pytest.mark.parametrize("ending", ["", "\n", " of a text that goes on for a while\n" * 200])
def test_a_text_may_begin_with_any_letter(folder, policy, ending):
    for number, letter in enumerate(string.ascii_letters + string.digits + "({[<#*-\"'"):
        (folder / f"NOTICE{number}").write_text(letter + "his is no pickle." + ending)
    for number, text in enumerate(TEXTS):
        (folder / f"LICENSE{number}").write_text(text + ending)
        (folder / f"USE_POLICY{number}.md").write_text(text + ending)
    assert found(folder, policy) == []


def numbered(folder, numbers, total):
    """Turn the weights into shards with these numbers."""
    content = shard(folder)
    names = {f"model-0000{old}-of-00002.safetensors": f"model-{new:05}-of-{total:05}.safetensors"
             for old, new in zip((1, 2), numbers, strict=True)}  # fmt: skip
    for old, new in names.items():
        (folder / old).rename(folder / f"{new}.new")
    for new in names.values():
        (folder / f"{new}.new").rename(folder / new)
    content["weight_map"] = {tensor: names[file] for tensor, file in content["weight_map"].items()}
    write_index(folder, content)


def test_shards_may_be_counted_from_zero(folder, policy):
    numbered(folder, (0, 1), 2)
    assert found(folder, policy) == []


def test_a_shard_that_is_missing_counted_from_zero_is_named(folder, policy):
    numbered(folder, (0, 2), 3)
    [finding] = inspect(folder, policy).findings
    assert finding.rule == "safetensors-index"
    assert "the first is 00001" in finding.problem


def test_a_wrong_total_size_is_a_warning(folder, policy):
    content = shard(folder)
    content["metadata"]["total_size"] = 47
    write_index(folder, content)
    seen = inspect(folder, policy)
    assert [finding.severity for finding in seen.findings] == ["low"]
    assert "a total_size of 47 bytes, the shards have 48" in seen.findings[0].problem
    assert not seen.refused


def test_a_pointer_of_git_lfs_is_called_one_whatever_its_name(folder, policy):
    for name in ("model.safetensors", "tokenizer.json", "tokenizer.model"):
        (folder / name).write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 1\n")
    seen = inspect(folder, policy).findings
    assert {(finding.file, finding.rule) for finding in seen} == {
        (name, "lfs-pointer") for name in ("model.safetensors", "tokenizer.json", "tokenizer.model")
    }
    assert all("git lfs pull" in finding.do for finding in seen)


def test_a_shard_that_is_a_pointer_is_all_that_is_said(folder, policy):
    shard(folder)
    (folder / "model-00002-of-00002.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    assert found(folder, policy) == [("model-00002-of-00002.safetensors", "lfs-pointer", "high")]


@pytest.mark.parametrize(
    "front",
    ["license: MIT", "license:\n- apache-2.0", "license: [mit]", "license: other\nlicense_name: mit",
     "tags: [a, b]\nmodel-index:\n- results:\n  - task: {type: x}\nlicense: 'mit'", "license: >\n  mit"],
)  # fmt: skip
def test_a_card_may_name_its_license_as_cards_do(folder, policy, front):
    (folder / "README.md").write_text(f"---\n{front}\n---\n# A model\n")
    assert found(folder, policy) == []
