"""Who runs this, as records keep it: a name, never a token."""

from __future__ import annotations

import base64
import json
import os
from getpass import getuser

from helpers.runtime.account import namespace, token_file

STARTED_BY = "ASSAY_STARTED_BY"  # in every node of a run that somebody submitted


def account() -> str:
    """Return the pod's service account as Kubernetes names it, else the user's name on this machine.

    A pod's uid says nothing: it is the same for everybody in the project, and may have no name at all.
    """
    if name := _in_token():
        return name
    if project := namespace():
        return f"a pod of {project}"
    return _user() or f"uid {os.getuid()}"


def started_by() -> str:
    """Return who submitted this run, "" where that is unknown."""
    return os.environ.get(STARTED_BY, "")


def _in_token() -> str:
    """Return the account that the pod's token was issued to, "" without a readable one; the token is not kept."""
    path = token_file()
    try:
        middle = path.read_text().split(".")[1] if path else ""
        subject = json.loads(base64.urlsafe_b64decode(middle + "=" * (-len(middle) % 4)))["sub"]
    except (OSError, ValueError, LookupError, TypeError):
        return ""
    return str(subject)


def _user() -> str:
    try:
        name = getuser()
    except (KeyError, OSError, ImportError):  # a uid without a name
        return ""
    return "" if name.isdigit() else name  # CRI-O calls a uid without a name by its number
