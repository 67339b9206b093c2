"""What the stages are to measure: by their parameters, and where these are `auto`, by the use case."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from helpers.artifacts import FOLDER
from helpers.artifacts.measurement import EVALUATION
from helpers.datasets.arrival import LABEL, USE_CASES, located, remote
from helpers.datasets.criteria import DEFAULT
from helpers.datasets.use_case import FILE, STORED, LmEval, UseCase, confined, load_use_case, placed
from helpers.errors import InvalidDataset, InvalidParameter
from helpers.runtime.parameters import AUTO
from helpers.runtime.workspace import ROOT
from helpers.storage import check_form

# Where parameters alone say what is measured: a catalog workload is scaled for small models, and has to be quick.
SCALED, QUICK = {"scale": 0.125}, {"slo_ttft_ms": 500}
OBJECTIVES = ("ttft", "itl", "e2e")
LONGEST = 3_600_000  # ms, of a limit


def find_use_case(value: str, folder: Path = FOLDER) -> UseCase | None:
    """Return the use case that USE_CASE names; None for a name without a file, which labels what parameters say.

    Raises InvalidDataset where its file is wrong, or where an address or a path leads to none.
    """
    named = LABEL.fullmatch(value)
    places = [Path(located("USE_CASE", value, folder))]
    places += [ROOT / places[0]] if named else []
    found = next((load_use_case(place) for place in places if (place / FILE).is_file()), None)
    if found and remote(value):
        confined(found.folder, found.paths)
    if found is None and not named:
        raise InvalidDataset(
            f"USE_CASE is {value}: there is no {FILE} in {places[0]}",
            do="Correct it, or make one: make use-case NAME=mine",
        )
    if found and named and found.name != value:
        raise InvalidDataset(f"{found.file}:1: name: is {found.name}, in a folder called {value}", do="Let them agree")
    return found


def label(use_case: str) -> str:
    """Return under which name results are logged: the use case's own, or the word that is given for it."""
    found = find_use_case(use_case)
    return found.name if found else use_case


def digests(use_case: str) -> dict[str, str]:
    """Return the digests of the use case's files by their paths, none for a word that names no folder."""
    found = find_use_case(use_case)
    return found.digests() if found else {}


def tasks(use_case: str) -> dict[str, str]:
    """Return what each evaluation of the use case asks, by its name; none for a word that names no folder."""
    found = find_use_case(use_case)
    return {name: each.subject for name, each in found.evaluations.items()} if found else {}


def workload(use_case: str, name: str, **given: Any) -> dict[str, Any]:
    """Return a load test's settings: what is given and not `auto`, and for the rest what the use case says of `name`.

    Raises InvalidParameter where neither says what to send, InvalidDataset where the use case is wrong.
    """
    own, found = _own(given), find_use_case(use_case)
    if "prompts" in own:
        own.setdefault("workload", "prompts")
    said: dict[str, Any] = QUICK if found is None else found.slo.settings() if found.slo else {}
    if found and (name in found.workloads or "workload" not in own):
        said = found.workload(name)
    elif "workload" not in own:
        raise _unsaid(use_case, "neither PROMPTS nor WORKLOAD is given")
    if own.get("workload", said.get("workload")) != said.get("workload"):
        said = SCALED | {key: value for key, value in said.items() if key not in ("prompts", "scale")}
    settings = said | own
    if str(settings.get("prompts", "")).startswith(STORED):
        settings["prompts"] = located("PROMPTS", settings["prompts"])
    return settings


def limits(use_case: str, **given: Any) -> str:
    """Return every limit that a load test may be held to as `ttft:500,itl:50`, in ms, "" where there is none.

    What is no limit is left out: the load test refuses it.
    """
    found = find_use_case(use_case)
    named = [found.workload(name) for name in found.workloads] if found else [QUICK]
    said = {f"{key}:{limit:g}": None for each in (*named, _own(given)) for key in OBJECTIVES
            if (limit := _limit(each.get(f"slo_{key}_ms")))}  # fmt: skip
    return ",".join(said)


def _limit(value: Any) -> float:
    with suppress(TypeError, ValueError):
        return limit if 0 < (limit := float(value)) <= LONGEST else 0
    return 0


