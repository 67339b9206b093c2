"""The runtime "This machine" that `make lab` adds to Elyra; tests/browser runs pipelines with it."""

import json
import os
from pathlib import Path

import pytest

from helpers.errors import InvalidInput, InvalidParameter
from helpers.local import lab, pipelines
from helpers.local.elyra.processor import Processor
from helpers.local.elyra.schema import NAME, TYPE
from helpers.pipelines import Pipeline
from helpers.runtime.workspace import ROOT

CONFIGURATION = Path(lab.__file__).with_name("elyra") / "metadata" / "runtimes" / f"{NAME}.json"


def test_elyra_knows_the_runtime_by_the_installed_package():
    from elyra.metadata.schema import SchemaManager
    from elyra.pipeline.processor import PipelineProcessorManager

    schema = SchemaManager.instance().get_schema("runtimes", NAME)
    assert schema["runtime_type"] == TYPE
    SchemaManager.instance().validate_instance("runtimes", NAME, json.loads(CONFIGURATION.read_text()))
    assert PipelineProcessorManager.instance().get_runtime_type(NAME).name == TYPE


def test_what_the_user_adds_to_elyra_is_not_written_into_the_repository(monkeypatch):
    monkeypatch.delenv("ELYRA_METADATA_PATH", raising=False)
    own, ours = lab.metadata_paths()
    assert Path(ours) == CONFIGURATION.parents[2]
    assert not Path(own).is_relative_to(ROOT)
    monkeypatch.setenv("ELYRA_METADATA_PATH", os.pathsep.join(("/one", "/two")))
    assert os.pathsep.join(lab.metadata_paths()).split(os.pathsep)[:2] == ["/one", "/two"]


def test_it_exports_nothing():
    with pytest.raises(InvalidInput, match="Choose the runtime of a cluster"):
        Processor(root_dir=".").export(None, "yaml", "x.yaml", True)


def test_a_value_that_a_stage_would_refuse_is_refused_before_anything_starts(tmp_path, monkeypatch):
    from elyra.pipeline.parser import PipelineParser

    content = Pipeline("ai-engineer").for_elyra({}, NAME)
    values = {"FRESH": "yes", "SLO_TTFT_MS": "-5", "RESOURCES": "cpu:4,memory:16GB"}
    for parameter in content["pipelines"][0]["app_data"]["properties"]["pipeline_parameters"]:
        if parameter["name"] in values:
            parameter["default_value"] |= {"type": "String", "value": values[parameter["name"]]}
    monkeypatch.setattr(pipelines, "copy_inputs", lambda folder: pytest.fail("a run was begun"))
    with pytest.raises(InvalidParameter) as refused:
        Processor(root_dir=str(ROOT)).process(PipelineParser(root_dir=str(ROOT)).parse(content))
    assert all(name in refused.value.what for name in values)
