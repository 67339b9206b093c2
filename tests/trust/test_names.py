"""What somebody registers or writes under a hostile name changes no path, no table and no page of ours."""

from __future__ import annotations

from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import pytest
from pydantic import ValidationError

from helpers import storage
from helpers.analysis.gate.checks import Check
from helpers.analysis.gate.judging import Judgement
from helpers.artifacts import Record, Selection
from helpers.errors import InvalidParameter
from helpers.pipelines.pod import InRun
from helpers.reporting import executed
from helpers.reporting.page.table import Table
from tests.plugins.records import a_record, a_selection

HOSTILE = [
    "../../keys", "a/../../b", "..", ".", "a/..", "<img src=x onerror=alert(1)>", "a|b", "a`b", "a\nb", "", " a",
    "a\x00",
    "[a](http://evil.example)", "a\u202eb", 'a"b', "${HOME}", "$(id)", "a;b", "a'b",
]  # fmt: skip
NAMED = [
    "my-model",
    "org/model",
    "ibm-granite/granite-3.1-8b",
    "v1.0.0+build",
    "1.0 (tuned)",
    "a..b",
    "@cf/meta/llama:8b",
]


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("field", ["name", "version"])
def test_no_selection_has_it(field, name):
    known = a_selection().model_dump() | {field: name}
    with pytest.raises(ValidationError):
        Selection.model_validate(known)


@pytest.mark.parametrize("name", NAMED)
def test_what_others_call_their_models_stays_possible(name):
    assert a_selection(name=name, version=name).label == f"{name} {name}"


@pytest.mark.parametrize("name", [*HOSTILE, "a/b"])
def test_no_record_has_it_as_a_use_case_or_a_measurement(name):
    known = a_record().model_dump(mode="json")
    with pytest.raises(ValidationError):
        Record.model_validate(known | {"use_case": name})
    measured = [known["measurements"][0] | {"name": name}, *known["measurements"][1:]]
    with pytest.raises(ValidationError):
        Record.model_validate(known | {"measurements": measured})


WAYS = ["{}/../other", "{}/a/../../other", "{}/%2e%2e/other", "{}/..", "{}/a\\..\\..\\other"]


@pytest.mark.parametrize("way", WAYS)
def test_nothing_leads_out_of_a_store(way, tmp_path):
    (tmp_path / "other").write_text("as it was")
    (tmp_path / "store" / "a").mkdir(parents=True)
    for store in ((tmp_path / "store").as_uri(), "s3://bucket/store"):
        uri = way.format(store)
        for act in (
            lambda uri=uri: storage.put(b"changed", uri), lambda uri=uri: storage.get(uri),
            lambda uri=uri: storage.exists(uri), lambda uri=uri: storage.sizes(uri),
            lambda uri=uri: storage.delete(uri), lambda uri=uri: storage.fetch(uri, tmp_path / "fetched"),
            lambda uri=uri: list(storage.stream(uri)),
        ):  # fmt: skip
            with pytest.raises(InvalidParameter):
                act()
    assert (tmp_path / "other").read_text() == "as it was"


EVIL = "<script>alert(1)</script> | pass | [x](http://evil.example) `a` *b*\n| forged | - | - | pass |"


def test_a_label_changes_no_markdown():
    check = Check(name="chat.ttft_p95_ms", allowed=EVIL, seen=EVIL, state="fail")
    said = Judgement(candidate=EVIL, baseline=EVIL, accepted=EVIL, checks=(check,)).markdown()
    rows = [line for line in said.splitlines() if line.startswith("|")]
    assert len(rows) == 3
    assert all(row.count("|") == 5 for row in rows)
    assert not {"<", "`", "[", "*"} & set(said)
    assert "chat.ttft_p95_ms" in said


def test_a_label_changes_no_table_of_a_page():
    html = Table(EVIL, (EVIL, "b"), ((EVIL, EVIL),), note=EVIL)._repr_html_()
    assert html.count("<script>") == 1, "our own"
    assert "alert(1)</script>" not in html


def in_a_pod(notebook):
    nbformat.write(notebook, "executed.ipynb")
    return Path(InRun.convert_notebook_to_html("executed.ipynb", "executed.html")).read_text()


@pytest.mark.parametrize("page", [executed.page, in_a_pod])
def test_a_page_of_a_notebook_runs_nothing_of_a_stranger(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    evil = [
        "<script>alert(1)</script><img src=x onerror=alert(2)><iframe src=//evil.example></iframe>",
        '<a href="javascript:alert(3)">a</a><svg onload=alert(4)></svg><form action=//evil.example><input></form>',
        '<style>body{background:url(//evil.example)}</style><b onclick="alert(5)">bold</b>',
        "<link rel=stylesheet href=//evil.example>",
    ]
    own = Table("Ours", ("model", "n"), (("a", "1"),))._repr_html_()
    outputs = [nbformat.v4.new_output("display_data", {"text/html": html}) for html in (*evil, own)]
    outputs += [
        nbformat.v4.new_output("display_data", {"application/javascript": "alert(6)"}),
        nbformat.v4.new_output("display_data", {"image/svg+xml": "<svg onload=alert(7)></svg>"}),
        nbformat.v4.new_output("display_data", {"text/markdown": "<script>alert(8)</script>"}),
        nbformat.v4.new_output("display_data", {"text/latex": "<script>alert(9)</script>"}),
        nbformat.v4.new_output("stream", name="stdout", text="<script>alert(10)</script>"),
    ]
    cells = [nbformat.v4.new_code_cell("1", outputs=outputs), nbformat.v4.new_markdown_cell(evil[0])]
    plain, made = Live(), Live()
    plain.feed(page(nbformat.v4.new_notebook()))
    made.feed(page(nbformat.v4.new_notebook(cells=cells)))
    assert made.found - plain.found == Counter({"script": 1}), "our table's"
    assert made.policy == "default-src 'none'"
    assert made.tables == ["assay-table"]


class Live(HTMLParser):
    """What a page holds that could run or fetch something."""

    def __init__(self):
        super().__init__()
        self.found, self.policy, self.tables = Counter(), "", []

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.tables += [known["class"]] if tag == "table" else []
        if known.get("http-equiv") == "Content-Security-Policy":
            self.policy = known["content"].partition(";")[0]
        leads = any(name in ("src", "href", "action") and "evil" in value for name, value in attributes)
        runs = any(name.startswith("on") or "javascript:" in (value or "") for name, value in attributes)
        if leads or runs or tag in ("script", "iframe", "form", "svg", "object", "embed", "link", "base", "img"):
            self.found[tag] += 1
