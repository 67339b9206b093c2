"""A stage that nobody asked for leaves files that no reader takes for a measurement."""

from __future__ import annotations

import pytest

from helpers.artifacts import NotMeasured, measurements_in, read_measurements
from helpers.errors import ArtifactMissing


def test_its_outputs_are_there_and_hold_no_measurement(tmp_path):
    left = NotMeasured(name="tools", why="the use case names none", empty=("tools.samples.jsonl",))
    left.write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"tools.json", "tools.samples.jsonl"}
    assert measurements_in(tmp_path) == {}
    with pytest.raises(ArtifactMissing):
        read_measurements(tmp_path)
