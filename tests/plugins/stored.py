"""Records in a store and a registry, with the raw files that a real run leaves beside them."""

from __future__ import annotations

import json
import random

from helpers import storage
from helpers.records import summaries, summary
from tests.plugins.records import CHAT_REPEATS, START, a_record, some_samples, write_samples

REQUESTS = 60  # answered in each measurement


def raw_report(points, source=None):
    """GuideLLM's report of these load points, as far as the comparison reads it."""
    source = source or random.Random(1)
    return {"benchmarks": [_benchmark(point, source) for point in points]}


def _benchmark(point, source):
    name, _, value = point.strategy.partition("@")
    strategy = {"type_": name} | ({"rate": float(value)} if value else {})
    waits = [point.ttft_ms.p50 * source.lognormvariate(0, 0.35) for _ in range(REQUESTS)]
    requests = {"successful": [{"time_to_first_token_ms": wait} for wait in waits], "errored": [], "incomplete": []}
    return {"config": {"strategy": strategy}, "requests": requests}


def repeated(sweep, source=None, times=3):
    """The sweep with its operating point measured again, with noise."""
    source = source or random.Random(1)
    if sweep.chosen is None:
        return sweep
    repeats = []
    for _ in range(times):
        factor, ttft = source.uniform(0.9, 1.1), sweep.chosen.ttft_ms
        shifted = ttft.model_copy(update={name: value * factor for name, value in ttft.model_dump().items()})
        repeats.append(sweep.chosen.model_copy(update={"ttft_ms": shifted}))
    return sweep.model_copy(update={"repeats": tuple(repeats), "repeats_report": CHAT_REPEATS.report})


def stored(record, samples, folder, source=None):
    """The record with its raw files in the store; returns it and its address there."""
    place, sweep = folder / record.record_id, record.sweep
    place.mkdir(parents=True)
    raw = {record.evaluation.samples: write_samples(samples, place / record.evaluation.samples).as_uri()}
    for name, points in ((sweep.report, sweep.points), (sweep.repeats_report, (*sweep.not_held, *sweep.repeats))):
        if name:
            data = json.dumps(raw_report(points, source)).encode()
            raw[name] = storage.put(data, (place / name).as_uri())
    record = record.model_copy(update={"raw": raw})
    uri = storage.put(record.model_dump_json().encode(), (place / "record.json").as_uri())
    return record.model_copy(update={"raw": {**raw, "record.json": uri}}), uri


def attach(registry, record, uri):
    """Register the record's version, and the record with it."""
    selection = record.selection
    about = {"uri": selection.uri, "digest": selection.digest, "size_bytes": selection.size_bytes, "license": "mit"}
    version = registry.register_candidate(selection.name, selection.version, **about)
    registry.attach_record(version.model_version_id, record.record_id, uri, summary(record), summaries(record))


def measured(registry, folder, name="alpha", version="1.0", when=START, score=0.6, **more):
    """Put a version with a model's folder and one record into registry and store."""
    samples = some_samples(score)
    model = folder / "models" / more.pop("files", f"{name}-{version}")
    model.mkdir(parents=True, exist_ok=True)
    (model / "model.safetensors").write_bytes(b"x" * 1000)
    record, uri = stored(a_record(name, version, samples=samples, when=when, **more), samples, folder / "records")
    record = record.model_copy(update={"selection": record.selection.model_copy(update={"uri": model.as_uri()})})
    attach(registry, record, uri)
    return record
