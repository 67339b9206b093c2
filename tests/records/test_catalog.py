"""The catalog's records, field by field and type by type, against its own sample data and its OpenAPI document."""

from __future__ import annotations

import json
import zipfile

import pytest
import yaml

from helpers.artifacts import Approval, Hardware, Metric
from helpers.load_test.settings import CATALOG
from helpers.records.catalog import pack_catalog, performance_rows, write_catalog
from helpers.runtime.workspace import ROOT
from tests.plugins.records import START, a_point, a_record, a_sweep, about, an_evaluation, holding, some_samples

SCHEMAS = ROOT / "tests" / "facts" / "schemas"
LATENCIES = [f"{name}_{key}" for name in ("ttft", "e2e", "tps", "itl") for key in ("mean", "p90", "p95", "p99")]
# What the platform's loader, dashboard and recommendations read, with the type that they want.
PERFORMANCE = (
    dict.fromkeys(LATENCIES, float)
    | dict.fromkeys(["requests_per_second", "mean_input_tokens", "mean_output_tokens"], float)
    | dict.fromkeys(["hardware_count", "created_at", "updated_at"], int)
    | dict.fromkeys(["id", "config_id", "model_id", "scenario_id", "use_case", "deployment_type"], str)
    | dict.fromkeys(["hardware_configuration", "hardware_type"], str)
    | dict.fromkeys(["framework", "framework_type", "framework_version", "profiler_config"], str)
)
EVALUATION = {
    "benchmark": str,
    "score": float,
    "score_metric": str,
    "hardware_configuration": str,
    "hardware_type": str,
    "hardware_count": int,
    "created_at": int,
    "updated_at": int,
}


def rows(path):
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


@pytest.fixture
def written(tmp_path):
    record = a_record(samples=some_samples(0.78))
    return record, {path.name: path for path in write_catalog(record, tmp_path)}


def test_a_scan_stands_in_the_security_view_probe_by_probe_and_not_among_the_scores(tmp_path):
    scan = an_evaluation(some_samples(1.0)).model_copy(
        update={"name": "safety", "tier": "safety", "evaluator": "garak", "task": "garak", "metric": "resisted",
                "versions": {"garak": "0.17.1"}, "others": (
                    Metric(name="dan/DanInTheWild", value=0.0, n=6, kind="proportion", better="lower"),
                    Metric(name="encoding/InjectBase64", value=0.5, n=6, kind="proportion", better="lower"))}
    )  # fmt: skip
    record = holding(a_record(samples=some_samples(0.78)), scan)
    files = {path.name: path for path in write_catalog(record, tmp_path)}
    safe, attacked = rows(files["security-evaluations.ndjson"])
    assert (safe["benchmark"], safe["result"], safe["pass"]) == ("dan.DanInTheWild", 0.0, True)
    assert (attacked["benchmark"], attacked["result"], attacked["pass"]) == ("encoding.InjectBase64", 0.5, False)
    assert '"result": 0.0,' in files["security-evaluations.ndjson"].read_text()
    assert [row["benchmark"] for row in rows(files["evaluations.ndjson"])] == ["ops_assistant"]
    source = yaml.safe_load(files["catalog.yaml"].read_text())["models"][0]["artifacts"]
    properties = [each["customProperties"] for each in source if each["metricsType"] == "security-metrics"]
    assert properties[0]["result"] == {"double_value": 0.0, "metadataType": "MetadataDoubleValue"}
    assert properties[0]["pass"] == {"bool_value": True, "metadataType": "MetadataBoolValue"}


def test_all_four_files_are_written(written):
    assert set(written[1]) == {"metadata.json", "performance.ndjson", "evaluations.ndjson", "catalog.yaml"}


def test_the_archive_holds_the_files_as_they_are_and_only_changes_with_them(written):
    record, files = written
    folder = files["metadata.json"].parent
    (folder / "notes.txt").write_text("not the catalog's")
    archive = pack_catalog(folder)
    first = archive.read_bytes()
    with zipfile.ZipFile(archive) as packed:
        content = {name: packed.read(name) for name in packed.namelist()}
    assert content == {f"{folder.name}/{name}": path.read_bytes() for name, path in sorted(files.items())}
    write_catalog(record, folder)
    assert pack_catalog(folder).read_bytes() == first


@pytest.mark.parametrize(("key", "kind"), PERFORMANCE.items())
def test_performance_has_the_key_with_its_type(written, key, kind):
    (row,) = rows(written[1]["performance.ndjson"])
    assert type(row[key]) is kind


@pytest.mark.parametrize(("key", "kind"), EVALUATION.items())
def test_evaluation_has_the_key_with_its_type(written, key, kind):
    (row,) = rows(written[1]["evaluations.ndjson"])
    assert type(row[key]) is kind


def test_half_a_core_is_said_and_counted_as_one_where_the_catalog_takes_whole_numbers(tmp_path):
    record = a_record()
    half = Hardware(type="CPU", count=0.5)
    small = record.model_copy(update={"endpoint": record.endpoint.model_copy(update={"hardware": half})})
    files = {path.name: path for path in write_catalog(small, tmp_path)}
    (row,) = rows(files["performance.ndjson"])
    assert row["hardware_configuration"] == "0.5 x CPU"
    assert row["hardware_count"] == 1


