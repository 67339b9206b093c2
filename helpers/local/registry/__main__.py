"""Start the registry: prints one line with its address when it is ready."""

from __future__ import annotations

import argparse
import socket
import sqlite3
import sys
from collections.abc import Collection
from pathlib import Path

from helpers.errors import AssayError, InvalidInput, StoreFailed
from helpers.local.registry.listening import LOOPBACK, address, listen


def _arguments(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m helpers.local.registry", description=__doc__)
    where = parser.add_mutually_exclusive_group(required=True)
    where.add_argument("--port", type=int, help="0 picks a free one")
    where.add_argument("--fd", type=int, help="a listening socket that this process was given")
    parser.add_argument("--database", type=Path, required=True, help="SQLite file; made where it is missing")
    parser.add_argument("--token-file", type=Path, help="file with the bearer token that clients must send")
    parser.add_argument(
        "--host", default="127.0.0.1", help="address to listen on (default: %(default)s, this machine only)"
    )
    return parser.parse_args(argv)


def _read_token(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        token = path.read_text().strip()
    except OSError as error:
        raise InvalidInput(
            f"Token file {path}: {error.strerror}", do="Name a readable file with --token-file"
        ) from error
    if not token:
        raise InvalidInput(f"Token file {path} is empty", do="Put the token into it, or leave --token-file out")
    return token


def serve(listener: socket.socket, database: Path, token: str, hosts: Collection[str]) -> None:
    """Serve until a signal ends it; raises StoreFailed for an unusable file."""
    import uvicorn

    from helpers.local.registry.app import create_app

    try:
        app = create_app(database, token, hosts=hosts)
    except (sqlite3.Error, OSError) as error:
        raise StoreFailed(f"Registry database {database}: {error}", do="Name another file with --database") from error
    # Requests that come before the loop runs wait in the socket's queue, so this is early enough.
    print(f"Registry ready at {address(listener)}", flush=True)
    # The registry's client, used inside a request, fails under uvloop: hence asyncio.
    config = uvicorn.Config(app, loop="asyncio", log_level="warning", access_log=False, timeout_graceful_shutdown=5)
    uvicorn.Server(config).run(sockets=[listener])


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    arguments = _arguments(argv)
    try:
        given = None if arguments.fd is None else socket.socket(fileno=arguments.fd)
        listener = given or listen(arguments.host, arguments.port)
        # Who listens on every address is known under names that nobody told.
        hosts = () if arguments.host in ("0.0.0.0", "::") else (*LOOPBACK, arguments.host)
        serve(listener, arguments.database, _read_token(arguments.token_file), hosts)
    except AssayError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
