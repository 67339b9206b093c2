"""What a node finds in its image: the environment is built from the image's lock alone."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from functools import cache

import nbformat
import pytest
from elyra.kfp import bootstrapper

from helpers.runtime.workspace import ROOT
from tests.conftest import pipeline_files
from tests.images.test_locks import packages
from tests.plugins.containerfiles import IMAGES, SOURCES

pytestmark = pytest.mark.load
every_image = pytest.mark.parametrize("name", IMAGES)
# Function-level imports of stages that run elsewhere: joining and comparing records needs no task and no prompt.
SAMPLES = {"gguf", "safetensors.torch", "torch", "transformers"}  # sample models are made on laptops only
LM_EVAL = {"lm_eval.tasks", "lm_eval.api.instance", "lm_eval.api.registry"}
NOT_IN = {
    "stage": {*LM_EVAL, "tokenizers"} | SAMPLES,
    "guidellm": {*LM_EVAL, "gguf"},
    "lm-eval": {"gguf", "kfp_server_api"},  # whose errors only a workbench sees; watch_endpoint asks by httpx
    "garak": {*LM_EVAL, "gguf"},
    "promptfoo": {*LM_EVAL, "tokenizers"} | SAMPLES,
    "train": {*LM_EVAL, "gguf"},
}


def stages():
    """Every notebook with the image in which the pipelines run it."""
    found = set()
    for path in pipeline_files():
        for node in json.loads(path.read_text())["pipelines"][0]["nodes"]:
            parameters = node["app_data"]["component_parameters"]
            image = parameters["runtime_image"].rpartition("/")[2].partition(":")[0]
            found.add(((path.parent / parameters["filename"]).resolve(), image))
    return sorted(found)


every_stage = pytest.mark.parametrize(("notebook", "name"), stages(), ids=lambda value: getattr(value, "stem", value))


def run(image, folder, *command):
    """Run a command of the image in an empty folder, as its pod would: nothing of this process's environment."""
    folder.mkdir(exist_ok=True)
    environment = image.environment_in(folder) | {"LANG": "C.UTF-8"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def code(notebook):
    cells = nbformat.read(notebook, as_version=4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def imports(source, package=""):
    """The modules that a piece of Python imports when it runs, inside functions too."""
    tree = ast.parse(source)
    tree.body = [
        node for node in tree.body if not (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test))
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = f"{package}.{node.module}" if node.level else node.module  # a face names its modules this way
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names if file_of(module))


@cache
def file_of(module):
    place = ROOT.joinpath(*module.split("."))
    places = (place / "__init__.pyi", place / "__init__.py", place.with_suffix(".py"))
    return next((path for path in places if path.is_file()), None)


def reachable(source):
    """What the import statements reach through helpers: the modules of other packages."""
    todo, seen, others = list(imports(source)), set(), set()
    while todo:
        module = todo.pop()
        parts = module.split(".")
        if parts[0] != "helpers":
            others.add(module)
            continue
        for name in {".".join(parts[:length]) for length in range(1, len(parts) + 1)} - seen:
            seen.add(name)
            if path := file_of(name):
                todo += imports(path.read_text(), name)
    return {module for module in others if module.partition(".")[0] not in sys.stdlib_module_names}


def missing(image, folder, modules):
    script = (
        "import importlib, sys\nfor name in sys.argv[1:]:\n    try: importlib.import_module(name)\n"
        "    except ModuleNotFoundError: print(name)"
    )
    return set(run(image, folder, image.python, "-c", script, *sorted(modules)).split())


@every_image
def test_it_holds_the_lock_and_helpers_and_nothing_else(image_environment, name, tmp_path):
    image = image_environment(name)
    listed = json.loads(run(image, tmp_path, image.python, "-m", "pip", "list", "--format", "json"))
    locked = {package: version for package, (version, _) in packages(SOURCES / name / "requirements.txt").items()}
    found = {item["name"].lower().replace("_", "-").replace(".", "-"): item["version"] for item in listed}
    assert found.pop("assay-helpers") == "0.1.0"
    assert found == {package.replace(".", "-"): version for package, version in locked.items()}
    assert "No broken requirements" in run(image, tmp_path, image.python, "-m", "pip", "check")
    frozen = run(image, tmp_path, image.python, "-m", "pip", "freeze", "--all").splitlines()
    assert not [line for line in frozen if "==" not in line], "a name and a version, no file of the build"
    where = run(image, tmp_path, image.python, "-c", "import helpers; print(helpers.__file__)")
    assert where.startswith(str(image.root))


@every_image
def test_the_command_of_a_node_finds_all_it_asks_for(image_environment, name, tmp_path):
    image = image_environment(name)
    # What Elyra's compiled component does before it starts the bootstrapper.
    base = image.utils
    steps = (
        "mkdir -p ./jupyter-work-dir && cd ./jupyter-work-dir",
        f"[[ -e '{base}/bootstrapper.py' ]] && cp '{base}/bootstrapper.py' .",
        f"[[ -e '{base}/requirements-elyra.txt' ]] && cp '{base}/requirements-elyra.txt' .",
        "python3 -m pip install  packaging && python3 -m pip freeze > requirements-current.txt",
    )
    run(image, tmp_path, "bash", "-c", "\n".join(steps))
    read = "".join((base / file).read_text() for file in ("bootstrapper.py", "elyra_bootstrapper.py"))
    needed = {name for name in imports(read) if name not in sys.stdlib_module_names} - {"elyra_bootstrapper"}
    assert {"helpers.pipelines.pod", "minio", "papermill", "nbconvert"} <= needed
    assert not missing(image, tmp_path, needed)


@every_image
def test_the_bootstrapper_finds_elyras_beside_it(image_environment, name, tmp_path):
    image = image_environment(name)
    with open(bootstrapper.__file__, "rb") as pinned:
        assert (image.utils / "elyra_bootstrapper.py").read_bytes() == pinned.read()
    (tmp_path / "pod").mkdir()
    shutil.copy(image.utils / "bootstrapper.py", tmp_path / "pod")  # Elyra's command copies this file alone
    script = "import bootstrapper, elyra_bootstrapper as elyra; print(elyra.NotebookFileOp.__mro__[1].__module__)"
    assert run(image, tmp_path / "pod", image.python, "-c", script).strip() == "helpers.pipelines.pod.files"


@every_image
def test_a_notebook_runs_with_the_images_own_kernel(image_environment, name, tmp_path):
    image = image_environment(name)
    cell = nbformat.v4.new_code_cell("import sys; print(sys.prefix)")
    about = {"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}}
    nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=about), tmp_path / "in.ipynb")
    run(image, tmp_path, image.python, "-m", "papermill", "in.ipynb", "out.ipynb", "--log-output")
    [done] = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells[-1:]
    assert done.outputs[0].text.strip() == str(image.root)


