"""A user's own data: what parameters name on this machine, checked here, and brought to where the notebooks run.

Beside the notebooks, files of `datasets/` keep their names; what lies elsewhere goes into `given/`. With a use case
goes all that its file names, and all that its tasks name.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path

from helpers import datasets
from helpers.artifacts import FOLDER
from helpers.datasets.arrival import (
    GIT,
    LABEL,
    PACKED,
    USE_CASES,
    bounded,
    fetch,
    given,
    located,
    pack,
    place,
    remote,
)  # fmt: skip
from helpers.datasets.criteria import load_criteria
from helpers.datasets.stated import find_use_case
from helpers.datasets.use_case import FILE, UseCase, confined, load_use_case
from helpers.errors import AssayError, Forbidden, InvalidInput, InvalidParameter, StoreFailed, StoreUnreachable
from helpers.evaluation import evaluator
from helpers.pipelines.definition import Pipeline
from helpers.runtime.parameters import AUTO
from helpers.runtime.workspace import ROOT, home
from helpers.runtime.yaml_files import line_of
from helpers.storage import check_form

NOTEBOOKS = ROOT / "notebooks"
PATTERN = re.compile(r"[\[\]*?]")  # Elyra takes these for a pattern
NOTHING = ("", AUTO, "none")
CANVAS = (
    "Add the file to the File Dependencies of this node, or submit with `make submit`, which does so, or upload the "
    "data and name them as s3://bucket/key"
)


@dataclass
class Data:
    """The values with names that hold beside the notebooks, and each parameter's files by these names."""

    values: dict[str, str]
    files: dict[str, dict[str, Path]] = field(default_factory=dict)
    patterns: dict[str, list[str]] = field(default_factory=dict)  # a parameter's files, as Elyra's dependencies
    notes: list[str] = field(default_factory=list)
    renamed: set[str] = field(default_factory=set)

    def of(self, given: Iterable[str]) -> dict[str, str]:
        """Return the values of these parameters, and of those whose data are called otherwise beside the notebooks."""
        return {name: value for name, value in self.values.items() if name in given or name in self.renamed}

    def rename(self, name: str, value: str) -> None:
        """Let a parameter name its data as they are called beside the notebooks."""
        if self.values[name] != value:
            self.values[name] = value
            self.renamed.add(name)

    def copy(self, notebooks: Path) -> None:
        """Put all files beside the notebooks in this folder."""
        for files in self.files.values():
            for name, source in files.items():
                target = notebooks / name
                target.parent.mkdir(parents=True, exist_ok=True)
                if not (target.exists() and target.samefile(source)):
                    shutil.copyfile(source, target)

    @contextmanager
    def beside(self) -> Iterator[Path]:
        """Work in a folder in which the data lie as they will beside the notebooks."""
        with tempfile.TemporaryDirectory(prefix="assay-data-") as folder:
            self.copy(Path(folder))
            with chdir(folder):
                yield Path(folder)

    @contextmanager
    def workspace(self, pipeline: Pipeline) -> Iterator[tuple[Path, list[list[str]]]]:
        """Yield a folder that holds what the nodes get and nothing else, and the dependencies of each node."""
        dependencies = [self._dependencies(pipeline, number) for number in range(len(pipeline.nodes))]
        brought = {pattern for patterns in self.patterns.values() for pattern in patterns}
        with tempfile.TemporaryDirectory(prefix="assay-workspace-") as folder:
            notebooks = Path(folder, NOTEBOOKS.name)
            self.copy(notebooks)
            for node, own in zip(pipeline.nodes, dependencies, strict=True):
                here = (pipeline.file.parent / node["filename"]).resolve()
                for pattern in [here.name, *(name for name in own if name not in brought)]:
                    for file in filter(Path.is_file, here.parent.glob(pattern)):
                        target = notebooks / file.relative_to(here.parent)
                        target.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copyfile(file, target)
            yield Path(folder), dependencies

    def _dependencies(self, pipeline: Pipeline, number: int) -> list[str]:
        """Return a node's dependencies: its own, with what parameters name in place of what they name by default."""
        node = pipeline.nodes[number]
        handed_on = any(f"{FOLDER}/{PACKED}" in earlier["outputs"] for earlier in pipeline.nodes[:number])
        own, more = list(node["dependencies"]), []
        for name, patterns in self.patterns.items():
            shipped = place(name, pipeline.parameters.get(name, ""))
            below = [file for file in own if shipped and (file == shipped or file.startswith(f"{shipped}/"))]
            own = [file for file in own if file not in below]
            if below or (name in node["pipeline_parameters"] and not (handed_on and name in HANDED_ON)):
                more += patterns
        return _apart([*own, *more])


