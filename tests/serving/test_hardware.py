"""What this machine is: the cores that a container may use, not those of its node."""

from __future__ import annotations

import os

import pytest

from helpers.artifacts import Hardware
from helpers.runtime import memory
from helpers.serving import hardware
from helpers.serving.kserve.deploying import served_on
from helpers.serving.settings import Settings


@pytest.fixture
def limited(tmp_path, monkeypatch):
    """A container: 4 cores of the node may be used, and its control group says how much of them."""
    monkeypatch.setattr(memory, "GROUP", tmp_path)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3})

    def limit(**files: str) -> Hardware:
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text + "\n")
        return hardware.this_machine()

    return limit


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({"cpu.max": "50000 100000"}, 0.5),
        ({"cpu.max": "200000 100000"}, 2),
        ({"cpu.max": "max 100000"}, 4),
        ({"cpu.max": "800000 100000"}, 4),
        ({"cpu/cpu.cfs_quota_us": "25000", "cpu/cpu.cfs_period_us": "100000"}, 0.25),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 4),
        ({}, 4),
    ],
)
def test_the_containers_limit_counts_where_it_is_less_than_the_node(limited, files, cores):
    assert limited(**files).count == cores


def test_so_does_its_memory(limited):
    assert limited(**{"memory.max": str(3 << 29)}).memory_gib == 1.5


@pytest.mark.parametrize(("asked", "cores"), [("500m", 0.5), ("4", 4), ("4000m", 4), ("1100m", 1.1)])
def test_a_server_on_the_cpu_has_what_its_pod_has(asked, cores):
    found = served_on(None, [], Settings(target="kserve", resources=f"cpu:{asked},memory:2Gi"))
    assert (found.type, found.count) == ("CPU", cores)
    assert Hardware.model_validate_json(found.model_dump_json()) == found
    assert isinstance(found.count, int) == isinstance(cores, int), "whole cores are written as they always were"


@pytest.mark.parametrize(
    ("line", "known"),
    [
        ("flags\t\t: fpu avx2 avx512f avx512_bf16", True),
        ("Features\t: fp asimd bf16", True),
        ("flags\t\t: fpu avx2 avx512f", False),
        ("model name\t: bf16", False),
    ],
)
def test_a_cpu_says_whether_it_computes_in_bfloat16(line, known, tmp_path, monkeypatch):
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    monkeypatch.setattr(hardware, "CPU", tmp_path / "cpuinfo")
    assert hardware.has_bfloat16() == known
