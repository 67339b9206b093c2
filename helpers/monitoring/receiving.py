"""A receiver of alerts on this machine: it answers at once, and whoever posts needs the token."""

from __future__ import annotations

import hmac
import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from helpers.errors import AssayError, InvalidInput
from helpers.monitoring.triggers import Triggers, of_body

LONGEST = 1 << 20  # bytes of a body


def server(triggers: Triggers, token: str, port: int = 0, say: Callable[[str], object] = print) -> ThreadingHTTPServer:
    """Return a server on loopback that is not serving yet. Alertmanager and Prometheus post to any path of it.

    Whoever posts tries again after 5xx and not after 4xx.
    """

    class Handler(BaseHTTPRequestHandler):
        timeout = 30

        def do_POST(self) -> None:
            given, length = self.headers.get("Authorization", ""), self.headers.get("Content-Length", "")
            if not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
                return self._answer(401, {"error": "the bearer token is not the receiver's"})
            if not length.isdigit() or int(length) > LONGEST:
                return self._answer(413, {"error": f"a body has a length of at most {LONGEST} bytes"})
            try:
                raised = of_body(json.loads(self.rfile.read(int(length))))
            except (InvalidInput, ValueError) as error:
                return self._answer(400, {"error": str(error)})
            agent = self.headers.get("User-Agent", "").partition("/")[0].lower() or "webhook"
            try:
                decided = triggers.take(raised, agent)
            except AssayError as error:
                say(f"{type(error).__name__}: {error}")
                return self._answer(503, {"error": type(error).__name__})
            for line in decided:
                about = line.raised
                say(f"{about.model} {about.version}: {about.alert}: {line.decision} {line.run}".rstrip())
            return self._answer(200, [line.model_dump(mode="json", include={"decision", "run"}) for line in decided])

        def _answer(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: each decision is a line of triggers.jsonl."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)
