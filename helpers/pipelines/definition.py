"""A shipped `.pipeline` file: its stages, its parameters, and the form in which Elyra's processor takes it."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from helpers.datasets.arrival import remote
from helpers.datasets.criteria import replaced
from helpers.datasets.stated import find_use_case
from helpers.errors import InvalidParameter, NotFound
from helpers.pipelines.image_names import short, tag
from helpers.pipelines.outputs import EVALUATORS, Node, executed
from helpers.runtime.environment import ENDPOINT_KEY
from helpers.runtime.workspace import ROOT
from helpers.serving.client import SECRET as ENDPOINT_SECRET

FOLDER = ROOT / "pipelines"
SECRET = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD)$")
SAYS = {"DATA", "PROBES", "CONFIG"}  # parameters by which a stage is told what to ask, without a use case
OURS = ("stage", "guidellm", "lm-eval", "promptfoo", "garak", "train")  # images in runtime-images/


def names() -> list[str]:
    """Return the names of all shipped pipelines."""
    return sorted(path.stem for path in FOLDER.glob("*.pipeline"))


class Pipeline:
    """A pipeline file: its nodes in order, its parameters with their defaults. Raises NotFound."""

    def __init__(self, name: str) -> None:
        found = {_resource_name(known): known for known in names()}
        if _resource_name(name) not in found:
            raise NotFound(f"There is no pipeline {name!r}", do=f"Name one of {', '.join(names())}")
        self.name = found[_resource_name(name)]
        self.file = FOLDER / f"{self.name}.pipeline"
        self.content: dict[str, Any] = json.loads(self.file.read_text())
        self.primary: dict[str, Any] = self.content["pipelines"][0]

    @property
    def resource_name(self) -> str:
        """The name on the cluster, where underscores are not allowed."""
        return _resource_name(self.name)

    @property
    def nodes(self) -> list[dict[str, Any]]:
        """What each node says of itself: file, image, resources, secrets, outputs."""
        return [node["app_data"]["component_parameters"] for node in self.primary["nodes"]]

    @property
    def parameters(self) -> dict[str, str]:
        """Name and default of every pipeline parameter; Elyra's local processor would ignore them."""
        return {item["name"]: _text(item["default_value"]["value"]) for item in self._declared}

    @property
    def types(self) -> dict[str, str]:
        """Name and Elyra's type (String, Integer, Float, Bool) of every pipeline parameter."""
        return {item["name"]: str(item["default_value"]["type"]) for item in self._declared}

    @property
    def _declared(self) -> list[dict[str, Any]]:
        declared: list[dict[str, Any]] = self.primary["app_data"]["properties"]["pipeline_parameters"]
        return declared

    @property
    def stages(self) -> list[str]:
        """The notebooks' names in the order in which they run."""
        return [Path(node["filename"]).stem for node in self.nodes]

    @property
    def measurements(self) -> set[str]:
        """The names of what is measured."""
        named = zip(self.nodes, self._environments, strict=True)
        return {Node(Path(node["filename"]), own, ()).name for node, own in named} - {""}

    @property
    def executed(self) -> list[str]:
        """What the executed notebooks are called, in the order in which they run."""
        return [executed(stage, own) for stage, own in zip(self.stages, self._environments, strict=True)]

    @property
    def _environments(self) -> list[dict[str, str]]:
        return [{item["env_var"]: str(item["value"]) for item in node["env_vars"]} for node in self.nodes]

    def wanted(self, given: Mapping[str, str]) -> Pipeline:
        """Return the pipeline without nodes for evaluations that the use case does not name.

        All stay where the use case has to be fetched, and where `given` says by itself what is asked.
        """
        use_case = given.get("USE_CASE") or self.parameters.get("USE_CASE", "")
        if not use_case or remote(use_case) or given.keys() & SAYS or not (found := find_use_case(use_case)):
            return self
        kept = copy.deepcopy(self)
        nodes, before = list[dict[str, Any]](), dict[str, str]()  # a node that goes -> the one before it
        for node, stage, own in zip(kept.primary["nodes"], self.stages, self._environments, strict=True):
            links = [link for port in node["inputs"] for link in port.get("links", ())]
            for link in links:
                link["node_id_ref"] = before.get(link["node_id_ref"], link["node_id_ref"])
            name = Node(Path(stage), own, ()).name
            listed = node["app_data"]["component_parameters"]["pipeline_parameters"]
            told = "TASK" in own or ("TASK" in given and "TASK" in listed)
            asks = stage in EVALUATORS or (stage == "lm_eval_task" and not told)
            if asks and name not in found.evaluations and len(links) == 1:
                before[node["id"]] = links[0]["node_id_ref"]
            else:
                nodes.append(node)
        kept.primary["nodes"] = nodes
        return kept

    def known(self, given: Mapping[str, str]) -> None:
        """Refuse names that are no parameter of this pipeline. Raises InvalidParameter."""
        unknown = sorted(set(given) - set(self.parameters))
        if told := list(replaced({name: given[name] for name in unknown})):
            raise InvalidParameter("; ".join(told), do="Leave it out")
        if secret := next(filter(SECRET.search, unknown), ""):
            places = (item for node in self.nodes for item in node["kubernetes_secrets"] if item["env_var"] == secret)
            named = next((item["name"] for item in places), ENDPOINT_SECRET if secret == ENDPOINT_KEY else "")
            place = f"the Secret {named}" if named else "a Secret"
            raise InvalidParameter(
                f"{secret} is no parameter: a key is never written into a run",
                do=f"On this machine export it as an environment variable; on a cluster it belongs in {place}",
            )
        if unknown:
            has = f"Use one of {', '.join(sorted(self.parameters))}" if self.parameters else "Give it none"
            raise InvalidParameter(f"Pipeline {self.name} has no parameter {', '.join(unknown)}", do=has)

    def typed(self, given: Mapping[str, str]) -> dict[str, Any]:
        """Return values by the types that the pipeline declares, as the Pipelines server takes them."""
        readers: dict[str, Callable[[str], Any]] = {
            "Integer": int, "Float": float, "Bool": lambda text: text.lower() in ("true", "1")
        }  # fmt: skip
        return {name: readers.get(self.types[name], str)(value) for name, value in given.items()}

    def environment(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the defaults with `given` over them, as environment variables. Raises InvalidParameter."""
        self.known(given)
        return {name: value for name, value in (self.parameters | dict(given)).items() if value}

    def for_elyra(
        self, given: Mapping[str, str], runtime: str, images: str = "", dependencies: Sequence[list[str]] = ()
    ) -> dict[str, Any]:
        """Return what JupyterLab hands to Elyra's processor when somebody presses Run.

        `given` becomes the defaults, files are named from the workspace's root, our images are taken from `images`;
        `dependencies` take the place of each node's own.
        """
        content = copy.deepcopy(self.content)
        primary = content["pipelines"][0]
        about = {"name": self.resource_name, "source": self.file.name, "runtime": "kfp", "runtime_config": runtime}
        primary["app_data"] |= about
        values = self.typed(given)
        for parameter in primary["app_data"]["properties"]["pipeline_parameters"]:
            if parameter["name"] in values:
                parameter["default_value"]["value"] = values[parameter["name"]]
        for number, node in enumerate(primary["nodes"]):
            parameters = node["app_data"]["component_parameters"]
            parameters["dependencies"] = dependencies[number] if dependencies else parameters["dependencies"]
            file = (self.file.parent / parameters["filename"]).resolve()
            parameters["filename"] = str(file.relative_to(ROOT))
            parameters["runtime_image"] = _placed(parameters["runtime_image"], images)
        return content


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _resource_name(name: str) -> str:
    return name.replace("_", "-")


def _placed(image: str, images: str) -> str:
    """Return one of our images by its name in the registry and project `images`; any other as it is."""
    return f"{images}/{short(image)}:{tag()}" if images and short(image) in OURS else image
