"""garak's runs as a measurement: a stub of garak leaves recorded reports, whole, cut short or without answers."""

from __future__ import annotations

import json
import sys
import textwrap

import pytest

from helpers.artifacts import Endpoint, Evaluation, Hardware, now
from helpers.datasets.use_case import UseCase
from helpers.errors import (
    ArtifactMissing,
    EvaluationFailed,
    IncompleteCoverage,
    InvalidParameter,
    InvalidResults,
    ServerChanged,
)
from helpers.evaluation import evaluator
from helpers.evaluation.garak import Settings, measuring
from helpers.evaluation.samples import read_samples
from helpers.evaluation.told import summary
from helpers.runtime.workspace import ROOT
from tests.plugins.kernels import execute

RECORDED = ROOT / "tests" / "facts" / "results" / "garak-0.17.1" / "smollm2.report.jsonl"
PROBES = ("dan.DanInTheWild", "encoding.InjectBase64", "goodside.Tag", "promptinject.HijackHateHumans")
# What stands for garak: it knows five probes, and leaves the report that lies beside its environment.
PLUGINS = "def enumerate_plugins(kind): return [(f'{kind}.{name}', name != 'dan.Quiet') for name in NAMES]\n"
CLI = """
    import json, os, shutil, sys, urllib.request
    from pathlib import Path
    def main(arguments):
        config = json.loads(Path(arguments[1]).read_text())
        server = config["plugins"]["generators"]["openai"]["OpenAICompatible"]
        print("garak says", sorted(name for name in os.environ if "KEY" in name or "TOKEN" in name))
        key = os.environ["OPENAICOMPATIBLE_API_KEY"]
        asked = urllib.request.Request(server["uri"] + "/models", headers={"Authorization": f"Bearer {key}"})
        print(urllib.request.urlopen(asked).read().decode(), json.dumps(config))
        place = Path(config["reporting"]["report_dir"], "assay.report.jsonl")
        shutil.copy(Path(__file__).with_name("report.jsonl"), place)
"""


def answered(rows):
    """The recorded run without the attempts that got no answer."""
    kept = [row for row in rows if None not in row.get("outputs", ())]
    return [row | {"nones": 0} if row["entry_type"] == "eval" else row for row in kept]


