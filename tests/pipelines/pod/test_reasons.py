"""The line that a failed node leaves behind."""

from __future__ import annotations

import pytest
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError

from helpers import errors
from helpers.pipelines.pod.reasons import LONGEST, Reason, RefusedBefore, reason
from helpers.runtime import memory


def raised(ename, evalue):
    return PapermillExecutionError(3, 3, "source", ename, evalue, ["Traceback"])


def test_it_is_what_the_notebook_raised_on_one_line():
    why = reason(raised("NotSchedulable", "No node has a GPU.\nAsk for one."), "deploy_model")
    assert why == Reason("NotSchedulable: No node has a GPU. Ask for one.")


def test_what_went_wrong_on_the_way_out_does_not_hide_it():
    away = errors.StoreUnreachable("The store does not answer", do="Start it")
    away.__context__ = raised("GateFailed", "Worse. Keep the baseline.")  # raised while that was handled, as in Elyra
    assert reason(away, "regression_gate") == Reason("GateFailed: Worse. Keep the baseline.", refused=True)


DECIDED = (
    "GateFailed", "GateInconclusive", "InvalidInput", "InvalidParameter", "NotApproved", "RefusedModel", "OtherRun",
    "IncompleteCoverage", "DigestMismatch", "SignatureInvalid",
)  # fmt: skip


@pytest.mark.parametrize("name", DECIDED)
def test_a_decision_of_the_stage_is_told_from_a_fault(name):
    assert reason(raised(name, "It does not."), "node").refused


@pytest.mark.parametrize("name", ["StoreUnreachable", "NotSchedulable", "SweepFailed", "KeyError", "AssayError"])
def test_a_fault_may_pass_when_the_node_is_tried_again(name):
    assert not reason(raised(name, "It does not."), "node").refused


def test_what_elyra_or_the_store_ended_in_is_told_too():
    away = errors.StoreUnreachable("The store does not answer", do="Start it")
    away.__cause__ = ConnectionError("reset")
    assert reason(away, "node").line == "StoreUnreachable: The store does not answer. Start it."
    assert reason(ValueError("no kernel\nhere"), "node") == Reason("ValueError: no kernel here")


def test_nobody_is_told_to_run_a_stage_alone_in_a_pod(monkeypatch):
    monkeypatch.setenv("ELYRA_RUNTIME_ENV", "kfp")
    for text in ("It is down. Start it, then run this stage again.", "It did not settle. Run this stage again."):
        line = reason(raised("StoreFailed", text), "node").line
        assert "retry the run" in line.lower()
        assert "this stage" not in line


def test_an_earlier_refusal_is_repeated_word_by_word():
    before = Reason("GateFailed: Worse. Keep the baseline.", refused=True)
    assert reason(RefusedBefore(before), "node") == before


def test_a_kernel_that_is_gone_was_most_likely_killed_for_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    (tmp_path / "memory.max").write_text("471859200\n")
    why = reason(DeadKernelError("Kernel died"), "guidellm_sweep")
    assert not why.refused
    for words in ("StageFailed: ", "guidellm_sweep was killed, most likely for", "memory", "450 MiB", "more memory"):
        assert words in why.line


def test_a_long_reason_leaves_room_for_the_server():
    told = Reason("SweepFailed: " + "x" * 3000).told("No server of this run stands.")
    assert len(told) == LONGEST
    assert told.endswith("… No server of this run stands.")
