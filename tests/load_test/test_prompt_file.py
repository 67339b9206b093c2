from __future__ import annotations

import json
from itertools import islice

from helpers.load_test.prompt_file import requests
from helpers.load_test.workload import NONCE


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


def test_where_one_row_is_a_conversation_all_are_sent_as_messages_and_begin_alike_in_no_two_requests(tmp_path):
    turns = [("user", "Name three rivers."), ("assistant", "Rhine, Elbe, Oder."), ("user", "And the longest?")]
    rows = [{"prompt": "drain"}, {"messages": [{"role": role, "content": content} for role, content in turns]}]
    path = tmp_path / "prompts.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)))
    sent = list(islice(requests(str(path)), 6))
    assert {tuple(row) for row in sent} == {("messages", "output_tokens_count")}
    assert sorted(len(row["messages"]) for row in sent) == [1, 1, 1, 3, 3, 3]
    assert len({row["messages"][0]["content"] for row in sent}) == 6
    longest = max(sent, key=lambda row: len(row["messages"]))["messages"]
    assert [(turn["role"], turn["content"][-9:]) for turn in longest] == [(role, text[-9:]) for role, text in turns]


def test_guidellm_sends_these_columns_as_a_chat(tmp_path):
    from guidellm.backends.openai.request_handlers import _recorded_chat_messages
    from guidellm.data.preprocessors.mappers import GenerativeColumnMapper
    from guidellm.schemas.data.preprocessors import GenerativeColumnMapperArgs

    from datasets import IterableDataset

    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({"messages": [{"role": "system", "content": "a"}, {"role": "user", "content": "b"}]}))
    data = IterableDataset.from_generator(requests, gen_kwargs={"path": str(path)})
    mapper = GenerativeColumnMapper(GenerativeColumnMapperArgs())
    mapper.setup_data([data])
    row = next(iter(data))
    (columns,) = mapper([{"dataset": row}])
    assert _recorded_chat_messages(columns) == row["messages"]
    assert columns["output_tokens_count_column"] == [128]