def evaluation(use_case: str, name: str, **given: Any) -> dict[str, Any]:
    """Return an evaluator's settings: what is given and not `auto`, and for the rest what the use case says of `name`.

    A task that is given and is another one takes only the folder from the use case. Where neither names what to ask,
    `unwanted` says so. Raises as `workload` does.
    """
    own, found = _own(given), find_use_case(use_case)
    if found is None and "task" not in own and name == EVALUATION:
        raise _unsaid(use_case, "TASK is not given")
    if "task" not in own and not (found and name in found.evaluations):
        return _unwanted(found, use_case, name)
    said: dict[str, Any] = {}
    if found and name in found.evaluations:
        said = found.evaluation(name)
        if not isinstance(found.evaluations[name], LmEval):
            raise _another(found, name, "lm_eval")
        if own.get("task", said["task"]) != said["task"]:
            said = {"include_path": said["include_path"]}
    elif found:
        said = {"include_path": str(found.folder)}
    return said | own


def asked(use_case: str, name: str, evaluator: str, **given: Any) -> dict[str, Any]:
    """Return the settings of an evaluator of its own data, given ones before those that the use case says of `name`.

    Where neither names what to ask, `unwanted` says so: then nothing is measured. Raises InvalidDataset where the use
    case is wrong or gives the evaluation to another evaluator.
    """
    own, found = _own(given), find_use_case(use_case)
    said: dict[str, Any] = {}
    if found and name in found.evaluations:
        if found.evaluations[name].evaluator != evaluator:
            raise _another(found, name, evaluator)
        said = found.evaluation(name)
    elif not own.keys() & {"data", "config", "probes"}:
        return _unwanted(found, use_case, name)
    settings = said | own
    if str(settings.get("data", "")).startswith(STORED):
        check_form(settings["data"])
        settings["data"] = located("DATA", settings["data"])
    return settings


def _unwanted(found: UseCase | None, use_case: str, name: str) -> dict[str, Any]:
    where = found.file if found else f"USE_CASE={use_case}"
    return {"unwanted": f"{where} names no evaluation {name}"}


def training(use_case: str, **given: Any) -> dict[str, Any]:
    """Return the settings of finetune_model, given ones before those that the use case says.

    Raises InvalidParameter where neither names the examples, InvalidDataset where the use case is wrong.
    """
    own, found = _own(given), find_use_case(use_case)
    if found is None and "training_data" not in own:
        raise _unsaid(use_case, "TRAINING_DATA is not given")
    settings = {**(found.tuning() if found and (found.training or "training_data" not in own) else {}), **own}
    for name in ("training_data", "replay"):
        if str(settings.get(name, "")).startswith(STORED):
            check_form(settings[name])
            settings[name] = located(name.upper(), settings[name])
    return settings


def _another(found: UseCase, name: str, evaluator: str) -> InvalidDataset:
    return InvalidDataset(
        f"{found.file}: {name} is asked by {found.evaluations[name].evaluator}, and its node asks by {evaluator}",
        do="Give the node another NAME, or the evaluation another evaluator",
    )


def task(use_case: str, given: str) -> str:
    """Return the task by which records are found: the given one, or for `auto` the use case's first of accuracy."""
    found = find_use_case(use_case) if given == AUTO else None
    if given == AUTO and not (found and found.evaluations):
        raise _unsaid(use_case, "TASK is not given")
    if not found:
        return given
    return min(found.evaluations.values(), key=lambda each: each.tier != "accuracy").subject


def criteria(use_case: str, given: str) -> str:
    """Return the file of criteria: the given one, for `auto` the use case's own, DEFAULT where it names none."""
    if given != AUTO:
        return given
    found = find_use_case(use_case)
    return str(placed(found.folder, found.criteria) if found and found.criteria else DEFAULT)


def _own(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value not in (AUTO, "")}


def _unsaid(use_case: str, lacking: str) -> InvalidParameter:
    return InvalidParameter(
        f"USE_CASE is {use_case!r}: there is no {USE_CASES}/{use_case}/{FILE}, and {lacking}",
        do="Make one (make use-case NAME=…), name one that there is, or give the values",
    )
