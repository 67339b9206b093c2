"""Every attack of the corpus is refused, and for the reason that it is one."""

import ast
import importlib
import re
import shutil

import pytest

from helpers.ingestion.inspection import inspect
from helpers.ingestion.policy import load_policy
from helpers.runtime.workspace import ROOT
from tests.ingestion.attacks import all_attacks
from tests.ingestion.clean import CLEAN
from tests.plugins.models import POLICY

ATTACKS = all_attacks()
INSPECTORS = [*(ROOT / "helpers/ingestion/inspection").glob("*.py"), ROOT / "helpers/ingestion/archives.py"]
NO_VERDICT = {"unreadable"}  # ends the inspection: nobody may be told that such a model is clean or refused


def rules_in_use():
    """Every rule that a module gives to a finding, as a literal or as a constant of the module."""
    for path in INSPECTORS:
        module = importlib.import_module(
            ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        )
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Finding", "Problem"):
                rule = node.args[0 if ast.unparse(node.func) == "Problem" else 1]
                if isinstance(rule, ast.Constant):
                    yield rule.value
                elif isinstance(rule, ast.Name) and hasattr(module, rule.id):
                    yield getattr(module, rule.id)


@pytest.fixture(scope="module")
def clean(tmp_path_factory):
    """A clean model folder with one safetensors file, which no test changes."""
    return CLEAN["single"](tmp_path_factory.mktemp("clean") / "model")


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_an_attack_is_refused_for_its_reason(attack, clean, tmp_path):
    folder = tmp_path / "model"
    shutil.copytree(clean, folder)
    spoiled = attack.spoil(folder) or folder
    inspection = inspect(spoiled, load_policy(POLICY))
    assert inspection.refused
    found = [finding for finding in inspection.findings if finding.rule == attack.rule and finding.severity != "low"]
    assert any(re.search(attack.says, finding.problem) for finding in found), inspection.findings
    assert all(finding.do and finding.file for finding in inspection.findings)
    assert inspection.model_dump_json()  # whatever its names hold


def test_the_corpus_is_large_and_each_attack_has_its_own_name():
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 40


def test_every_rule_has_an_attack():
    assert set(rules_in_use()) - NO_VERDICT <= {attack.rule for attack in ATTACKS}
