"""A copy of the workspace whose stages are cheap: each is one cell that a test writes."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest

from helpers.runtime.workspace import ROOT

KERNEL = {"name": "python3", "language": "python", "display_name": "Python 3"}
STAGES = ("guidellm_sweep", "lm_eval_task", "log_results")
MARK = "import os\nfrom pathlib import Path\nPath('{0}.ran').open('a').write(os.environ['ELYRA_RUN_NAME'] + '\\n')\n"


class Workspace:
    """Runs `make pipeline PIPELINE=model-ops` on cheap notebooks; `ran` says under which run each stage began."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("helpers", "pipelines", "datasets"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        links = shutil.ignore_patterns("*.ipynb", "artifacts", "images")
        shutil.copytree(ROOT / "notebooks", root / "notebooks", symlinks=True, ignore=links)
        for stage in STAGES:
            self.stage(stage)
        file = root / "pipelines" / "model-ops.pipeline"
        content = json.loads(file.read_text())
        first, *_ = nodes = [node for node in content["pipelines"][0]["nodes"] if node["app_data"]["label"] in STAGES]
        del first["inputs"][0]["links"]
        for before, node in itertools.pairwise(nodes):
            node["inputs"][0]["links"][0]["node_id_ref"] = before["id"]
        content["pipelines"][0]["nodes"] = nodes
        file.write_text(json.dumps(content))

    def stage(self, name: str, cell: str = "") -> None:
        """Let a stage be this cell."""
        about = nbformat.v4.new_markdown_cell(f"# {name}\n\n> Does it.")
        cells = [about, nbformat.v4.new_code_cell(MARK.format(name) + cell)]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
        nbformat.write(notebook, self.root / "notebooks" / f"{name}.ipynb")

    def start(self, *words: str) -> subprocess.Popen:
        """Start the run in a process group of its own, as a shell does for a terminal."""
        command = [sys.executable, "-m", "helpers.local.run_pipeline", "model-ops", "SOURCE=sample://x", *words]
        environment = os.environ | {"PYTHONPATH": str(self.root), "ASSAY_HOME": str(self.root / "home")}
        return subprocess.Popen(
            command, cwd=self.root, env=environment, start_new_session=True, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    @property
    def runs(self) -> list[Path]:
        """The folders of its runs, the oldest first."""
        return sorted(path for path in (self.root / "runs").glob("*") if not path.is_symlink())

    def ran(self, folder: Path, stage: str) -> list[str]:
        """Return the run's id for each time that the stage began."""
        file = folder / "notebooks" / f"{stage}.ran"
        return file.read_text().split() if file.is_file() else []

    def processes(self) -> list[str]:
        """Return the command of everything that works for it, but for the registry."""
        found = []
        for process in psutil.process_iter(["environ", "cmdline", "status"]):
            ours = (process.info["environ"] or {}).get("ASSAY_HOME") == str(self.root / "home")
            command = " ".join(process.info["cmdline"] or ())
            if ours and "helpers.local.registry" not in command and process.info["status"] != psutil.STATUS_ZOMBIE:
                found.append(command)
        return found


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    """A workspace of the test's own; its registry is ended."""
    from helpers.local import stack

    made = Workspace(tmp_path / "workspace")
    monkeypatch.setenv("ASSAY_HOME", str(made.root / "home"))
    yield made
    stack.down()
