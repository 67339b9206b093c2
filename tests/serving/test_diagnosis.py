"""Logs of servers that did not come up: lines as vLLM prints them, for what cannot be caused on this machine."""

import pytest

from helpers import errors
from helpers.serving.diagnosis import cause_of, explain


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


CORE = "(EngineCore_0 pid=123) ERROR 11-28 20:24:15 [core.py:500] "


@pytest.mark.parametrize(
    ("log", "error"),
    [
        ("WARNING 11-28 20:24:15 [x.py:1] Failed to import: No module named 'vllm._C'\nValueError: odd", None),
        ("If you are running out of memory, consider decreasing gpu_memory_utilization\nValueError: odd", None),
        ("WARNING 11-28 20:24:15 [config.py:9] max_model_len (9) is larger than max_position_embeddings\nodd", None),
        ("INFO 11-28 20:24:15 [x.py:1] rope: max_model_len is greater than 4096, out of memory is possible\nodd", None),
        ("x.py:3: FutureWarning: Cannot load the old format", None),
        ('  File "x.py", line 3, in f\n    raise OutOfMemoryError(\nValueError: odd', None),
        (f"{CORE}ValueError: Model architectures ['Odd'] are not supported for now.\n{CORE}"
         "torch.OutOfMemoryError: CUDA out of memory.\nRuntimeError: Engine core initialization failed.",
         errors.OutOfMemory),
        ("torch.OutOfMemoryError: CUDA out of memory; a smaller graph is tried\n"
         "ValueError: Model architectures ['Odd'] are not supported for now.", errors.ModelNotLoaded),
        ("pydantic_core.ValidationError: 1 validation error for ModelConfig\n"
         "  Value error, User-specified max_model_len (9) is greater than the derived max_model_len",
         errors.InvalidDeployment),
    ],
)  # fmt: skip
def test_the_last_error_counts_and_what_is_no_error_names_no_cause(log, error):
    cause = cause_of(log)
    assert (cause and cause.error) is error
