"""Give each member its data: from where it was found or downloaded to, whatever the working directory is."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any


def place(members: Mapping[str, Mapping[str, Any]]) -> None:
    """Let lm-eval's tasks load what `members` says: `splits` of Arrow files, or `path`, `name` and `kwargs`.

    lm-eval looks a relative name up in the working directory, and reads hub data with the token of its environment.
    """
    from lm_eval.api.task import ConfigurableTask

    datasets: Any = importlib.import_module("datasets")  # not the project's folder of this name
    original = ConfigurableTask.download

    def download(self: Any, dataset_kwargs: dict[str, Any] | None = None, **more: Any) -> None:
        found = members.get(self.config.task)
        if found is None:
            original(self, dataset_kwargs, **more)
        elif "splits" in found:
            self.dataset = datasets.DatasetDict(
                {
                    split: datasets.concatenate_datasets([datasets.Dataset.from_file(name) for name in names])
                    for split, names in found["splits"].items()
                }
            )
        else:
            self.dataset = datasets.load_dataset(path=found["path"], name=found["name"], **found["kwargs"])

    ConfigurableTask.download = download
