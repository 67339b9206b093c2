"""A shipped pipeline with a second load test and a second evaluation, as somebody draws them on the canvas."""

from __future__ import annotations

import copy
import uuid

from helpers.pipelines import Pipeline
from helpers.pipelines.outputs import outputs


def with_second(pipeline: Pipeline, **changes: dict[str, str]) -> Pipeline:
    """Put a second node of each notebook in `changes` (notebook -> its NAME and other variables) after the first."""
    nodes = pipeline.primary["nodes"]
    for stage, variables in changes.items():
        place = next(number for number, node in enumerate(nodes) if node["app_data"]["label"] == stage)
        second, after = copy.deepcopy(nodes[place]), nodes[place + 1]
        second["id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, f"{pipeline.name} {variables['NAME']}"))
        for place_of_label in (second["app_data"], second["app_data"]["ui_data"]):  # Elyra reads the second
            place_of_label["label"] = f"{stage}-{variables['NAME']}"
        parameters = second["app_data"]["component_parameters"]
        parameters["env_vars"] = [{"env_var": name, "value": value} for name, value in variables.items()]
        parameters["outputs"] = outputs(stage, variables["NAME"])
        parameters["pipeline_parameters"] = [n for n in parameters["pipeline_parameters"] if n not in variables]
        for node, before in ((second, nodes[place]["id"]), (after, second["id"])):
            for link in node["inputs"][0]["links"]:
                link["node_id_ref"] = before
                link["id"] = str(uuid.uuid5(uuid.NAMESPACE_URL, node["id"] + before))
        nodes.insert(place + 1, second)
    return pipeline