def gather(
    values: Mapping[str, str], faults: list[str], stages: Callable[[Data], Iterable[str]] = lambda data: ()
) -> Data:
    """Return what the parameters name, and add to `faults` all that is missing, too much or wrong in it.

    `stages` says what else is wrong; it is called where the data lie as they will beside the notebooks.
    """
    data, refused = Data(dict(values)), set[str]()
    for name in (name for name in CHECKS if values.get(name, AUTO) not in NOTHING):
        before = len(faults)
        with _told(name, faults):
            _add(data, name, values[name], faults)
        if len(faults) > before:
            refused.add(name)
            data.values.pop(name)
    with data.beside() as folder:
        found: list[str] = []
        here = replace(data, values=dict(data.values))
        found += _faults(here, _readable(here, found) - refused)
        found += stages(data)
        faults += _in_the_users_words(found, data, values, str(folder))
    return data


def hand_on(use_case: str, prompts: str, task: str, include_path: str, folder: Path = FOLDER) -> list[str]:
    """Check a use case's data before anything is deployed and pack them for the stages after this one.

    Returns what was filled in or left out. Raises InvalidParameter with all that is wrong.
    """
    values = {"USE_CASE": use_case, "PROMPTS": prompts, "TASK": task, "INCLUDE_PATH": include_path}
    data, faults = Data(values), list[str]()
    paths: dict[str, list[Path]] = {}
    for name in HANDED_ON:
        if values[name] not in NOTHING:
            with _told(name, faults):
                paths[name] = _arrived(data, name, values[name], folder)
    if not faults:
        arrived = {name for name, found in paths.items() if found}
        faults += _in_the_users_words(_faults(data, arrived), data, values)
    if not faults and not paths.get("USE_CASE") and task in NOTHING:
        faults.append(f"USE_CASE: there is no {place('USE_CASE', use_case)}/{FILE}, and TASK is not given ({CANVAS})")
    if faults:
        raise InvalidParameter("; ".join(faults), do="Correct what is named; nothing has been deployed")
    pack((path for each in paths.values() for path in each), folder)
    return data.notes


def _arrived(data: Data, name: str, value: str, folder: Path) -> list[Path]:
    """Return what a parameter names, once it lies beside the notebooks; [] for a use case that is only a name."""
    if name == "USE_CASE":
        found = find_use_case(value, folder)
        if found and found.criteria:
            load_criteria(found.folder / found.criteria).about(found.names)
        return [found.folder, *found.paths] if found else []
    data.values[name] = located(name, value, folder)
    _required(name, Path(data.values[name]), value, CANVAS)
    return [Path(data.values[name])]


def _in_the_users_words(faults: Iterable[str], data: Data, values: Mapping[str, str], folder: str = "") -> list[str]:
    """Return the faults with the user's own paths in place of those beside the notebooks."""
    own = {data.values[name]: values[name] for name in CHECKS if data.values.get(name, AUTO) not in NOTHING}
    own |= {target: str(source) for files in data.files.values() for target, source in files.items()}
    own |= {place(name, value): value for name, value in values.items() if remote(value)}
    return [_replaced(fault.replace(f"{folder}/", "") if folder else fault, own) for fault in faults]


def _replaced(text: str, names: Mapping[str, str]) -> str:
    found = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])({found})(?![\w-])", lambda match: names[match[1]], text) if found else text


def _add(data: Data, name: str, value: str, faults: list[str]) -> None:
    """Note where a parameter's files are and what they will be called."""
    if value.startswith("s3://"):
        check_form(value)
        data.values[name] = value
        return
    if name == "USE_CASE":
        _add_use_case(data, value, faults)
        return
    source = source_of(value)
    _required(name, source, value, "Name one from where you stand, or with its whole path")
    known = source.resolve().relative_to(ROOT) if source.resolve().is_relative_to(ROOT / "datasets") else None
    beside = value if (NOTEBOOKS / value).exists() and not Path(value).is_absolute() and ".." not in value else ""
    target = str(known or "") or beside or given(name, source.name)
    if PATTERN.search(target):
        target = given(name, PATTERN.sub("_", source.name))
    data.rename(name, target)
    data.patterns[name] = [f"{target}/*" if source.is_dir() else target]
    data.files[name] = _named(source, source, target)
    if name == "INCLUDE_PATH":
        _widen(data, source, faults)


def _widen(data: Data, source: Path, faults: list[str]) -> None:
    """Take along what the task's YAML names outside the include path, below the folder that holds both."""
    with _told("TASK", faults):
        named = _task_files(data.values.get("TASK", ""), source.resolve())
        outside = [file for file in named if not file.resolve().is_relative_to(source.resolve())]
        if not outside:
            return
        root = Path(os.path.commonpath([source.resolve(), *(file.resolve() for file in outside)]))
        target = given("INCLUDE_PATH", PATTERN.sub("_", root.name) or "root")
        files = _named(source.resolve(), root, target)
        for file in outside:
            files |= _named(file.resolve(), root, target)
        data.files["INCLUDE_PATH"], data.patterns["INCLUDE_PATH"] = files, [f"{target}/*"]
        data.rename("INCLUDE_PATH", str(Path(target, source.resolve().relative_to(root))))