@pytest.fixture
def stub(tmp_path, monkeypatch):
    """An environment with something that stands for garak; call it with a change to the recorded report's lines."""
    home = tmp_path / "venv"
    packages = home / "lib" / f"python3.{sys.version_info.minor}" / "site-packages"
    (packages / "garak").mkdir(parents=True)
    (packages / "garak-0.17.1.dist-info").mkdir()
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to(sys.executable)
    (home / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\n")
    names = [*PROBES, "dan.Quiet"]
    (packages / "garak" / "__init__.py").touch()
    (packages / "garak" / "_plugins.py").write_text(f"NAMES = {names}\n{PLUGINS}")
    (packages / "garak" / "cli.py").write_text(textwrap.dedent(CLI))
    monkeypatch.setenv("ASSAY_GARAK", str(home))

    def leaves(change=answered):
        rows = [json.loads(line) for line in RECORDED.read_text("utf-8").splitlines()]
        text = "".join(json.dumps(row) + "\n" for row in change(rows))
        (packages / "garak" / "report.jsonl").write_text(text, "utf-8")

    return leaves


@pytest.fixture
def scan(server, tmp_path):
    folder = tmp_path / "artifacts"
    known = {"tokenizer": "", "max_model_len": 4096, "engine_version": "0.32.0", "digest": "", "digest_verified": False}
    here = {"target": "existing", "url": server.url, "model": "scripted", "hardware": Hardware(type="test", count=1)}
    endpoint = Endpoint(**known, **here, started=now())

    def run(guard=None, **more):
        settings = Settings(**{"name": "safety", "probes": PROBES} | more)
        return measuring.evaluate(settings, endpoint, folder, show=lambda line: None, guard=guard)

    run.folder, run.endpoint = folder, endpoint
    return run


def test_a_whole_run_is_the_share_resisted_with_each_probe_s_rate_of_attacks(stub, scan):
    stub()
    found = scan()
    assert (found.tier, found.metric, found.n, found.correct, found.failed) == ("safety", "resisted", 19, 11, 0)
    assert (found.clusters, found.versions) == (4, {"garak": "0.17.1"})
    rates = {each.name: (each.value, each.n, each.better) for each in found.others}
    assert rates["dan/DanInTheWild"] == (1.0, 5, "lower")
    assert rates["encoding/InjectBase64"] == (0.0, 6, "lower")
    assert rates["promptinject/HijackHateHumans"] == (0.5, 6, "lower")
    assert all(each.interval.low <= each.value <= each.interval.high for each in found.others)
    table = found.detail["attempts by probe"]["dan.DanInTheWild"]
    assert table == {"succeeded": 5, "resisted": 0, "without an answer": 0}
    names = evaluator.files("garak", "safety")
    assert sorted(path.name for path in scan.folder.iterdir()) == sorted([names.results, names.samples, names.log])
    assert len(read_samples(scan.folder / names.samples, "resisted")) == 19
    assert "60 tokens" in summary(found)


def test_attempts_without_an_answer_are_neither_safe_nor_passed_over(stub, scan):
    stub(lambda rows: rows)
    with pytest.raises(IncompleteCoverage, match="31 of 50"):
        scan()
    found = scan(allow_partial=True)
    assert (found.n, found.failed, found.correct) == (19, 31, 11)
    assert found.partial


@pytest.mark.parametrize("lost", ["completion", "digest"])
def test_a_run_that_did_not_come_to_its_end_is_none_whatever_its_exit_code(stub, scan, lost):
    stub(lambda rows: [row for row in answered(rows) if row["entry_type"] != lost])
    with pytest.raises(EvaluationFailed, match="4 of 4 probes"):
        scan()


def test_a_run_without_one_of_the_probes_is_none(stub, scan):
    stub(lambda rows: [row for row in answered(rows) if row.get("probe") != "goodside.Tag"])
    with pytest.raises(EvaluationFailed, match=r"3 of 4 probes, without goodside\.Tag"):
        scan()


def test_attempts_that_garak_counted_and_did_not_write_are_told(stub, scan):
    stub(lambda rows: [row for row in answered(rows) if row.get("probe_classname") != "encoding.InjectBase64"])
    with pytest.raises(InvalidResults, match="garak counted 6"):
        scan()


def test_a_run_that_left_nothing_is_none(stub, scan):
    stub(lambda rows: [])
    with pytest.raises(EvaluationFailed, match="0 of 4 probes"):
        scan()


def test_a_probe_that_garak_does_not_know_is_refused_before_anything_is_asked(stub, scan, server):
    stub()
    with pytest.raises(InvalidParameter, match=r"dan\.Nothing, nowhere"):
        scan(probes=("dan.Nothing", "dan.DanInTheWild", "nowhere"))
    assert not server.chats


def test_a_family_stands_for_its_active_probes(stub, scan):
    stub()
    assert scan(probes=("dan", "encoding", "goodside", "promptinject")).n == 19


def test_where_there_is_no_garak_the_stage_says_what_to_run(scan, monkeypatch, tmp_path):
    monkeypatch.setenv("ASSAY_GARAK", str(tmp_path))
    with pytest.raises(ArtifactMissing, match="make garak"):
        scan()


def test_garak_has_no_key_and_asks_by_way_of_this_process(stub, scan, monkeypatch):
    stub()
    monkeypatch.setenv("ENDPOINT_API_KEY", "a-secret-of-the-endpoint")
    monkeypatch.setenv("HF_TOKEN", "a-secret-of-the-hub")
    scan()
    log = (scan.folder / evaluator.files("garak", "safety").log).read_text()
    (said,) = (line for line in log.splitlines() if line.startswith("garak says"))
    assert "OPENAICOMPATIBLE_API_KEY" in said
    assert not {"ENDPOINT_API_KEY", "'HF_TOKEN'"} & set(said.replace("[", "").replace("]", "").split(", "))
    assert '"id": "scripted"' in log, "it got through"
    assert "a-secret" not in log


def test_another_server_s_answers_count_for_nothing(stub, scan):
    class Changed:
        looks = 0

        def check(self):
            self.looks += 1
            if self.looks > 1:
                raise ServerChanged("another one", do="look")

    stub()
    with pytest.raises(ServerChanged):
        scan(guard=Changed())
    assert not (scan.folder / evaluator.files("garak", "safety").results).exists()


@pytest.mark.parametrize(
    "wrong", [{"probes": "dan; rm"}, {"probes": ""}, {"limit": 3}, {"generations": 0}, {"soft_probe_prompt_cap": 0}]
)
def test_what_a_scan_cannot_take_is_refused(wrong):
    with pytest.raises(InvalidParameter):
        Settings(name="safety", **wrong)


def test_probes_are_the_same_scan_in_any_order():
    first, second = Settings(name="a", probes="goodside.Tag, dan"), Settings(name="b", probes=("dan", "goodside.Tag"))
    assert first.deciding() == second.deciding()


def test_a_use_case_names_probes(tmp_path):
    scan = {
        "tier": "safety",
        "evaluator": "garak",
        "probes": ["dan", "encoding.InjectBase64"],
        "soft_probe_prompt_cap": 3,
    }
    found = UseCase.model_validate({"name": "mine", "description": "x", "evaluations": {"safety": scan}})
    settings = evaluator.check("garak", "safety", found.evaluation("safety"))
    assert (settings.probes, settings.soft_probe_prompt_cap) == (("dan", "encoding.InjectBase64"), 3)


def test_the_notebook_leaves_the_measurement_and_its_figure(stub, scan, tmp_path, monkeypatch):
    stub()
    monkeypatch.setenv("ASSAY_HOME", str(tmp_path / "home"))
    scan.endpoint.write(scan.folder)
    given = {"use_case": "nobodys", "probes": ",".join(PROBES), "registry": "http://127.0.0.1:9", "memory_limit": 2.0}
    done = execute(ROOT / "notebooks" / "safety_scan.ipynb", tmp_path / "out.ipynb", parameters=given, cwd=tmp_path)
    found = Evaluation.read_named("safety", scan.folder)
    assert (found.tier, found.evaluator, len(found.others)) == ("safety", "garak", len(PROBES))
    assert len((scan.folder / found.samples).read_text("utf-8").splitlines()) == found.total
    shown = [output for cell in done.cells for output in cell.get("outputs", ())]
    assert any("image/png" in output.get("data", {}) for output in shown)
