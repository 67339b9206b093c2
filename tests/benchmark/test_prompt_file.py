from __future__ import annotations

import json
from itertools import islice

from helpers.benchmark.prompt_file import requests
from helpers.benchmark.workload import NONCE


def test_rows_come_over_and_over_in_one_order_and_yet_none_twice(tmp_path):
    rows = [{"id": str(n), "category": "c", "prompt": f"prompt {n}", "output_tokens": n} for n in range(1, 6)]
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    first, again = list(islice(requests(str(path)), 12)), list(islice(requests(str(path)), 12))
    assert len({row["prompt"] for row in first + again}) == 24
    assert all(len(row["prompt"].split("prompt")[0]) == len(NONCE) for row in first)
    lengths = [row["output_tokens_count"] for row in first]
    assert lengths == [row["output_tokens_count"] for row in again]
    assert sorted(lengths[:5]) == [1, 2, 3, 4, 5]
    assert lengths[5:10] == lengths[:5]
