"""How long a shortlist takes with 1,000 models of 3 versions each, and what the registry needs meanwhile."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from helpers.local.registry.bodies import DOC_ARTIFACT, MODEL, MODEL_ARTIFACT, VERSION
from helpers.local.registry.store import Store
from helpers.registry import Constraints, Decision, connect
from helpers.registry.documents import VERSION_ID
from helpers.registry.history import APPLIED, document_name
from helpers.registry.properties import encode
from helpers.runtime import keys, signing

MODELS, VERSIONS, REPEATS = 1000, 3, 5


def figures(random_source: random.Random, name: str) -> dict[str, object]:
    """Return the properties that a published version has."""
    accuracy = random_source.uniform(0.3, 0.95)
    return {
        "digest": f"sha256:{random_source.getrandbits(256):064x}",
        "license": random_source.choice(("apache-2.0", "mit", "proprietary")),
        "size_bytes": str(random_source.randrange(10**9, 10**11)),
        "parameters": str(random_source.randrange(10**9, 10**11)),
        "model_format": "safetensors",
        "approval": random_source.choice(("approved", "candidate", "rejected")),
        "approval_reasons": f"{name} meets the thresholds on accuracy and latency",
        "approval_by": "",
        APPLIED: document_name(1),
        "baseline.knowledge.tier": "accuracy",
        "baseline.knowledge.metric": "acc",
        "baseline.knowledge.acc": accuracy,
        "baseline.knowledge.acc_low": accuracy - 0.05,
        "baseline.knowledge.acc_high": accuracy + 0.05,
        "baseline.knowledge.n": 200,
        "baseline.chat.kind": "load_test",
        "baseline.chat.ttft_p95_ms": random_source.uniform(20, 2000),
        "baseline.chat.itl_p95_ms": random_source.uniform(5, 100),
        "baseline.chat.output_tokens_per_second": random_source.uniform(10, 2000),
        "baseline.knowledge.record": f"{random_source.getrandbits(64):016x}",
    }


def fill(database: Path) -> None:
    """Put the models straight into the database; over HTTP each would wait for the disk."""
    store, source, private = Store(database), random.Random(7), keys.signing_key(keys.MODEL_OPS)
    with store.transaction():
        for i in range(MODELS):
            name = f"model-{i:04d}"
            model = store.insert(MODEL, {"name": name, "owner": "benchmark"})
            for j in range(VERSIONS):
                known = figures(source, name)
                body = {"name": f"{j}.0", "author": "benchmark", "customProperties": encode(known)}
                version = store.insert(VERSION, body, model)
                said, digest = (str(known["approval"]), str(known["approval_reasons"])), str(known["digest"])
                decision = Decision(*said, model=name, version=f"{j}.0", digest=digest, serial=1)
                signed = signing.sign(decision.payload(), private).fields() | {VERSION_ID: str(version)}
                document = {"name": document_name(1), "uri": "", "customProperties": encode(signed)}
                store.insert(DOC_ARTIFACT, document, version)
                store.insert(MODEL_ARTIFACT, {"name": name, "uri": f"file:///{name}"}, version)
    store.close()


def peak_mb(pid: int) -> float:
    """Return the largest resident size that a process had, in megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) / 1000


def shortlist(address: str) -> tuple[float, float, int]:
    """Return the seconds to connect and of the median shortlist, and the number of versions in it."""
    start = time.perf_counter()
    registry = connect(address)
    connected, seconds, rows = time.perf_counter() - start, [], []
    for _ in range(REPEATS):
        start = time.perf_counter()
        rows = registry.shortlist(
            Constraints(min_baseline_accuracy=0.6, max_ttft_p95_ms=800, licenses=("apache-2.0", "mit"))
        )
        registry.select(rows)
        seconds.append(time.perf_counter() - start)
    return connected, statistics.median(seconds), len(rows)


def measure() -> list[dict[str, object]]:
    """Return the figure."""
    with tempfile.TemporaryDirectory() as folder:
        database = Path(folder) / "registry.db"
        fill(database)
        command = [sys.executable, "-m", "helpers.local.registry", "--port", "0", "--database", str(database)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
            try:
                connected, seconds, versions = shortlist(server.stdout.readline().split()[-1])
                memory = peak_mb(server.pid)
            finally:
                server.terminate()
    figure = {"figure": "registry_lookup", "models": MODELS, "versions": versions, "seconds": round(seconds, 3)}
    return [{**figure, "connect_seconds": round(connected, 3), "server_rss_mb": round(memory, 1)}]