def test_performance_says_what_was_measured(written):
    record, files = written
    (row,) = rows(files["performance.ndjson"])
    point = record.sweep.chosen
    assert (row["id"], row["config_id"]) == (record.record_id, f"{record.record_id}-chat")
    assert row["model_id"] == "ops-small"
    assert row["use_case"] == "chatbot_128_32"
    assert row["ttft_p95"] == point.ttft_ms.p95
    assert row["itl_mean"] == point.itl_ms.mean
    assert row["e2e_p99"] == point.e2e_ms.p99
    assert row["tps_mean"] == point.tps.mean
    assert row["requests_per_second"] == point.requests_per_second
    assert row["mean_input_tokens"] == 128.0
    assert row["hardware_configuration"] == "2 x Xeon"
    assert (row["hardware_type"], row["hardware_count"]) == ("Xeon", 2)
    assert row["framework"] == row["framework_type"] == "vllm"
    assert row["framework_version"] == "0.32.0"
    assert row["created_at"] == int(record.sweep.ended.timestamp() * 1000)
    assert json.loads(row["profiler_config"]) == {"args": {"prompt_tokens": 128, "output_tokens": 32}}
    assert "rate distribution" in row["tps_definition"]


@pytest.mark.parametrize(
    ("workload", "tokens", "use_case"),
    [
        *((name, tokens, name) for name, tokens in CATALOG.items()),
        ("chatbot", (64, 32), "chatbot_64_32"),
        ("chatbot_64_32", (64, 32), "chatbot_64_32"),
        ("rag", (512, 256), "rag_512_256"),
        ("prompts", (None, 77), "rag_prompts"),
    ],
)
def test_only_the_catalogs_own_workload_gets_its_name(workload, tokens, use_case):
    changes = dict(zip(("workload", "prompt_tokens", "output_tokens"), (workload, *tokens), strict=True))
    [row] = performance_rows(a_record(sweep=a_sweep().model_copy(update=changes), use_case="rag"))
    assert row["use_case"] == use_case
    assert row["scenario_id"].startswith(f"{use_case}-")
    assert use_case in CATALOG or not any(row["use_case"] == name for name in CATALOG)


def test_a_whole_number_stays_a_double_in_the_file(written):
    text = written[1]["performance.ndjson"].read_text()
    assert '"requests_per_second": 16.0' in text
    assert '"hardware_count": 2,' in text


def test_the_score_is_in_percent_with_its_interval(written):
    record, files = written
    (row,) = rows(files["evaluations.ndjson"])
    assert row["benchmark"] == "ops_assistant"
    assert row["score"] == record.evaluation.score * 100
    assert row["score_metric"] == "accuracy_percent"
    assert row["score_low"] < row["score"] < row["score_high"]
    assert row["num_questions"] == 160


def test_metadata_names_the_model_as_the_catalog_looks_it_up(written):
    record, files = written
    about = json.loads(files["metadata.json"].read_text())
    assert about == {"id": "ops-small", "overall_accuracy": record.evaluation.score * 100, "size": "1.1M params"}


def without(**lost):
    sweep = a_sweep()
    index = sweep.operating_point.index
    point = a_point(8).model_copy(update=lost)
    points = (*sweep.points[:index], point, *sweep.points[index + 1 :])
    return a_record(sweep=sweep.model_copy(update={"points": points}))


@pytest.mark.parametrize(
    "record",
    [
        a_record(sweep=a_sweep(none_meets=True)),
        without(ttft_ms=None),
        without(itl_ms=None),
        without(tps=None),
        without(requests_per_second=0.0),
        without(requests_per_second=float("nan")),
    ],
    ids=["no operating point", "no ttft", "no itl", "no tps", "zero rate", "NaN rate"],
)
def test_a_performance_record_that_would_show_invented_numbers_is_left_out(record, tmp_path):
    files = {path.name: path for path in write_catalog(record, tmp_path)}
    assert set(files) == {"metadata.json", "evaluations.ndjson", "catalog.yaml"}
    kinds = [
        item["metricsType"] for item in yaml.safe_load(files["catalog.yaml"].read_text())["models"][0]["artifacts"]
    ]
    assert kinds == ["accuracy-metrics"]


def test_writing_the_same_record_again_changes_nothing(written, tmp_path):
    record, files = written
    before = {name: path.read_bytes() for name, path in files.items()}
    write_catalog(record, tmp_path)
    assert {name: path.read_bytes() for name, path in files.items()} == before


def test_a_second_run_is_a_record_of_its_own_because_the_loader_skips_known_ids(written, tmp_path):
    from datetime import timedelta

    write_catalog(a_record(samples=some_samples(0.78), when=START + timedelta(hours=1)), tmp_path)
    found = rows(tmp_path / "performance.ndjson")
    assert len({row["config_id"] for row in found}) == 2
    assert len(rows(tmp_path / "evaluations.ndjson")) == 1, "the loader keeps one score for a benchmark"


