"""Prompts in the formats that people have: what is read, filled in, left out, and refused by line and field."""

from __future__ import annotations

import json

import pytest

from helpers.datasets import load_prompts, read_prompts
from helpers.errors import InvalidDataset

MAILS = (
    "\ufeffTicket;Betreff;Text;Kategorie\r\n"
    '4711;Rechnung;"Guten Tag,\r\n\r\nmeine Rechnung ""März"" fehlt; bitte senden.\r\n";Abrechnung\r\n'
    "4712;Zugang;Ich komme nicht mehr ins Portal.;Technik\r\n"
    "4713;Zugang;Ich komme nicht mehr ins Portal.;Technik\r\n"
    ";;;\r\n"
)
SHARED = [
    {
        "id": "QWJ_0",
        "conversations": [
            {"from": "human", "value": "Name three rivers."},
            {"from": "gpt", "value": "Rhine, Elbe, Oder."},
            {"from": "human", "value": "And the longest?"},
            {"from": "gpt", "value": "The Rhine is the longest of them here."},
        ],
    },
    {"id": "QWJ_1", "conversations": [{"from": "gpt", "value": "…and so on."}, {"from": "human", "value": "Go on"}]},
    {
        "id": "QWJ_2",
        "conversations": [
            {"from": "human", "value": "Weather?"},
            {"from": "function_call", "value": "{}"},
            {"from": "observation", "value": "{}"},
        ],
    },
    {"id": "QWJ_3", "conversations": [{"from": "gpt", "value": "Hello, I am here."}]},
    {"id": "QWJ_4", "conversations": []},
    {"id": "QWJ_5", "conversations": [{"from": "human", "value": ""}, {"from": "gpt", "value": "?"}]},
]


def written(tmp_path, name, content):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8", newline="")
    return path


def test_a_text_file_is_one_prompt_a_line(tmp_path):
    found = read_prompts(written(tmp_path, "asked.txt", "Drain a node\n\n  What is etcd?\r\nDrain a node\nA\u2028B\n"))
    assert [row.prompt for row in found.rows] == ["Drain a node", "What is etcd?", "A\u2028B"]
    assert [row.line for row in found.rows] == [1, 3, 5]
    assert len({row.id for row in found.rows}) == 3
    assert {row.output_tokens for row in found.rows} == {128}
    assert [note for note in found.notes if "line 4" in note], "the duplicate is told"


def test_a_table_is_read_as_office_writes_it(tmp_path):
    found = read_prompts(written(tmp_path, "mails.csv", MAILS))
    first, second = found.rows
    assert first.prompt.splitlines()[-1] == 'meine Rechnung "März" fehlt; bitte senden.'
    assert (first.line, second.line) == (2, 6)
    assert [note for note in found.notes if all(name in note for name in ("Ticket", "Betreff", "Kategorie"))]


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_known_columns_are_taken_by_name(tmp_path, delimiter):
    head = delimiter.join(("Prompt", "ID", "output_tokens", "category"))
    content = f"{head}\n{delimiter.join(('drain', 'a-1', '17', 'nodes'))}\n{delimiter.join(('cordon', '', '', ''))}\n"
    given, filled = load_prompts(written(tmp_path, "p.csv", content))
    assert (given.id, given.category, given.prompt, given.output_tokens) == ("a-1", "nodes", "drain", 17)
    assert (filled.prompt, filled.output_tokens) == ("cordon", 128)


def test_of_a_conversation_the_last_turn_of_the_user_is_measured_with_what_was_said_before(tmp_path):
    found = read_prompts(written(tmp_path, "sharegpt.json", SHARED))
    long, cut = found.rows
    assert [turn["role"] for turn in long.messages] == ["user", "assistant", "user"]
    assert long.prompt == "And the longest?"
    assert long.output_tokens == round(len("The Rhine is the longest of them here.") / 4)
    assert cut.messages == [{"role": "user", "content": "Go on"}]
    for left_out in ("tools", "no user speaks", "no text"):
        assert [note for note in found.notes if left_out in note], found.notes


def test_messages_as_openai_writes_them(tmp_path):
    parts = [{"type": "text", "text": "What is"}, {"type": "text", "text": "this?"}]
    rows = [
        {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}]},
        {"messages": [{"role": "user", "content": [*parts, {"type": "image_url", "image_url": {"url": "x"}}]}]},
    ]
    (row,) = load_prompts(written(tmp_path, "m.jsonl", "\n".join(map(json.dumps, rows))))
    assert row.messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "What is\nthis?"}]


def test_fields_that_can_be_filled_are_filled_and_others_are_told(tmp_path):
    rows = [{"prompt": "a", "user": "u1"}, {"prompt": "b", "id": 7, "output_tokens": 3, "user": "u2"}]
    found = read_prompts(written(tmp_path, "p.jsonl", "\n".join(map(json.dumps, rows))))
    assert [(row.id, row.output_tokens) for row in found.rows] == [("line-1", 128), ("7", 3)]
    assert [note for note in found.notes if "user" in note]