def _add_use_case(data: Data, value: str, faults: list[str]) -> None:
    """Take along a use case's folder with all that its file and its tasks name; a mere name brings nothing."""
    source = use_case_folder(value)
    if source is None:
        return
    use_case = load_use_case(source)
    named = [source, *use_case.paths]
    for name, each in use_case.evaluations.items():
        with _told(f"USE_CASE: evaluations.{name}", faults):
            said = use_case.evaluation(name)
            named += _task_files(said["task"], Path(said["include_path"])) if each.evaluator == "lm_eval" else []
    if remote(value):
        confined(source, named)
    named = [path.resolve() for path in named]
    alone = [
        path for path in dict.fromkeys(named) if not any(path != each and path.is_relative_to(each) for each in named)
    ]
    datasets_here = ROOT / USE_CASES
    if all(path.is_relative_to(datasets_here) for path in alone):
        root, target = ROOT, ""
    else:
        root = alone[0] if len(alone) == 1 else Path(os.path.commonpath(alone))
        target = given("USE_CASE", PATTERN.sub("_", root.name) or "root")
    whole = {str(Path(target, path.relative_to(root))): path for path in alone}
    data.patterns["USE_CASE"] = [f"{name}/*" if path.is_dir() else name for name, path in whole.items()]
    data.files["USE_CASE"] = {name: path for each in alone for name, path in _named(each, root, target).items()}
    placed = str(Path(target, source.resolve().relative_to(root)))
    if remote(value) or place("USE_CASE", value) != placed:  # what names a commit does not travel through a shell
        data.rename("USE_CASE", placed)


def use_case_folder(value: str) -> Path | None:
    """Return the folder of a use case on this machine, fetched where a commit is named; None for a name alone.

    Raises InvalidInput where a path leads nowhere, and what `fetch` raises.
    """
    if GIT.fullmatch(value) or value.startswith("git+"):
        found = home() / place("USE_CASE", value)
        if not (found / FILE).is_file():
            fetch(value, found)
    else:
        found = source_of(place("USE_CASE", value))
    if (found / FILE).is_file():
        return found
    if LABEL.fullmatch(value):
        return None
    raise InvalidInput(
        f"there is no {FILE} in {value}", do="Name a folder that has one, or make it: make use-case NAME=…"
    )


def _apart(patterns: Iterable[str]) -> list[str]:
    """Return the patterns without those that another one covers: Elyra misses a file that was named before."""
    found = list(dict.fromkeys(patterns))
    folders = [pattern for pattern in found if pattern.endswith("/*")]
    return [name for name in found if not any(name != folder and fnmatchcase(name, folder) for folder in folders)]


def _named(source: Path, root: Path, target: str) -> dict[str, Path]:
    return {str(Path(target, file.relative_to(root))): file for file in bounded(source)}


def _required(name: str, source: Path, value: str, do: str) -> None:
    kind = "folder" if name == "INCLUDE_PATH" else "file"
    if not (source.is_dir() if kind == "folder" else source.is_file()):
        raise InvalidInput(f"there is no {kind} {value}", do=do)


def source_of(value: str) -> Path:
    """Return the path that a value means: from where the user stands, from the workspace, or beside the notebooks."""
    places = [Path(value).expanduser(), ROOT / value, NOTEBOOKS / value]
    return next((path for path in places if path.exists()), places[0])


def _readable(data: Data, faults: list[str]) -> set[str]:
    """Return the parameters whose data lie here, after those in a store were fetched from it if it answers."""
    for name, value in data.values.items():
        if name in CHECKS and remote(value):
            try:
                with _told(name, faults):
                    data.values[name] = str(fetch(value, Path(place(name, value))))
            except (StoreFailed, StoreUnreachable, Forbidden):
                data.notes.append(f"{name} cannot be read from here: the first node fetches and checks {value}")
    named = {name: data.values.get(name, AUTO) for name in CHECKS}
    return {name for name, value in named.items() if value not in NOTHING and Path(place(name, value)).exists()}


def _faults(data: Data, names: set[str]) -> list[str]:
    """Return what the stages would refuse in these parameters' data, which lie below the working directory."""
    faults: list[str] = []
    for name in CHECKS:
        if name in names:
            with _told(name, faults):
                CHECKS[name](data)
    return faults


