"""Values from the eleventh on reach a node that Elyra compiled, whatever became of the shell that started it."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from helpers.errors import StageFailed
from helpers.pipelines.pod.running import lost_values
from helpers.runtime.workspace import ROOT

NAMES = [f"VALUE_{number}" for number in range(13)]
GIVEN = ["auto", "a value; with 'signs'", *(f"value {number}" for number in range(2, 13))]
ASK = "import json; from helpers.pipelines.pod.running import lost_values; print(json.dumps(lost_values()))"
LOST = dict(list(zip(NAMES, GIVEN, strict=True))[10:])


def script(last):
    """The command of a node as Elyra writes it: what it runs comes last, in a shell of its own."""
    return "".join(f'{name}="${number}"\n' for number, name in enumerate(NAMES)) + last + "\n"


def said(command):
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


INNER = f"""sh -c "true && {sys.executable} -c '{ASK}'" """


def test_the_values_are_read_from_the_shell_that_lost_them():
    assert said(["dash", "-c", script(INNER), *GIVEN]) == LOST


def test_the_launchers_values_are_taken_where_the_shell_made_way():
    """As bash does for the last of its commands; it is the `sh` of the images' base."""
    launcher = """
import subprocess, sys
at = sys.argv.index("--")
values = sys.argv[1:at][-13:]
sys.exit(subprocess.run(sys.argv[at + 1:-13] + values).returncode)
"""
    inputs = {name.lower(): value for name, value in zip(NAMES, GIVEN, strict=True)}
    shown = ["--executor_input", json.dumps({"inputs": {"parameterValues": inputs}}), *GIVEN, "--"]
    placeholders = [f"{{{{$.inputs.parameters['{name.lower()}']}}}}" for name in NAMES]
    command = ["bash", "-c", script(INNER), *placeholders]
    assert said([sys.executable, "-c", launcher, *shown, *command]) == LOST


def test_ten_values_and_a_repaired_command_lose_nothing():
    assert lost_values([["sh", "-c", 'A="$9"\n', *GIVEN], ["sh", "-c", 'A="${10}"\n', *GIVEN]]) == {}


def test_a_value_that_nobody_can_say_ends_the_node():
    with pytest.raises(StageFailed, match="VALUE_10"):
        lost_values([["launch", "--", "sh", "-c", 'VALUE_10="$10"\n', *["{{$.inputs.parameters['value']}}"] * 11]])
