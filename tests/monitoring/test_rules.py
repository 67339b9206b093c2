"""The rules of a record, in real promtool: what fires on which series, here and on a cluster, with which words."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import yaml

from helpers.monitoring.rules import EARNEST, HERE, Watched, prometheus_rule, prometheus_rules
from helpers.runtime.workspace import ROOT
from tests.plugins.records import a_record

RECORD = a_record()  # TTFT p95 within 100 ms, prompts of 128 tokens, answers of 32, 16 requests/s
HERE_LABELS = 'model="ops-small",version="1.0",purpose="serve"'
CLUSTER_LABELS = 'namespace="mine",model_name="served"'


def promtool(*words):
    done = subprocess.run([ROOT / ".tools" / "promtool", *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


def in_promtool(folder, rules, series, *, at, step, **expected):
    """Let promtool feed series to rules and hold what they give against what is expected."""
    (folder / "rules.yml").write_text(yaml.safe_dump(rules))
    promtool("check", "rules", "--lint-fatal", str(folder / "rules.yml"))
    given = [{"series": name, "values": values} for name, values in series.items()]
    test = {
        "interval": step,
        "input_series": given,
        **{kind: [{"eval_time": at, **each}] for kind, each in expected.items()},
    }
    file = {"rule_files": ["rules.yml"], "evaluation_interval": step, "tests": [test]}
    (folder / "test.yml").write_text(yaml.safe_dump(file))
    promtool("test", "rules", str(folder / "test.yml"))


def firing(*names):
    samples = [{"labels": f'{{alertname="{name}"}}', "value": 1} for name in names]
    return {"expr": 'count by (alertname) (ALERTS{alertstate="firing"})', "exp_samples": samples}


def requests(labels, prefix="vllm", *, within=60, of=60, steps=60, prompt=128, output=32, failed=0):
    """The series of a server that answers `of` requests in each step, `within` of them by the SLO's edge."""

    def name(metric, more=""):
        return f"{prefix}:{metric}{{{labels}{more}}}"

    def each(value):
        return f"0+{value}x{steps}"

    ttft, http = "time_to_first_token_seconds", f'http_requests_total{{{labels},handler="/v1/chat/completions",status='
    return {
        name(f"{ttft}_bucket", ',le="0.1"'): each(within),
        name(f"{ttft}_bucket", ',le="1.0"'): each(of),
        name(f"{ttft}_bucket", ',le="+Inf"'): each(of),
        name(f"{ttft}_count"): each(of),
        name("request_prompt_tokens_sum"): each(of * prompt), name("request_prompt_tokens_count"): each(of),
        name("request_generation_tokens_sum"): each(of * output), name("request_generation_tokens_count"): each(of),
        name("num_requests_running"): f"1x{steps}",
        f'{http}"2xx"}}': each(of - failed),
        **({f'{http}"5xx"}}': each(failed)} if failed else {}),
    }  # fmt: skip


def up(value):
    return {f'up{{job="vllm",{HERE_LABELS}}}': f"{value}x60"}


def gauge(metric, value):
    return {f"vllm:{metric}{{{HERE_LABELS}}}": f"{value}x60"}


QUEUE = f"vllm:request_queue_time_seconds_{{}}{{{{{HERE_LABELS}{{}}}}}}"
QUEUED = {QUEUE.format("bucket", ',le="0.05"'): "0+54x60", QUEUE.format("count", ""): "0+60x60"}
CASES = {
    "all is well": (requests(HERE_LABELS) | up(1), ()),
    "a tenth of the requests is late": (requests(HERE_LABELS, within=54) | up(1), ("TTFTMissesSLO",)),
    "four in ten are late": (requests(HERE_LABELS, within=36) | up(1), ("TTFTBudgetBurns", "TTFTMissesSLO")),
    "late, and too few to say so": (requests(HERE_LABELS, within=0, of=0) | up(1), ()),
    "a tenth of the requests fails": (requests(HERE_LABELS, failed=6) | up(1), ("RequestsFail",)),
    "requests queue": (requests(HERE_LABELS) | up(1) | QUEUED, ("QueueGrows",)),
    "the cache is full": (
        requests(HERE_LABELS) | up(1) | gauge("kv_cache_usage_perc", 0.95) | gauge("num_requests_waiting", 3),
        ("KvCacheFull",),
    ),
    "requests are preempted": (
        requests(HERE_LABELS) | up(1) | {f"vllm:num_preemptions_total{{{HERE_LABELS}}}": "0+1x60"},
        ("RequestsPreempted",),
    ),
    "nobody answers": (up(0), ("EndpointGone",)),
    "prompts are four times as long": (requests(HERE_LABELS, prompt=512) | up(1), ("PromptsDrifted",)),
    "answers are a quarter as long": (requests(HERE_LABELS, output=8) | up(1), ("OutputsDrifted",)),
    "twice the load": (requests(HERE_LABELS, within=200, of=200) | up(1), ("LoadAboveMeasured",)),
}


