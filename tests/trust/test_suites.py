"""Code of a suite, its JavaScript and Python assertions: finds no secret, reaches the model only, changes nothing."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from helpers.evaluation.promptfoo import Settings, evaluate, tool
from helpers.runtime import sandbox
from helpers.runtime.workspace import ROOT
from tests.trust.test_strangers_code import FILES, SEARCH, SECRETS

pytestmark = [pytest.mark.load, pytest.mark.timeout(180)]
STAGE = """
import sys
from pathlib import Path
from helpers.artifacts import Endpoint
from helpers.evaluation.promptfoo import Settings, evaluate
folder = Path(sys.argv[1])
print(evaluate(Settings(name="application", config=Path(sys.argv[2]), time_limit=100), Endpoint.read(folder), folder).n)
"""
# Says in its reason, which the report keeps, what it can find and whom it can reach.
ATTACK = r"""
const fs = require('fs'), net = require('net'), path = require('path');
const PLACES = %(places)s, PORTS = %(ports)s, WRITES = %(writes)s, LEAVE = %(leave)s;
const mark = 'canary' + '-of-', found = [];
const look = (place, text) => {
  for (const part of text.split(mark).slice(1)) found.push(`FOUND ${place} ${part.slice(0, 24)}`);
};
const read = (file) => { try { look(file, fs.readFileSync(file, 'latin1')); } catch {} };
const walk = (folder) => {
  let inside = [];
  try { inside = fs.readdirSync(folder, { withFileTypes: true }); } catch { return; }
  for (const each of inside) {
    const full = path.join(folder, each.name);
    if (LEAVE.some((place) => full.startsWith(place))) continue;
    let about;
    try { about = fs.lstatSync(full); } catch { continue; }  // a device is mounted on what its folder calls a file
    if (about.isDirectory()) walk(full); else if (about.isFile() && about.size < 1 << 20) read(full);
  }
};
const connect = (host, port) => new Promise((done) => {
  const socket = net.connect({ host, port, timeout: 2000 });
  const end = (what) => { found.push(`${what} ${host}:${port}`); socket.destroy(); done(); };
  socket.on('connect', () => end('CONNECTED'));
  socket.on('error', () => end('REFUSED'));
  socket.on('timeout', () => end('SILENT'));
});
module.exports = async () => {
  look('environment', JSON.stringify(process.env));
  for (const pid of fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)))
    for (const what of ['environ', 'cmdline']) read(`/proc/${pid}/${what}`);
  PLACES.forEach(walk);
  for (const file of WRITES) try { fs.writeFileSync(file, 'changed'); } catch {}
  for (const [host, port] of PORTS) await connect(host, port);
  return { pass: true, score: 1, reason: ['SEARCHED', ...found].join('\n') };
};
"""
LIBRARIES = (f"{prefix}/lib" for prefix in {sys.prefix, sys.base_prefix})
LEAVE = ["/proc", "/sys", "/usr", "/lib", *LIBRARIES, str((ROOT / ".tools" / "promptfoo").resolve())]
PYTHON = """
import io, sys
sys.stderr = io.StringIO()
PLACES = %s
%s

def get_assert(output, context):
    return {"pass": True, "score": 1, "reason": sys.stderr.getvalue()}
"""


@pytest.fixture(params=["namespaces", "Landlock"])
def programs(request, tmp_path):
    """PATH as it is, and without `unshare`, as in a pod that may have no namespaces."""
    if request.param == "namespaces":
        assert shutil.which("unshare")
        return os.environ["PATH"]
    own = tmp_path / "programs"
    own.mkdir()
    (own / "node").symlink_to(shutil.which("node"))
    return f"{Path(sys.executable).parent}:{own}"


@pytest.fixture
def suite(tmp_path):
    """Write a suite with these files, of which the assertions are code; returns its configuration."""
    folder = tmp_path / "suite"

    def made(**files):
        folder.mkdir()
        for name, text in files.items():
            (folder / name.replace("_", ".")).write_text(text)
        kinds = {"js": "javascript", "py": "python"}
        code = [name.replace("_", ".") for name in files if name.rpartition("_")[2] in kinds]
        asserts = [{"type": kinds[name.rpartition(".")[2]], "value": f"file://{name}"} for name in code]
        about = {
            "prompts": ["{{q}}"],
            "providers": ["openai:gpt-4"],
            "tests": [{"vars": {"q": "a"}, "assert": asserts}],
        }
        (folder / "promptfooconfig.yaml").write_text(yaml.safe_dump(about))
        return folder / "promptfooconfig.yaml"

    made.folder = folder
    return made


def reasons(artifacts):
    """What each assertion said, in the order of the suite."""
    report = json.loads((artifacts / "application.promptfoo.json").read_text())
    return [each["reason"] for each in report["results"]["results"][0]["gradingResult"]["componentResults"]]


@pytest.fixture(autouse=True)
def installed():
    assert (ROOT / ".tools" / "promptfoo").exists(), "promptfoo is missing: run make .tools/promptfoo"
    tool.versions.cache_clear()


def test_nothing_is_found_by_assertions_that_search_everything(programs, server, endpoint, suite, tmp_path):
    server.key = "canary-of-ENDPOINT_API_KEY"
    server.chat = lambda body: {"content": "yes"}
    for name in FILES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"canary-of-{path.name}\n")
    places = ["/", str(tmp_path), str(suite.folder), "/run", "/var"]
    given = {"places": json.dumps(places), "ports": "[]", "writes": "[]", "leave": json.dumps(LEAVE)}
    config = suite(attack_js=ATTACK % given, attack_py=PYTHON % (places, SEARCH), control_txt="canary-of-control\n")
    artifacts = tmp_path / "artifacts"
    endpoint().write(artifacts)
    canaries = {name: f"canary-of-{name}" for name in (*SECRETS, "GRADER_API_KEY")}
    known = {"HOME": str(tmp_path / "home"), "ASSAY_HOME": str(tmp_path / "assay"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", STAGE, str(artifacts), str(config)],
        env=canaries | known | {"PATH": programs}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1:] == ["1"], done.stderr
    for said in reasons(artifacts):
        assert "SEARCHED" in said
        found = {line.partition(" b'")[0] for line in said.splitlines() if line.startswith("FOUND")}
        assert {line.split()[1] for line in found} == {str(suite.folder / "control.txt")}, said


@pytest.mark.parametrize("namespaces", [True, False])
def test_only_the_way_to_the_model_is_open_and_nothing_can_be_changed(
    namespaces, server, endpoint, suite, tmp_path, monkeypatch
):
    monkeypatch.setattr(sandbox, "available", lambda: namespaces)
    server.chat = lambda body: {"content": "yes"}
    mine = tmp_path / "mine.txt"
    mine.write_text("as it was")
    writes = [str(path) for path in (mine, suite.folder / "attack.js", ROOT / "helpers" / "x.py")]
    ports = [["127.0.0.1", int(server.url.rpartition(":")[2])], ["192.0.2.1", 443]]
    given = {"places": "[]", "ports": json.dumps(ports), "writes": json.dumps(writes), "leave": "[]"}
    config = suite(attack_js=ATTACK % given)
    before = (suite.folder / "attack.js").read_text()
    found = evaluate(Settings(name="application", config=config), endpoint(), tmp_path / "artifacts")
    assert found.correct == found.n == 1
    [said] = reasons(tmp_path / "artifacts")
    assert said.splitlines()[1:] == [f"REFUSED {host}:{port}" for host, port in ports]
    assert mine.read_text() == "as it was"
    assert (suite.folder / "attack.js").read_text() == before
    assert not (ROOT / "helpers" / "x.py").exists()
