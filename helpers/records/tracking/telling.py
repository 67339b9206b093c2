"""One run of MLflow for one record, found by the record's id: telling it again changes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from helpers.artifacts import Record
from helpers.errors import AssayError
from helpers.records import reading
from helpers.records.tracking import content
from helpers.records.tracking.client import DO, Client, Json, Refused, connect, pairs
from helpers.records.tracking.settings import Settings

PLACE = "assay"  # folder of a run's artifacts
MOST_METRICS, MOST_PARAMETERS = 500, 100  # in one request
MOST_BYTES = 200 << 20  # of one raw file; a larger one stays in the store
DONE = "FINISHED"


def track(settings: Settings, record: Record) -> str:
    """Tell MLflow of a record that registry and store have; return in one sentence what happened.

    Nothing that goes wrong here is raised: no measurement is lost by it.
    """
    if not settings.uri:
        return "No MLflow server is told: MLFLOW_TRACKING_URI is not set."
    try:
        with connect(settings.uri) as client:
            return _tracked(client, settings, record)
    except AssayError as error:
        why, do = error.what, error.do
    except (LookupError, TypeError):
        why, do = f"What answers at {settings.uri} is no MLflow server", DO
    kept = f"Record {record.record_id} is in the registry and not, or not whole, in MLflow"
    return f"WARNING: {kept}: {why}. {do.replace('RECORD', record.record_id)}."


def _tracked(client: Client, settings: Settings, record: Record) -> str:
    experiment = _experiment(client, settings.experiment or f"assay/{record.use_case}")
    run = _run(client, experiment, record)
    known, name = run["info"]["run_id"], record.selection.label
    if run["info"]["status"] == DONE:
        return f"MLflow has record {record.record_id} of {name} already, as run {known}."
    parameters = pairs(content.parameters(record))
    for first in range(0, len(parameters), MOST_PARAMETERS):
        client.post("runs/log-batch", run_id=known, params=parameters[first : first + MOST_PARAMETERS])
    metrics = content.metrics(record)
    for first in range(0, len(metrics), MOST_METRICS):
        client.post("runs/log-batch", run_id=known, metrics=metrics[first : first + MOST_METRICS])
    if data := content.datasets(record):
        client.post("runs/log-inputs", run_id=known, datasets=data)
    left = list(_upload(client, run, record))
    client.post("runs/update", run_id=known, status=DONE, end_time=int(record.ended.timestamp() * 1000))
    told = f" Not uploaded: {'; '.join(left)}." if left else ""
    return f"MLflow has record {record.record_id} of {name} as run {known}.{told}"


def _experiment(client: Client, name: str) -> str:
    """Return the experiment's id; it is made where it is missing, once by whoever is first."""
    try:
        return str(client.get("experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"])
    except Refused as error:
        if error.code != "RESOURCE_DOES_NOT_EXIST":
            raise
    try:
        return str(client.post("experiments/create", name=name)["experiment_id"])
    except Refused as error:
        if error.code != "RESOURCE_ALREADY_EXISTS":
            raise
        return str(client.get("experiments/get-by-name", experiment_name=name)["experiment"]["experiment_id"])


def _run(client: Client, experiment: str, record: Record) -> Json:
    """Return the record's run, begun where there is none: what an earlier attempt left is completed."""
    wanted = f"tags.`{content.RECORD}` = '{record.record_id}'"
    found = client.post("runs/search", experiment_ids=[experiment], filter=wanted, max_results=2).get("runs") or []
    if found:
        return dict(min(found, key=lambda run: run["info"]["start_time"]))
    begun = min(each.started for each in record.measurements)
    tags = {name: value for name, value in content.tags(record).items() if value}
    made = client.post(
        "runs/create", experiment_id=experiment, run_name=f"{record.selection.label} {record.record_id}",
        start_time=int(begun.timestamp() * 1000), tags=pairs(tags),
    )  # fmt: skip
    return dict(made["run"])


def _upload(client: Client, run: Json, record: Record) -> Iterator[str]:
    """Upload the record and its raw files from the store; yield what was not, and why."""
    client.put_file(run, f"{PLACE}/{Record.filename}", record.model_dump_json(indent=2).encode())
    for name in sorted(record.raw):
        if name == Record.filename:
            continue
        try:
            data = reading.raw_file(record, name)
        except AssayError as error:
            yield f"{name}, {error.what}"
            continue
        if len(data) > MOST_BYTES:
            yield f"{name}, {len(data) >> 20} MiB"
        else:
            client.put_file(run, f"{PLACE}/{name}", data)