@pytest.mark.parametrize("case", CASES)
def test_each_state_fires_what_says_so_and_nothing_else(case, tmp_path):
    series, names = CASES[case]
    rules = prometheus_rules([Watched.here(RECORD, HERE)])
    in_promtool(tmp_path, rules, series, at="4m", step="5s", promql_expr_test=firing(*names))


def test_the_share_within_the_slo_is_exact_and_no_error_is_a_share_of_zero(tmp_path):
    rules = prometheus_rules([Watched.here(RECORD, HERE)])
    labels = '{model="ops-small",use_case="ops-assistant",version="1.0"}'
    recorded = {"ttft_attainment:ratio": 0.9, "errors:ratio": 0, "requests:rate": 12, "prompt_tokens:mean": 128}
    for name, value in recorded.items():
        expected = {"expr": f"assay:{name}", "exp_samples": [{"labels": f"assay:{name}{labels}", "value": value}]}
        in_promtool(tmp_path, rules, requests(HERE_LABELS, within=54), at="4m", step="5s", promql_expr_test=expected)


def test_an_alert_says_what_was_seen_what_may_be_and_which_record_says_so(tmp_path):
    rules = prometheus_rules([Watched.here(RECORD, HERE)])
    expected = {
        "exp_labels": Watched.here(RECORD).labels | {"severity": "warning", "action": "regression"},
        "exp_annotations": {"summary": "95% of TTFT lie within 550ms, the SLO is 100 ms", "record": RECORD.record_id},
    }
    in_promtool(
        tmp_path, rules, requests(HERE_LABELS, within=54), at="4m", step="5s",
        alert_rule_test={"alertname": "TTFTMissesSLO", "exp_alerts": [expected]},
    )  # fmt: skip


@pytest.mark.parametrize("prefix", ["vllm", "kserve_vllm"])
def test_on_a_cluster_the_same_rules_see_either_name_of_the_series(prefix, tmp_path):
    found = prometheus_rule(Watched.on_cluster(RECORD, "mine", "served", EARNEST), "mine")
    assert (found["kind"], found["metadata"]["namespace"]) == ("PrometheusRule", "mine")
    late = requests(CLUSTER_LABELS, prefix, within=540, of=600)
    in_promtool(tmp_path, found["spec"], late, at="40m", step="1m", promql_expr_test=firing("TTFTMissesSLO"))
    other = requests('namespace="theirs",model_name="served"', prefix, within=0, of=600)
    in_promtool(tmp_path, found["spec"], other, at="40m", step="1m", promql_expr_test=firing("EndpointGone"))


def test_the_command_writes_rules_for_a_project_and_a_dashboard_whose_questions_promql_understands(tmp_path):
    (tmp_path / "record.json").write_text(RECORD.model_dump_json())

    def command(what, *words):
        line = [sys.executable, "-m", "helpers.monitoring", what, str(tmp_path / "record.json"), *words]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    on_cluster = Watched.on_cluster(RECORD, "mine", "served")
    told = yaml.safe_load(command("rules", "--project", "mine", "--served", "served"))
    assert told == prometheus_rule(on_cluster, "mine")
    panels = json.loads(command("dashboard", "--project", "mine", "--served", "served"))["panels"]
    assert [panel["title"] for panel in panels] == [signal.title for signal in on_cluster.signals]
    lines = {target["legendFormat"]: target["expr"] for target in panels[0]["targets"]}
    assert (lines["SLO or limit"], lines["measured"]) == ("vector(0.1)", f"vector({on_cluster.signals[0].baseline})")
    asked = [{"record": "x:y", "expr": target["expr"]} for panel in panels for target in panel["targets"]]
    for number, each in enumerate(asked):
        each["labels"] = {"number": str(number)}
    (tmp_path / "asked.yml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": asked}]}))
    promtool("check", "rules", str(tmp_path / "asked.yml"))
