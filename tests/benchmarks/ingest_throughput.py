"""Bringing in a 2 GiB sharded model from local disk, divided by `sha256sum` over the same files in the same run."""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.ingestion.clean import base, single, write_json
from tests.plugins.models import POLICY

SHARDS, SHARD, REPEATS = 8, 256 << 20, 3


def make_model(folder: Path) -> Path:
    """Write a model of eight shards of random bytes."""
    single(folder / "small")
    shutil.move(folder / "small" / "tokenizer.json", base(folder / "model", {}))
    shutil.rmtree(folder / "small")
    names = [f"model-{number + 1:05}-of-{SHARDS:05}.safetensors" for number in range(SHARDS)]
    for number, name in enumerate(names):
        _write_shard(folder / "model" / name, f"layers.{number}.weight")
    weights = {f"layers.{number}.weight": name for number, name in enumerate(names)}
    index = {"metadata": {"total_size": SHARDS * SHARD}, "weight_map": weights}
    write_json(folder / "model" / "model.safetensors.index.json", index)
    os.sync()  # what was written now would slow down what is written next
    return folder / "model"


def _write_shard(path: Path, tensor: str) -> None:
    shape = [SHARD // 2 // 1024, 1024]
    header = json.dumps({tensor: {"dtype": "BF16", "shape": shape, "data_offsets": [0, SHARD]}}).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(header)) + header)
        for _ in range(SHARD >> 20):
            file.write(os.urandom(1 << 20))


def reference(model: Path) -> float:
    """Return the seconds that sha256sum takes."""
    files = sorted(str(path) for path in model.iterdir())
    started = time.monotonic()
    subprocess.run(["sha256sum", *files], check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - started


class NoRegistry:
    """Stands for the registry, which this figure leaves out."""

    def versions(self) -> list[object]:
        return []

    def register_candidate(self, name: str, version: str, **known: object) -> object:
        return known["uri"]


def ingest(source: str) -> dict[str, float]:
    """Bring the model in, by everything that the gate does, and say how long it took and what memory it needed."""
    from helpers.ingestion import gate

    started = time.monotonic()
    arrival = gate.receive(gate.Settings(source=source, policy=POLICY))
    received = time.monotonic()
    gate.admit(arrival, NoRegistry())
    ended = time.monotonic()
    peak = [resource.getrusage(who).ru_maxrss / 1000 for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {"seconds": ended - started, "receive_seconds": received - started, "rss_mb": max(peak)}


def _ingest_alone(source: Path, home: Path) -> dict[str, float]:
    """Ingest in a process and into a store of its own."""
    command = [sys.executable, "-m", __name__, str(source)]
    environment = os.environ | {"ASSAY_HOME": str(home)}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=environment, text=True)
    shutil.rmtree(home)
    return json.loads(done.stdout.splitlines()[-1])


def measure() -> list[dict[str, object]]:
    """Return the figure: the median of the ratios of three pairs, and the worst of them."""
    ratios, runs = [], []
    with tempfile.TemporaryDirectory(prefix="assay-ingest-") as folder:
        model = make_model(Path(folder))
        reference(model)  # everything is in memory from here on
        for _ in range(REPEATS):
            known = reference(model)
            runs.append(_ingest_alone(model, Path(folder, "home")) | {"sha256sum_seconds": known})
            ratios.append(runs[-1]["seconds"] / known)
    typical = runs[ratios.index(statistics.median(ratios))]
    figure = {
        "figure": "ingest_throughput",
        "value": round(statistics.median(ratios), 3),
        "worst": round(max(ratios), 3),
    }
    seconds = {name: round(typical[name], 2) for name in ("seconds", "receive_seconds", "sha256sum_seconds")}
    return [{**figure, **seconds, "gib": SHARDS * SHARD >> 30, "rss_mb": round(max(run["rss_mb"] for run in runs), 1)}]


if __name__ == "__main__":
    print(json.dumps(ingest(sys.argv[1])))