@contextmanager
def _told(name: str, faults: list[str]) -> Iterator[None]:
    try:
        yield
    except (StoreFailed, StoreUnreachable, Forbidden):
        raise
    except AssayError as error:
        faults.append(f"{name}: {error.what} ({error.do})")
    except OSError as error:
        faults.append(f"{name}: {error.filename} cannot be read: {error.strerror}")


def _check_prompts(data: Data) -> None:
    data.notes += [f"PROMPTS: {note}" for note in datasets.read_prompts(Path(data.values["PROMPTS"])).notes]


def _check_use_case(data: Data) -> None:
    """Read all that a use case names, by the rules of its stages; values that are given have their own check."""
    use_case = find_use_case(data.values["USE_CASE"])
    if use_case is None:
        return
    faults: list[str] = []
    for name in use_case.names:
        with _told(f"{use_case.file}:{_line(use_case, name)}: {name}", faults):
            if name in use_case.workloads:
                _check_workload(data, use_case, name)
            else:
                _check_evaluation(data, use_case, name)
    with _told("criteria", faults):
        if use_case.criteria:
            load_criteria(use_case.folder / use_case.criteria)
    if data.values.get("TASK", AUTO) not in NOTHING and data.values.get("INCLUDE_PATH", AUTO) in NOTHING:
        with _told("TASK", faults):
            _check_task_at(data.values["TASK"], use_case.folder, data.values.get("METRIC", AUTO))
    if faults:
        raise InvalidInput("; ".join(faults), do="Correct what is named")


def _line(use_case: UseCase, name: str) -> int:
    return line_of(use_case.file, "workloads" if name in use_case.workloads else "evaluations", name)


def _check_workload(data: Data, use_case: UseCase, name: str) -> None:
    from helpers.load_test.settings import Settings

    found = Settings(**use_case.workload(name))
    if found.prompts and not remote(found.prompts):
        data.notes += [f"{name}: {note}" for note in datasets.read_prompts(Path(found.prompts)).notes]


def _check_evaluation(data: Data, use_case: UseCase, name: str) -> None:
    from helpers.evaluation.lm_eval.settings import Settings

    said, asks = use_case.evaluation(name), use_case.evaluations[name].evaluator
    if asks != "lm_eval":
        evaluator.check(asks, name, said)
        return
    Settings(**said)
    asked = data.values.get("METRIC", AUTO) if data.values.get("TASK", AUTO) in NOTHING else AUTO
    _check_task_at(
        said["task"], Path(said["include_path"]), asked if asked not in NOTHING else said.get("metric", AUTO)
    )


def _check_task(data: Data) -> None:
    if data.values.get("TASK", AUTO) not in NOTHING:
        _check_task_at(data.values["TASK"], Path(data.values["INCLUDE_PATH"]), data.values.get("METRIC", AUTO))


def _check_task_at(task: str, include_path: Path, metric: str) -> None:
    arriving = (Path.cwd().resolve(), include_path.resolve())  # may be a link to a folder elsewhere
    for file in _task_files(task, include_path, metric):
        if not any(file.resolve().is_relative_to(folder) for folder in arriving):
            raise InvalidInput(
                f"{file}, which the task names, would not arrive", do="Name it from the YAML's folder, not absolutely"
            )


def _task_files(task: str, include_path: Path, metric: str = AUTO) -> list[Path]:
    """Return the files of a task of the user's, [] for one of lm-eval's.

    Raises UnknownTask, NotMeasurable or InvalidDataset.
    """
    from helpers.evaluation.lm_eval.settings import Settings
    from helpers.evaluation.lm_eval.tasks import check_task

    if task in NOTHING:
        return []
    try:
        settings = Settings(task=task, include_path=include_path, metric=metric)
    except InvalidParameter:  # told by the stage's rules for values
        return []
    try:
        return list(check_task(settings).files)
    except ImportError:  # not one below the include path, and lm-eval is in its own stage's image only
        return []


def _check_policy(data: Data) -> None:
    from helpers.ingestion.policy import load_policy

    load_policy(Path(data.values["POLICY"]))


def _check_prices(data: Data) -> None:
    from helpers.analysis.recommendation import load_prices

    load_prices(Path(data.values["PRICES"]))


def _check_results(data: Data) -> None:
    from helpers.analysis.imported import read_results

    read_results(data.values["RESULTS"])


def _check_criteria(data: Data) -> None:
    load_criteria(Path(data.values["CRITERIA"]))


HANDED_ON = ("USE_CASE", "PROMPTS", "INCLUDE_PATH")  # checked and packed by the first stage
CHECKS: dict[str, Callable[[Data], None]] = {
    "CRITERIA": _check_criteria,
    "USE_CASE": _check_use_case,
    "PROMPTS": _check_prompts,
    "INCLUDE_PATH": _check_task,
    "POLICY": _check_policy,
    "PRICES": _check_prices,
    "RESULTS": _check_results,
}
