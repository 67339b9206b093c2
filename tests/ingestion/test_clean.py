"""What may come in comes in: no false alarm, in little time and memory."""

import pytest

from helpers.ingestion import inspect, load_policy
from tests.ingestion.clean import ADAPTERS, CLEAN
from tests.plugins.models import POLICY


@pytest.fixture(scope="module")
def policy():
    return load_policy(POLICY)


@pytest.fixture(scope="module")
def with_adapters(policy):
    files = policy.files.model_copy(update={"adapters": True})
    return policy.model_copy(update={"files": files})


def test_the_corpus_is_as_varied_as_promised():
    assert len(CLEAN) + len(ADAPTERS) >= 8


@pytest.mark.parametrize("name", CLEAN)
def test_a_clean_model_has_no_finding(name, policy, tmp_path):
    found = inspect(CLEAN[name](tmp_path / name), policy)
    assert found.findings == ()
    assert not found.refused
    assert found.files == sum(path.is_file() for path in (tmp_path / name).rglob("*"))
    assert found.size_bytes == sum(path.stat().st_size for path in (tmp_path / name).rglob("*") if path.is_file())


@pytest.mark.parametrize("name", ADAPTERS)
def test_adapters_come_in_only_where_the_policy_says_so(name, policy, with_adapters, tmp_path):
    folder = ADAPTERS[name](tmp_path / name)
    assert inspect(folder, with_adapters).findings == ()
    found = inspect(folder, policy)
    assert found.refused
    assert {finding.rule for finding in found.findings} == {"adapter"}
    assert all("the policy refuses adapters" in finding.problem for finding in found.findings)


def test_the_report_names_its_scanners_and_its_policy(policy, tmp_path):
    found = inspect(CLEAN["single"](tmp_path / "model"), policy, source="hf://org/model@main")
    assert found.source == "hf://org/model@main"
    assert found.policy_digest == policy.digest
    assert found.scanners == {"assay": "0.1.0", "modelscan": "0.8.8"}


def test_a_clean_model_in_an_archive_passes_too(policy, tmp_path):
    import shutil

    CLEAN["sharded"](tmp_path / "packed" / "model")
    for kind in ("zip", "tar", "gztar", "xztar"):
        archive = shutil.make_archive(str(tmp_path / kind), kind, tmp_path / "packed")
        assert inspect(tmp_path / archive, policy).findings == ()
