"""Kernels that talk over files: between choosing five ports and using them, another test may take one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import papermill
from jupyter_client.manager import AsyncKernelManager


class QuietKernelManager(AsyncKernelManager):
    """The default manager with the transport `ipc`."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**{**settings, "transport": "ipc"})


def execute(notebook: Path, output: Path, **options: Any) -> Any:
    """Execute a notebook as papermill does, in such a kernel."""
    manager = f"{__name__}.{QuietKernelManager.__name__}"
    return papermill.execute_notebook(notebook, output, kernel_manager_class=manager, **options)