def test_a_folder_never_mixes_two_models(written, tmp_path):
    write_catalog(a_record("ops-large"), tmp_path)
    assert {row["model_id"] for row in rows(tmp_path / "performance.ndjson")} == {"ops-large"}
    assert json.loads((tmp_path / "metadata.json").read_text())["id"] == "ops-large"


def test_the_yaml_source_holds_the_same_records_with_typed_values(written):
    _, files = written
    (model,) = yaml.safe_load(files["catalog.yaml"].read_text())["models"]
    speed, score = model["artifacts"]
    (row,) = rows(files["performance.ndjson"])
    assert speed["metricsType"] == "performance-metrics"
    assert score["metricsType"] == "accuracy-metrics"
    assert speed["createTimeSinceEpoch"] == str(row["created_at"])
    values = speed["customProperties"]
    assert values["hardware_count"] == {"int_value": "2", "metadataType": "MetadataIntValue"}
    assert values["ttft_mean"] == {"double_value": row["ttft_mean"], "metadataType": "MetadataDoubleValue"}
    assert values["framework_type"] == {"string_value": "vllm", "metadataType": "MetadataStringValue"}
    assert set(values) == set(row) - {"created_at", "updated_at"}


def test_only_an_approved_version_gets_the_label_that_shows_it_as_validated(tmp_path):
    record = a_record()
    approved = record.model_copy(update={"approval": Approval(state="approved", reasons=("good",))})
    for name, item, shown in (("candidate", record, False), ("approved", approved, True)):
        write_catalog(item, tmp_path / name)
        (model,) = yaml.safe_load((tmp_path / name / "catalog.yaml").read_text())["models"]
        assert ("validated" in model.get("customProperties", {})) is shown


@pytest.mark.parametrize("name", ["performance.ndjson", "evaluations.ndjson"])
def test_every_key_of_the_platforms_own_records_is_there_with_the_same_type(written, name):
    (row,) = rows(written[1][name])
    theirs = json.loads((SCHEMAS / "catalog-fields.json").read_text())[name]
    assert theirs
    assert {key: [type(row.get(key)).__name__] for key in theirs} == theirs


def test_the_yaml_source_is_valid_under_the_catalogs_openapi_document(written):
    from jsonschema import Draft202012Validator
    from referencing import Registry, Resource
    from referencing.jsonschema import DRAFT202012

    document = json.loads((SCHEMAS / "catalog.json").read_text())
    registry = Registry().with_resource("urn:catalog", Resource(document, DRAFT202012))

    def validator(name):
        return Draft202012Validator({"$ref": f"urn:catalog#/components/schemas/{name}"}, registry=registry)

    (model,) = yaml.safe_load(written[1]["catalog.yaml"].read_text())["models"]
    for artifact in model.pop("artifacts"):
        validator("CatalogMetricsArtifact").validate(artifact)
        for value in artifact["customProperties"].values():
            validator(value["metadataType"]).validate(value)
    validator("CatalogModel").validate(model)


TOOLS = ("--enable-auto-tool-choice", "--tool-call-parser", "granite")


def calling(share, args=TOOLS, n=60, **more):
    """The record of a model with a measurement of its tool calling."""
    record = a_record(samples=some_samples(0.78))
    found = an_evaluation(some_samples(share, n)).model_copy(
        update={"name": "tools", "tier": "tools", "evaluator": "tool_calling", "task": "tools"} | more
    )
    measurements = (*record.measurements, about(record.selection, found))
    endpoint = record.endpoint.model_copy(update={"engine_args": args, "digest_verified": True})
    return record.model_copy(update={"measurements": measurements, "endpoint": endpoint})


def in_the_source(record, folder):
    write_catalog(record, folder)
    (model,) = yaml.safe_load((folder / "catalog.yaml").read_text())["models"]
    return model.get("validatedTasks"), model.get("servingConfig")


def test_tool_calling_is_validated_where_it_was_measured_with_the_parser_it_was_served_with(tmp_path):
    config = {"toolCalling": {"toolCallParser": "granite", "enableAutoToolChoice": True}}
    assert in_the_source(calling(0.9), tmp_path / "a") == (["tool-calling"], config)
    joined = ("--enable-auto-tool-choice", "--tool-call-parser=granite")
    assert in_the_source(calling(0.9, joined), tmp_path / "b") == (["tool-calling"], config)


@pytest.mark.parametrize(
    "record",
    [
        a_record(samples=some_samples(0.9)),
        calling(0.55),
        calling(0.9, args=()),
        calling(0.9, limit=60),
        calling(0.9, total=80, truncated=20),
        calling(0.9, args=(*TOOLS, "--chat-template", "hermes")),
    ],
    ids=["not measured", "not shown", "parser unknown", "a trial", "not on all rows", "template from elsewhere"],
)
def test_tool_calling_that_was_not_measured_to_work_is_not_validated(record, tmp_path):
    assert in_the_source(record, tmp_path) == (None, None)
