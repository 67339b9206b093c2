"""The command `python -m helpers.registry`, against a registry of its own."""

from __future__ import annotations

import pytest

from helpers.registry import connect
from helpers.registry.__main__ import main


@pytest.fixture
def registry(registry_server):
    return connect("local")


@pytest.fixture
def run(registry, tmp_path, monkeypatch, capsys):
    """Run the command with these words; returns its exit code and what it said."""

    def run(*words):
        places = ["--registry", registry.address, "--runs", str(tmp_path / "runs")]
        monkeypatch.setattr("sys.argv", ["helpers.registry", words[0], *places, *words[1:]])
        code = main()
        return code, capsys.readouterr()

    return run
