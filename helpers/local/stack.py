"""The embedded stack: `python -m helpers.local.stack up|down|status` for the registry on this machine."""

from __future__ import annotations

import argparse
import json
import os
import secrets
import socket
import subprocess
import sys
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from helpers.artifacts import now, write_atomic
from helpers.errors import AssayError, InvalidInput, InvalidPolicy, RegistryUnreachable
from helpers.ingestion.policy import load_policy
from helpers.local.registry.listening import address, listen
from helpers.registry import AttachedRecord, Registry, connect, housekeeping
from helpers.registry.address import LOCAL_FILE, LOCAL_TOKEN
from helpers.runtime import interrupts, processes, runs
from helpers.runtime.environment import without_secrets
from helpers.runtime.locks import held
from helpers.runtime.polling import wait_for
from helpers.runtime.workspace import ROOT, home

HANDLE = "registry"
NEWEST = 5  # runs and records that the status shows
PORT = 8085


def up(port: int = 0) -> str:
    """Start the registry unless it runs, wait until it answers, and return its address (port 0: 8085 if free)."""
    with _alone():  # of two at once, the second finds the first one's
        return _up(port)


def _alone() -> AbstractContextManager[bool]:
    """Hold the lock of who starts or ends the registry."""
    home().mkdir(parents=True, exist_ok=True)
    return held(home() / f".{HANDLE}.lock")


def _up(port: int) -> str:
    if running := processes.find(HANDLE):
        return _known(running.url)
    running = _start(port)

    def ready() -> bool:
        if processes.exit_code(running) is not None:
            raise RegistryUnreachable(f"The registry ended while it started (log: {running.log})", do="Read the log")
        return _answers(running.url)

    wait_for(ready, what=f"{running.url}/readyz/health", do=f"Read {running.log}", timeout=120, interval=0.1)
    return _known(running.url)


def _known(url: str) -> str:
    """Write down where the registry is, for connect("local"), and return it."""
    write_atomic(home() / LOCAL_FILE, json.dumps({"address": url}).encode())
    return url


def down() -> str:
    """End the registry; its database stays."""
    with _alone():
        if not (running := processes.find(HANDLE)):
            return "the registry is not running"
        processes.end(running)
        (home() / LOCAL_FILE).unlink(missing_ok=True)
    return f"the registry at {running.url} is down; its database stays in {home() / 'registry.db'}"


def status(all_runs: Path = ROOT / "runs") -> list[str]:
    """Say what there is: the registry, deployed servers, reviews that are due, the newest runs and records."""
    running = processes.find(HANDLE)
    lines = [f"registry: {running.url}" if running else "registry: down; make up starts it"]
    kinds = {
        "servers": [housekeeping.server_line(server) for server in housekeeping.servers()],
        "reviews due": reviews_due(connect(running.url, timeout=5)) if running else [],
        "runs": [housekeeping.run_line(folder, run) for folder, run in runs.of(all_runs)[:NEWEST]],
        "records": [housekeeping.record_line(each) for each in reversed(_records(running)[-NEWEST:])]
        if running
        else [],
    }
    for kind, told in kinds.items():
        lines += [f"{kind}: none"] if not told else [f"{kind}:", *(f"  {line}" for line in told)]
    return lines


def reviews_due(registry: Registry) -> list[str]:
    """Return a line for each version whose approval has to be looked at now, by the policy as it is here."""
    try:
        policy = load_policy(ROOT / "pipelines" / "policy.yaml").digest
    except InvalidPolicy:  # somebody edits it
        policy = ""
    due = {key: review for key, review in registry.reviews(policy).items() if review.due}
    versions = [each for each in registry.versions() if each.model_version_id in due]
    return [f"{each.name} {each.version}  {due[each.model_version_id]}" for each in versions]


def _records(running: processes.Running) -> list[AttachedRecord]:
    return connect(running.url, timeout=5).records(also_withdrawn=True)


def _answers(url: str) -> bool:
    import httpx

    try:
        return httpx.get(f"{url}/readyz/health", timeout=5).is_success
    except httpx.HTTPError:
        return False


def _listener(port: int) -> socket.socket:
    for number in [port] if port else [PORT, 0]:
        with suppress(InvalidInput):
            return listen("127.0.0.1", number)
    raise RegistryUnreachable(f"Port {port or PORT} is not free on 127.0.0.1", do="Name another with --port")


def _token() -> Path:
    """Return the file with the registry's token, made where it is missing: for this account's eyes only."""
    path = home() / LOCAL_TOKEN
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), open(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
        file.write(secrets.token_urlsafe(32))
    return path


def _start(port: int) -> processes.Running:
    log = home() / "logs" / "registry.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    # The child is given the socket: a port that is only looked up may be another's before the child takes it, and
    # then another's registry answers in its place.
    with log.open("ab") as file, _listener(port) as listener:
        url, given = address(listener), listener.fileno()
        command = [sys.executable, "-m", "helpers.local.registry", "--fd", str(given), "--token-file", str(_token())]
        process = subprocess.Popen(
            [*command, "--database", str(home() / "registry.db")], stdout=file, stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL, pass_fds=[given], start_new_session=True,
            env=without_secrets(os.environ),  # it outlives the command that starts it
        )  # fmt: skip
    return processes.save(
        processes.Running(
            handle=HANDLE,
            pid=process.pid,
            created=processes.created(process.pid),
            url=url,
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
        lines = {
            "up": lambda: [f"registry: {up(arguments.port)}"],
            "down": lambda: [down()],
            "status": lambda: status(),
        }
        print("\n".join(lines[arguments.command]()))
    except AssayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.run(main, "the registry is up, or make up starts it"))