@every_stage
def test_a_stages_imports_work_in_its_image(image_environment, notebook, name, tmp_path):
    image = image_environment(name)
    statements = [line for line in code(notebook).splitlines() if line.startswith(("import ", "from "))]
    assert any("helpers" in line for line in statements)
    run(image, tmp_path, image.python, "-c", "\n".join(statements))


@pytest.mark.parametrize("name", sorted({image for _, image in stages()}))
def test_an_image_has_all_that_its_stages_may_import_later(image_environment, name, tmp_path):
    modules = set().union(*(reachable(code(notebook)) for notebook, image in stages() if image == name))
    assert len(modules) > 40
    assert missing(image_environment(name), tmp_path, modules) == NOT_IN[name]


@pytest.mark.parametrize(("name", "tool"), [("guidellm", "guidellm"), ("lm-eval", "lm_eval"), ("train", "trl")])
def test_the_tools_command_starts(image_environment, name, tool, tmp_path):
    image = image_environment(name)
    assert "usage" in run(image, tmp_path, image.bin / tool, "--help").lower()


def test_promptfoo_starts_with_the_node_of_the_base(image_environment, tmp_path):
    image = image_environment("promptfoo")
    script = "from helpers.evaluation.promptfoo.tool import versions; print(versions()['promptfoo'])"
    wanted = json.loads((SOURCES / "promptfoo" / "package.json").read_text())["dependencies"]["promptfoo"]
    assert run(image, tmp_path, image.python, "-c", script).strip() == wanted
