"""Logs of servers that did not come up: lines as vLLM prints them, for what cannot be caused on this machine."""

import pytest

from helpers.serving.diagnosis import explain


@pytest.mark.parametrize(
    ("line", "code", "cause"),
    [
        ("OSError: [Errno 98] Address already in use", 1, "its port is taken"),
        ("", -4, "lacks an instruction set"),
        ("", 132, "lacks an instruction set"),
        ("", 137, "killed, most likely because memory ran out"),
        ("RuntimeError: DefaultCPUAllocator: can't allocate memory: out of memory", 1, "memory is short"),
        ("ValueError: Available memory on node 0 (5/19 GiB) is less than requested memory", 1, "memory is"),
        ("ValueError: Model architectures ['OddModel'] are not supported for now.", 1, "architecture"),
        ("User-specified max_model_len (9) is greater than the derived max_model_len", 1, "MAX_MODEL_LEN is larger"),
        ("api_server.py: error: unrecognized arguments: --odd", 2, "vLLM refused an argument"),
        ("ModuleNotFoundError: No module named 'vllm'", 1, "the serving environment is not complete"),
        ("", 124, "its lifetime was over before it was ready"),
        ("", None, "it was not ready in time"),
        ("something else", 3, "it ended with exit code 3"),
    ],
)
def test_the_likely_reason_and_the_last_lines_are_told(tmp_path, line, code, cause):
    log = tmp_path / "vllm.log"
    log.write_text(f"{line}\n")
    error = explain(log, code, "tiny 1")
    assert cause in str(error)
    assert str(log) in str(error)
    assert line in error.__notes__[0]
