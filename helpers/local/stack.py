"""The embedded stack: `python -m helpers.local.stack up|down|status` for the registry on this machine."""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys

from helpers import processes
from helpers.artifacts import now, write_atomic
from helpers.errors import AssayError, RegistryUnreachable
from helpers.polling import wait_for
from helpers.workspace import home

HANDLE = "registry"
PORT = 8085


def up(port: int = 0) -> str:
    """Start the registry unless it runs, wait until it answers, and return its address (port 0: 8085 if free)."""
    if running := processes.find(HANDLE):
        return running.url
    running = _start(port or _preferred_port())

    def ready() -> bool:
        if processes.exit_code(running) is not None:
            raise RegistryUnreachable(f"The registry ended while it started (log: {running.log})", do="Read the log")
        return _answers(running.url)

    wait_for(ready, what=f"{running.url}/readyz/health", do=f"Read {running.log}", timeout=30, interval=0.1)
    write_atomic(home() / "registry.json", json.dumps({"address": running.url}).encode())
    return running.url


def down() -> str:
    """End the registry; its database stays."""
    if not (running := processes.find(HANDLE)):
        return "the registry is not running"
    processes.end(running)
    (home() / "registry.json").unlink(missing_ok=True)
    return f"the registry at {running.url} is down; its database stays in {home() / 'registry.db'}"


def status() -> list[str]:
    """Say what runs: the registry, and every deployment with the time it removes itself."""
    lines = [f"{item.handle}: {item.url}" + _until(item) for item in processes.all_running()]
    return lines or ["nothing runs"]


def _until(item: processes.Running) -> str:
    return f" until {item.expires:%H:%M:%S} UTC" if item.expires else ""


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{url}/readyz/health", timeout=5).is_success
    except httpx.HTTPError:
        return False


def _preferred_port() -> int:
    for port in (PORT, 0):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise RegistryUnreachable("No port is free on 127.0.0.1", do="End some servers, then run make up again")


def _start(port: int) -> processes.Running:
    log = home() / "logs" / "registry.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    database = home() / "registry.db"
    command = [sys.executable, "-m", "helpers.local.registry", "--port", str(port), "--database", str(database)]
    with log.open("ab") as file:
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, start_new_session=True
        )
    return processes.save(
        processes.Running(
            handle=HANDLE,
            pid=process.pid,
            created=processes.created(process.pid),
            url=f"http://127.0.0.1:{port}",
            log=log,
            started=now(),
        )
    )


def main() -> int:
    """Run one of the commands and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers.local.stack", description=__doc__)
    parser.add_argument("command", choices=("up", "down", "status"))
    parser.add_argument("--port", type=int, default=0)
    arguments = parser.parse_args()
    try:
        lines = {"up": lambda: [f"registry: {up(arguments.port)}"], "down": lambda: [down()], "status": status}
        print("\n".join(lines[arguments.command]()))
    except AssayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
