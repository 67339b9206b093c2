"""A real web page that is open on this machine can neither read nor change the embedded registry."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest

MODELS = "/api/model_registry/v1alpha3/registered_models"
TRIES = """async url => {
    const body = JSON.stringify({name: "by-a-page"}), said = [];
    const ways = [
        {method: "GET"}, {method: "GET", mode: "no-cors"},
        {method: "POST", body}, {method: "POST", body, mode: "no-cors"},
        {method: "POST", body: new Blob([body]), mode: "no-cors"},
        {method: "POST", body, headers: {"Content-Type": "application/json"}},
        {method: "PATCH", body, headers: {"Content-Type": "application/json"}},
    ];
    for (const way of ways) {
        try { const answer = await fetch(url, way); said.push(answer.type + answer.status + await answer.text()) }
        catch (error) { said.push("refused") }
    }
    navigator.sendBeacon(url, body);
    const form = Object.assign(document.createElement("form"), {action: url, method: "post", enctype: "text/plain"});
    form.append(Object.assign(document.createElement("input"), {name: body.slice(0, -1) + ',"x":"', value: '"}'}));
    document.body.append(form);
    form.target = "frame";
    document.body.append(Object.assign(document.createElement("iframe"), {name: "frame"}));
    form.submit();
    await fetch(url).catch(() => 0);
    return said;
}"""


class Page(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>a page</title><body></body>")


@pytest.fixture
def site():
    with ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_a_page_gets_nothing_and_changes_nothing(page, complaints, site, registry_server):
    httpx.post(f"{registry_server.address}{MODELS}", json={"name": "a-secret-model"}).raise_for_status()
    page.goto(site)
    said = page.evaluate(TRIES, f"{registry_server.address}{MODELS}")
    assert len(said) == 7
    assert set(said) <= {"refused", "opaque0"}
    listed = httpx.get(f"{registry_server.address}{MODELS}").json()["items"]
    assert [item["name"] for item in listed] == ["a-secret-model"]
    complaints.clear()  # the browser says that it was refused
