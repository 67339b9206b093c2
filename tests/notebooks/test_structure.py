"""Every notebook has the same skeleton, so that the next one cannot drift."""

from __future__ import annotations

import ast
import itertools
import re
import statistics

import nbformat
import papermill
import pytest
from elyra.contents.parser import ContentParser

from helpers.reporting.page.sections import PARTS
from helpers.runtime.workspace import ROOT
from tests.conftest import notebook_files

KNOB = re.compile(
    r"""^(?P<name>[a-z][a-z0-9_]*):\ (?P<type>str|int|float|bool)\ =\ (?:
        os\.getenv\("[A-Z0-9_]+",\ "[^"=]*"\)
      | (?:int|float)\(os\.getenv\("[A-Z0-9_]+",\ "[0-9.]+"\)\)
      | os\.getenv\("[A-Z0-9_]+",\ "(?:true|false)"\)\.lower\(\)\ in\ \("true",\ "1"\)
    )\ \ \#\ \S.*$""",
    re.VERBOSE,
)

every_notebook = pytest.mark.parametrize("path", notebook_files(), ids=lambda path: path.stem)


def cells(path, kind):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def parameters_cell(path):
    tagged = [cell for cell in cells(path, "code") if "parameters" in cell.metadata.get("tags", [])]
    assert len(tagged) == 1, "exactly one cell is tagged `parameters`"
    return tagged[0]


def knobs(path):
    lines = [line for line in parameters_cell(path).source.splitlines() if line.strip()]
    assert lines[0] == "import os"
    return lines[1:]


def test_there_are_these_notebooks():
    assert {path.stem for path in notebook_files()} == {
        *("ingest_model", "registry_lookup", "deploy_model", "guidellm_sweep"),
        *("lm_eval_task", "structured_output", "tool_calling", "safety_scan"),
        *("log_results", "remove_deployment", "compare_models", "regression_gate"),
        *("promptfoo_suite", "explore_dataset", "finetune_model", "watch_endpoint"),
    }


@every_notebook
def test_first_cell_says_what_it_is_reads_writes_and_needs(path):
    first = nbformat.read(path, as_version=4).cells[0]
    title, _, subtitle, *rest = first.source.splitlines()
    assert first.cell_type == "markdown"
    assert title.startswith("# ")
    assert subtitle.startswith("> ")
    assert subtitle.endswith(".")
    assert "| *Reads* | *Writes* | *Needs* |" in rest


@every_notebook
def test_each_parameter_is_one_typed_line_with_a_reason(path):
    for line in knobs(path):
        found = KNOB.match(line)
        assert found, line
        assert f'"{found["name"].upper()}"' in line, "the variable is the lower-case name of the environment variable"
        assert len(line) <= 120


@every_notebook
def test_papermill_elyra_and_the_environment_see_the_same_parameters(path):
    names = {KNOB.match(line)["name"] for line in knobs(path)}
    assert set(papermill.inspect_notebook(str(path))) == names
    assert set(ContentParser().parse(str(path))["env_vars"]) == {name.upper() for name in names}


@every_notebook
def test_no_notebook_names_a_secret(path):
    for line in knobs(path):
        assert not re.search(r"(?i)token\b|password|secret|api_?key", line.split("#")[0]), line


@every_notebook
def test_code_is_calls_not_programs(path):
    lengths = []
    for cell in cells(path, "code"):
        tree = ast.parse(cell.source)
        forbidden = (ast.FunctionDef, ast.ClassDef, ast.For, ast.While, ast.Try, ast.Lambda)
        assert not [node for node in ast.walk(tree) if isinstance(node, forbidden)], cell.source
        if "parameters" not in cell.metadata.get("tags", []):  # that one has a line for each knob
            lengths.append(len(cell.source.splitlines()))
    assert max(lengths) <= 20
    assert statistics.median(lengths) <= 5


@every_notebook
def test_about_half_is_prose_and_every_heading_is_a_sentence(path):
    prose = cells(path, "markdown")
    assert len(prose) / (len(prose) + len(cells(path, "code"))) >= 0.4
    for cell in prose[1:]:
        heading, _, text = cell.source.partition("\n")
        assert re.fullmatch(r"## [A-Z][^.]*", heading), heading
        assert text.strip().endswith("."), f"a sentence stands under {heading!r}"


@every_notebook
def test_nothing_that_ran_is_saved(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    assert not [cell for cell in notebook.cells if cell.get("outputs") or cell.get("execution_count")]
    assert "papermill" not in notebook.metadata
    assert notebook.metadata.kernelspec.language == "python"
    assert notebook.metadata.kernelspec.name == "python3"


def test_the_comparison_shows_the_parts_of_the_report_in_the_same_words():
    kept = nbformat.read(ROOT / "notebooks" / "compare_models.ipynb", as_version=4).cells
    shown = [(prose, code) for prose, code in itertools.pairwise(kept) if code.source.startswith("parts[")]
    found = {code.source: " ".join(prose.source.split()) for prose, code in shown if prose.cell_type == "markdown"}
    assert found == {f'parts["{title}"]': f"## {title} {lead}" for title, (lead, _) in PARTS.items()}
    assert list(found) == [f'parts["{title}"]' for title in PARTS]
