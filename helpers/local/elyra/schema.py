"""What Elyra has to know of a runtime configuration of the kind "This machine": it has no settings."""

from __future__ import annotations

from typing import Any

from elyra.metadata.schema import SchemasProvider
from elyra.metadata.schemaspaces import Runtimes

NAME = "this-machine"
TYPE = "KUBEFLOW_PIPELINES"  # the type of the shipped pipelines, without which they could have no parameters


class Schemas(SchemasProvider):
    """Found by Elyra through the entry point `metadata.schemas_providers`."""

    def get_schemas(self) -> list[dict[str, Any]]:
        """Return the one schema."""
        metadata = {
            "type": "object",
            "properties": {
                "runtime_type": {"type": "string", "const": TYPE, "uihints": {"hidden": True}},
                "description": {"title": "Description", "type": "string"},
            },
        }
        properties = {
            "schema_name": {"type": "string", "const": NAME},
            "display_name": {"title": "Display name", "type": "string", "minLength": 1},
            "metadata": metadata,
        }
        schema = {
            "title": "Pipelines",  # Elyra calls the whole platform by it, clusters too
            "name": NAME,
            "schemaspace": Runtimes.RUNTIMES_SCHEMASPACE_NAME,
            "schemaspace_id": Runtimes.RUNTIMES_SCHEMASPACE_ID,
            "metadata_class_name": "elyra.pipeline.runtimes_metadata.RuntimesMetadata",
            "runtime_type": TYPE,
            "uihints": {"title": "This machine", "icon": "elyra:runtimes"},
            "properties": properties,
            "required": list(properties),
        }
        return [schema]