@pytest.mark.parametrize(
    "row",
    [
        {"idx": 3, "prompt": "a"},
        {"uid": "u", "prompt": "a"},
        {"prompt": "a", "input_tokens": 7},
        {"prompt": "a", "subcategory": "x"},
        {"prompt_id": "x", "messages": [{"role": "user", "content": "a"}]},
        {"ID": "x", "Prompt": "a"},
        {"prompt": "a", "id": 3, "category": 4},
        {"conversations": [{"from": "Human", "value": "a"}, {"from": "GPT", "value": "b"}]},
        {"messages": [{"role": None, "from": "prompter", "value": "a"}]},
    ],
)
def test_fields_and_roles_of_other_peoples_files_are_no_faults(tmp_path, row):
    (found,) = load_prompts(written(tmp_path, "p.jsonl", json.dumps(row)))
    assert found.prompt == "a"


def test_an_instruction_is_sent_with_what_it_is_about(tmp_path):
    rows = [{"instruction": "Sum up", "input": text, "output": "-"} for text in ("one", "two", "")]
    found = load_prompts(written(tmp_path, "alpaca.json", rows))
    assert [row.prompt for row in found] == ["Sum up\n\none", "Sum up\n\ntwo", "Sum up"]


def test_a_table_may_have_long_cells_empty_ends_and_numbers_as_pandas_writes_them(tmp_path):
    long = "word " * 60_000
    content = f"prompt,output_tokens\n{long},128.0,\nb,,,\n"
    first, second = load_prompts(written(tmp_path, "p.csv", content))
    assert (first.prompt, first.output_tokens, second.prompt) == (long, 128, "b")


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("p.jsonl", '{"prompt": "a", "output_token": 5}', "line 1, field output_token:"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": " "}\n{"id": "x"}', "line 2, field prompt:"),
        ("p.jsonl", '{"prompt": "a"}\n{"prompt": " "}\n{"id": "x"}', "line 3, field prompt:"),
        ("p.jsonl", '{"prompt": "a", "output_tokens": "many"}', "line 1, field output_tokens:"),
        ("p.jsonl", '{"prompt": "a", "id": "x"}\n{"prompt": "b", "id": "x"}', "line 2, field id:"),
        ("p.csv", "subject,body\na,b\n", "line 1, field prompt:"),
        ("p.csv", 'prompt\n"never closed\nand on', "line 2, field the whole line:"),
        ("p.csv", "prompt,id\na,1\nb,2,3\n", "line 3, field the whole line:"),
        ("p.csv", "prompt,output_tokens\na,12 tokens\n", "line 2, field output_tokens:"),
        ("p.json", '[\n {"prompt": "a"},\n {"prompt": \n', "line 3: not JSON"),
        ("p.json", '[\n {"prompt": "a"},\n 7,\n {"conversations": "b"}]', "line 4, field conversations:"),
        ("p.json", '[\n {"prompt": "a"},\n 7]', "line 3, field the whole line:"),
        ("p.json", '[{"messages": [{"role": "alien", "content": "b"}]}]', "line 1, field messages.0.role:"),
        ("p.txt", "caf\udce9", "line 1: not UTF-8"),
        ("p.parquet", "PAR1", "is in no format"),
        ("p.json", '[{"prompt": "a"}]\n{"prompt": "b"}', "line 1: not JSON"),
        ("p.json", '[{"messages": [{"role": ["user"], "content": "b"}]}]', "line 1, field messages.0.role:"),
        ("p.jsonl", '{"prompt": "a", "catagory": "x"}', "line 1, field catagory:"),
        ("p.json", "[]", "holds no prompt"),
        ("p.json", '[{"messages": [{"role": "assistant", "content": "b"}]}]', "holds no prompt"),
        ("p.json", '[{"prompt": "\\ud800"}]', "line 1, field prompt:"),
    ],
)
def test_what_cannot_be_read_is_named_by_line_and_field(tmp_path, name, content, told):
    path = tmp_path / name
    path.write_bytes(content.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidDataset) as refused:
        load_prompts(path)
    assert str(path) in refused.value.what
    assert told in refused.value.what


@pytest.mark.parametrize("header", ["prompt,output_token,id", "prompt,id,id", "Prompt,ID,id"])
def test_a_mistake_in_a_header_is_told_once(tmp_path, header):
    path = written(tmp_path, "p.csv", f"{header}\n" + "".join(f"p{row},5,{row}\n" for row in range(9)) + ",5,9\n")
    with pytest.raises(InvalidDataset) as refused:
        load_prompts(path)
    assert refused.value.what.count("line ") == 2, "the header, and the row without a prompt"
    assert "line 1, field " in refused.value.what
    assert "line 11, field prompt" in refused.value.what


def test_what_a_lacking_field_is_for_is_said(tmp_path):
    path = written(tmp_path, "p.jsonl", '{"id": "x"}')
    with pytest.raises(InvalidDataset, match=r"field prompt: .*\(the request\)"):
        load_prompts(path)
