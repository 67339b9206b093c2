"""`make monitor`: Prometheus on this machine; `python -m helpers.local.monitor up|down`."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import yaml

from helpers.artifacts import Record, now, write_atomic
from helpers.errors import AssayError, NotFound, StageFailed
from helpers.local import stack
from helpers.monitoring import prometheus as asking
from helpers.monitoring.receiving import server
from helpers.monitoring.rules import EARNEST, HERE, Pace, Watched, prometheus_rules
from helpers.monitoring.triggers import COOL_DOWN, Triggers
from helpers.pipelines.starting import start
from helpers.records import reading
from helpers.registry import AttachedRecord, connect
from helpers.runtime import interrupts, processes
from helpers.runtime.environment import without_secrets
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT, home
from helpers.serving import targets

HANDLE = "prometheus"
PORT = 9090
RETENTION = "15d"


def folder() -> Path:
    """Return where Prometheus keeps its data and finds its rules and targets."""
    return home() / "monitoring"


def newest(known: Iterable[AttachedRecord]) -> list[Record]:
    """Return the newest record with a load test of each version, whatever its use case."""
    found = {(each.name, each.version): each for each in known if each.has(kind="load_test")}  # the oldest come first
    return [reading.read_trusted(each) for each in found.values()]


def up(records: Iterable[Record], *, port: int = 0, pace: Pace = HERE, receiver: str = "") -> str:
    """Start Prometheus with the rules of these records, on loopback; return its address. One that runs ends first.

    `receiver` is the address that alerts are posted to, with the token of `token_file`. Raises NotFound without the
    program and StageFailed where it does not come up.
    """
    program = _program()
    down()
    place = folder()
    targets.folder().mkdir(parents=True, exist_ok=True)
    rules = prometheus_rules([Watched.here(each, pace) for each in records])
    write_atomic(place / "rules.yml", yaml.safe_dump(rules, sort_keys=False).encode())
    config = yaml.safe_dump(_configuration(pace, receiver), sort_keys=False)
    write_atomic(place / "prometheus.yml", config.encode())
    url = f"http://127.0.0.1:{port or _free(PORT)}"
    log = home() / "logs" / f"{HANDLE}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [
        str(program), f"--config.file={place / 'prometheus.yml'}", f"--storage.tsdb.path={place / 'data'}",
        f"--storage.tsdb.retention.time={RETENTION}", f"--web.listen-address={url.removeprefix('http://')}",
        f"--web.external-url={url}", "--log.level=warn",
    ]  # fmt: skip
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True,
            env=without_secrets(os.environ), cwd=place,
        )  # fmt: skip
    running = processes.save(
        processes.Running(
            handle=HANDLE, pid=process.pid, created=processes.created(process.pid), url=url, log=log, started=now()
        )
    )
    wait_for(lambda: _ready(running), what=f"{url}/-/ready", do=f"Read {log}", timeout=60, interval=0.1)
    write_atomic(place / asking.FILE, json.dumps({"address": url}).encode())
    return url


def down() -> str:
    """End Prometheus; its data stay."""
    (folder() / asking.FILE).unlink(missing_ok=True)
    if not (running := processes.find(HANDLE)):
        return "Prometheus is not running"
    processes.end(running)
    return f"Prometheus at {running.url} is down; its data stay in {folder() / 'data'}"


def token_file() -> Path:
    """Return the file with the receiver's token, made where it is missing: for this account's eyes only."""
    path = folder() / "receiver.token"
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32))
    if not path.read_text():
        raise StageFailed(f"{path} is empty, and would let everybody in", do="Remove it, then run this again")
    return path


def _program() -> Path:
    own = ROOT / ".tools" / "prometheus"
    found = own if own.is_file() else shutil.which("prometheus")
    if not found:
        raise NotFound("There is no prometheus", do="Unpack it: make .tools/prometheus")
    return Path(found)


def _configuration(pace: Pace, receiver: str) -> dict[str, object]:
    found: dict[str, object] = {
        "global": {"scrape_interval": pace.interval, "evaluation_interval": pace.interval},
        "rule_files": ["rules.yml"],
        "scrape_configs": [  # vLLM's /metrics needs no key, with --api-key either
            {"job_name": "vllm", "file_sd_configs": [{"files": ["targets/*.json"], "refresh_interval": "5s"}]}
        ],
    }
    if receiver:
        to = {"static_configs": [{"targets": [receiver.removeprefix("http://")]}]}
        found["alerting"] = {
            "alertmanagers": [to | {"authorization": {"credentials_file": str(token_file().resolve())}}]
        }
    return found


def _free(wanted: int) -> int:
    for port in (wanted, 0):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise StageFailed("No port is free on 127.0.0.1", do="Name one with --port")


def _ready(running: processes.Running) -> bool:
    import httpx

    if processes.exit_code(running) is not None:
        raise StageFailed(f"Prometheus ended while it started (log: {running.log})", do="Read the log")
    try:
        return httpx.get(f"{running.url}/-/ready", timeout=5).is_success
    except httpx.HTTPError:
        return False


def main() -> int:
    """Run one of the commands and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers.local.monitor", description=__doc__)
    parser.add_argument("command", choices=("up", "down"))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--slow", action="store_true", help="windows of ten minutes, as on a cluster")
    parser.add_argument("--trigger", action="store_true", help="receive alerts and start runs, till Ctrl-C")
    parser.add_argument(
        "--cool-down", type=float, default=COOL_DOWN, help="seconds: a version is measured once in them"
    )
    arguments = parser.parse_args()
    try:
        if arguments.command == "down":
            print(down())
            return 0
        records = newest(connect(stack.up()).records())
        found = Triggers(folder(), start, arguments.cool_down)
        receiving = server(found, token_file().read_text()) if arguments.trigger else None
        address = f"http://127.0.0.1:{receiving.server_port}" if receiving else ""
        pace = EARNEST if arguments.slow else HERE
        print(f"Prometheus: {up(records, port=arguments.port, pace=pace, receiver=address)}")
        print(f"rules of {len(records)} records: {', '.join(each.selection.label for each in records) or 'none'}")
        if receiving:
            print(f"alerts come to {address}, decisions stand in {found.file}; Ctrl-C ends this", flush=True)
            receiving.serve_forever()
    except AssayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.run(main, "Prometheus runs, or make monitor starts it"))
