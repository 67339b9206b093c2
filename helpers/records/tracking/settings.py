"""Which MLflow server is told of a record. Token and workspace come from the environment."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import BeforeValidator, Field

from helpers.errors import InvalidParameter
from helpers.runtime import parameters

NONE = "none"
DO = "Give MLFLOW_TRACKING_URI as http://host:port or https://host/mlflow, the token in MLFLOW_TRACKING_TOKEN"


def _check(uri: str) -> None:
    """Refuse what is no server's address; nothing of it is repeated, because it may hold a password."""
    try:
        parts = urlsplit(uri)
        whole = parts.scheme in ("http", "https") and parts.hostname and not (parts.username or parts.query)
        _ = parts.port
    except ValueError:
        whole = False
    if uri and not whole:
        raise InvalidParameter("MLFLOW_TRACKING_URI is no address of a server", do=DO)


def _given(uri: str) -> str:
    return "" if uri.strip() in ("", NONE, parameters.AUTO) else uri.strip().rstrip("/")


class Settings(parameters.Settings):
    """Where runs go and under which experiment."""

    uri: Annotated[str, BeforeValidator(_given)] = Field(
        default="", description="of the MLflow server; empty: none is told"
    )
    experiment: Annotated[str, BeforeValidator(parameters.given)] = Field(
        default="", max_length=500, description="empty: assay/ and the use case"
    )

    def __init__(self, **values: Any) -> None:
        _check(_given(str(values.get("uri", ""))))  # first: pydantic's own refusal repeats the value
        super().__init__(**values)
