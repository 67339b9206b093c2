"""The rules of the house: rooms in order, no loose modules, settings that load little."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from helpers.runtime.workspace import ROOT

HELPERS = ROOT / "helpers"
# From the ground up: a room imports only from itself and from rooms before it.
ROOMS = (
    "errors", "artifacts", "runtime", "storage", "statistics", "cluster", "datasets", "registry", "ingestion",
    "serving", "load_test", "evaluation", "records", "analysis", "reporting", "tuning", "monitoring",
    "pipelines", "local",
)  # fmt: skip
MOST_MODULES = 15  # that importing one room's settings may load


def imported(text):
    """Yield every module and name of helpers that a text imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "helpers":
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("helpers."))


def test_a_room_imports_only_from_rooms_below():
    upwards = [
        f"{path.relative_to(ROOT)} imports {name}"
        for place, room in enumerate(ROOMS)
        for path in [*HELPERS.glob(f"{room}.py"), *HELPERS.glob(f"{room}/**/*.py")]
        if path != HELPERS / room / "__main__.py"  # a command stands before the house: nobody imports it
        for name in imported(path.read_text())
        if ROOMS.index(name.split(".")[1]) > place
    ]
    assert not upwards


def test_every_module_stands_in_a_room():
    found = {path.stem for path in HELPERS.iterdir() if path.suffix == ".py" or (path / "__init__.py").is_file()}
    assert found == {"__init__", *ROOMS}


SETTINGS = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts) for path in HELPERS.rglob("*settings*.py") if path.is_file()
)


@pytest.mark.parametrize("module", SETTINGS)
def test_settings_load_little(module):
    script = f"import sys, {module}; print(*(name for name in sys.modules if name.startswith('helpers')), sep='\\n')"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) < MOST_MODULES, done.stdout
