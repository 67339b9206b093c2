from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from helpers.artifacts import PrefixCache
from helpers.load_test import read_prefix_cache
from helpers.load_test.prefix_cache import between

METRICS = """# TYPE vllm:prefix_cache_queries_total counter
vllm:prefix_cache_queries_total{engine="0",model_name="a b"} 1200.0
vllm:prefix_cache_queries_total{engine="1",model_name="a b"} 1.3e+03
vllm:prefix_cache_queries_created{engine="0",model_name="a b"} 1.79e+09
vllm:prefix_cache_hits_total{engine="0",model_name="a b"} 128.0
vllm:external_prefix_cache_hits_total{engine="0",model_name="a b"} 7.0
"""


@pytest.fixture
def metrics():
    class Handler(BaseHTTPRequestHandler):
        text = METRICS

        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(self.text.encode())

        def log_message(self, *_):
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", Handler
        server.shutdown()


def test_engines_are_added_up(metrics):
    assert read_prefix_cache(metrics[0]) == PrefixCache(queries=2500, hits=128)


def test_another_engine_has_no_such_counters(metrics):
    metrics[1].text = "process_cpu_seconds_total 4.0\n"
    assert read_prefix_cache(metrics[0]) is None


def test_no_server_is_no_number():
    assert read_prefix_cache("http://127.0.0.1:9") is None


def test_only_what_was_counted_meanwhile_is_kept():
    before, after = PrefixCache(queries=100, hits=50), PrefixCache(queries=300, hits=60)
    assert between(before, after) == PrefixCache(queries=200, hits=10)
    assert between(None, after) is None
    assert between(after, before) is None  # the server started anew
