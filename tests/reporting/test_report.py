"""The report can be sent: one file that asks for nothing, says everything, and believes no name or answer."""

from __future__ import annotations

import base64
import re
from html.parser import HTMLParser

import matplotlib
import pytest

from helpers.analysis.comparison import compare
from helpers.analysis.comparison.requests import first_tokens
from helpers.analysis.recommendation import Needs, decide, load_prices
from helpers.artifacts import Record
from helpers.reporting.page import Provenance, Sections, Table, folded, write_report
from helpers.reporting.page.provenance import facts
from helpers.reporting.page.sections import _lineage
from tests.plugins.criteria import asked
from tests.plugins.models import PRICES
from tests.plugins.records import CHAT, CHAT_REPEATS, a_record, a_sweep, renamed, some_samples
from tests.plugins.stored import repeated, stored

matplotlib.use("Agg")
HOSTILE = "</style></title><script>alert(1)</script><img src=http://evil.invalid/x onerror=alert(2)>\"'&$\\frac{$"
VOID = {"meta", "link", "img", "br", "hr"}


class Page(HTMLParser):
    """Everything in a page that a browser would act on; fails where an element is not closed in its order."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.words, self.styles, self.scripts, self._open = [], [], [], [], []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        {"style": self.styles, "script": self.scripts}.get(self._open[-1] if self._open else "", self.words).append(
            data
        )

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def all(self, *names):
        return [attributes for tag, attributes in self.tags if tag in names]


def written(folder, *, names=("ops-small", "ops-large"), change=None, needs=None, waits=True, broken=()):
    """A report over versions of the given names, each a little better and slower than the one before."""
    kept, logs = [], {}
    for place, name in enumerate(names):
        log = some_samples(0.5 + 0.25 * place, seed=place + 1)
        if change:
            change(log)
        sweep = a_sweep(1 + place, none_meets=name in broken)
        made = a_record(f"model-{place}", samples=log, sweep=repeated(sweep))
        record, _ = stored(renamed(made, name), log, folder / "store")
        kept.append(record)
        logs[record.record_id] = log
    comparison = compare(kept, logs)
    decision = decide(comparison, asked(), needs or Needs(target_rate=40), load_prices(PRICES))
    found = first_tokens(kept) if waits else None
    report = write_report(Sections(comparison, decision, kept, found), folder / "artifacts")
    return comparison, decision, Page(report.path.read_text())


@pytest.fixture(scope="module")
def usual(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    return *written(folder), folder / "artifacts" / "report.html"


def references(page):
    for _, attributes in page.tags:
        yield from (attributes[name] for name in ("src", "href", "action", "data", "poster") if name in attributes)
        assert "srcset" not in attributes
    for style in (*page.styles, *(a["style"] for _, a in page.tags if a.get("style"))):
        yield from re.findall(r"url\(([^)]*)\)", style)
        assert "@import" not in style


def test_it_is_one_file_that_asks_for_nothing(usual):
    _, _, page, _ = usual
    found = list(references(page))
    assert len([address for address in found if address.startswith("data:image/svg+xml;base64,")]) == 6
    assert all(address.startswith("data:") for address in found)
    assert not re.search(r"fetch|XMLHttp|import|https?:", "".join(page.scripts))
    [policy] = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; img-src data:")


def test_the_pictures_ask_for_nothing_either(usual):
    _, _, page, _ = usual
    for image in page.all("img"):
        picture = base64.b64decode(image["src"].partition(",")[2]).decode()
        linked = re.findall(r"(?:href|src)=\"([^\"]*)\"|url\(([^)]*)\)", picture)
        assert all(
            address.startswith(("#", "data:image/png;base64,")) for pair in linked for address in pair if address
        )
        assert "<script" not in picture


def test_it_says_every_version_with_its_figures_and_intervals(usual):
    comparison, decision, page, _ = usual
    assert decision.sentence in page.text
    assert comparison.verdict in page.text
    for row in comparison.standings:
        assert f"{row.accuracy:.3f}" in page.text
        assert f"{row.interval.low:.3f} to {row.interval.high:.3f}" in page.text
        there = row.at(decision.common_load)["ttft_p95_ms"]
        assert f"{there.value:.0f} {there.noise.low:.0f} to {there.noise.high:.0f}" in page.text
    [pair] = comparison.pairs
    assert f"{pair.paired.interval.low:+.3f} to {pair.paired.interval.high:+.3f}" in page.text
    assert decision.prices in page.text
    for flip in [flip for flip in comparison.flips if flip.correct["ops-small 1.0"]][:4]:
        assert flip.text in page.text, "a question that only the less accurate one answers"


def test_it_can_be_read_without_seeing_it(usual):
    _, _, page, _ = usual
    assert page.all("html") == [{"lang": "en"}]
    assert page.text.startswith(" ops_assistant: take ops-")
    assert all("ops-small 1.0" in image["alt"] and "ops-large 1.0" in image["alt"] for image in page.all("img"))
    assert len(page.all("caption")) == len(page.all("table")) >= 4
    assert {head["scope"] for head in page.all("th")} == {"col", "row"}
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {section["aria-labelledby"] for section in page.all("section")} == set(ids)


def test_where_it_is_from_is_there_and_closed(usual):
    comparison, _, page, _ = usual
    assert page.all("details")
    assert all("open" not in details for details in page.all("details"))
    for row in comparison.standings:
        for fact in (row.digest, row.record_id, row.dataset_digest):
            assert fact in page.text
    for fact in ("guidellm 0.8.1", "lm_eval 0.4.13", "2 x Xeon", "--dtype bfloat16", "max_seconds 30", "record.json"):
        assert fact in page.text


def test_names_and_answers_from_strangers_are_text(tmp_path):
    def poison(log):
        hostile = {"input": HOSTILE, "category": HOSTILE[:20], "expected": f"{HOSTILE} 0", "output": f"{HOSTILE} 1"}
        log[:] = [sample.model_copy(update=hostile) for sample in log]

    _, _, page = written(tmp_path, names=("a<b>&\"' $\\frac{$", "$x$ </script>"), change=poison)
    assert HOSTILE in page.text
    assert len(page.scripts) == len(page.all("script")) == 1
    assert len(page.all("style")) == 1
    assert all(address.startswith("data:") for address in references(page))
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]


def test_what_is_missing_is_said(tmp_path):
    _, decision, page = written(tmp_path, names=("lonely",), broken=("lonely",))
    assert decision.recommended is None
    assert decision.headline in page.text
    assert decision.sentence in page.text
    assert page.text.count("n/a: there is one version only.") == 2
    assert "n/a: no request's times could be read." in page.text
    assert "lonely 1.0: no load met the SLO" in page.text


def test_a_version_without_an_operating_point_stands_beside_the_others(tmp_path):
    _, _, page = written(tmp_path, names=("small", "large"), broken=("large",))
    assert "misses: a load within the SLO" in page.text
    assert "large 1.0: no load met the SLO" in page.text


def test_raw_files_that_are_gone_are_told_and_the_rest_is_shown(tmp_path):
    log = some_samples(0.5)
    records = [stored(a_record(name, samples=log, sweep=repeated(a_sweep())), log, tmp_path)[0] for name in ("a", "b")]
    (tmp_path / records[0].record_id / CHAT.report).unlink()
    cut = tmp_path / records[1].record_id / CHAT_REPEATS.report
    waits = first_tokens(records)
    assert list(waits.runs) == ["b 1.0"]
    assert [len(run) for run in waits.runs["b 1.0"]] == [60] * 4
    assert f"{CHAT.report} is not in the store" in waits.missing[0]
    cut.write_text(cut.read_text()[:100])
    assert first_tokens(records).missing[1].startswith("b 1.0: its requests cannot be read")
    nowhere = records[0].model_copy(update={"raw": {}})
    assert f"names no place for {CHAT.report}" in first_tokens([nowhere]).missing[0]


def test_repeats_of_a_load_that_did_not_hold_are_not_shown_as_the_operating_points(tmp_path):
    log, sweep = some_samples(0.5), repeated(a_sweep())
    sweep = sweep.model_copy(update={"not_held": (sweep.points[-1],) * 3})
    record, _ = stored(a_record("a", samples=log, sweep=sweep), log, tmp_path)
    waits = first_tokens([record]).runs["a 1.0"]
    assert len(waits) == 4
    assert max(map(max, waits)) < 5 * sweep.chosen.ttft_ms.p50


def test_a_models_name_is_written_as_it_is_where_a_sentence_begins_with_it(tmp_path):
    names = [f"model-{number:02}" for number in range(6)]
    _, decision, page = written_many(tmp_path, names)
    told = [doubt.text for doubt in decision.doubts if doubt.text.startswith("model-")]
    assert told
    assert told[0] in page.text
    assert "Model-" not in page.text


def test_many_versions_leave_one_page(tmp_path):
    names = [f"model-{number:02}" for number in range(14)]
    comparison, decision, page = written_many(tmp_path, names)
    assert len(decision.shown) == 12
    assert "2 more versions were compared" in page.text
    hidden = {row.label for row in comparison.standings} - set(decision.shown)
    assert not [label for label in hidden for image in page.all("img") if label in image["alt"]]
    assert len(page.all("details")) == 1 + 12


def written_many(folder, names):
    records, logs = [], {}
    for place, name in enumerate(names):
        log = some_samples(0.3 + 0.04 * place, n=60, seed=place)
        records.append(a_record(name, samples=log, sweep=a_sweep(1 + place / 10)))
        logs[records[-1].record_id] = log
    comparison = compare(records, logs)
    decision = decide(comparison, asked(), Needs(), load_prices(PRICES))
    kept = [record for record in records if record.selection.label in decision.shown]
    return comparison, decision, Page(write_report(Sections(comparison, decision, kept), folder).path.read_text())


def test_figures_are_aligned_and_words_are_not():
    table = Table("Some", ["name", "x", "hardware", "noise", "none"], [["a", "1,200", "2 x Xeon", "1 to 2", "n/a"]])
    assert table.numeric == [False, True, False, True, True]
    page = Page(table._repr_html_())
    assert [cell.get("class") for cell in page.all("td")] == [
        "assay-number",
        "assay-short",
        "assay-number",
        "assay-number",
    ]


def test_a_notebooks_table_escapes_and_a_folded_one_is_closed():
    table = Table("Answers", ["question", "answer"], [["1", HOSTILE], ["2", "x" * 1000]])
    page = Page(folded(table, "All 2")._repr_html_())
    assert len(page.all("script")) == 1
    assert not page.all("img")
    assert page.all("details") == [{}]
    assert "x" * 400 not in page.text


def test_the_provenance_of_a_record_names_where_it_lies(tmp_path):
    log = some_samples(0.5)
    record, uri = stored(a_record(samples=log), log, tmp_path)
    assert uri in Page(Provenance([record])._repr_html_()).text
    assert record.raw[Record.filename] == uri


def test_a_tuned_version_names_its_parent(tmp_path):
    parent = a_record("granite", samples=(log := some_samples(0.5)))
    tuned = a_record("granite-ops", samples=log, parent=parent.selection.digest)
    assert [*_lineage([parent, tuned])] == ["granite-ops 1.0 was tuned from granite 1.0."]
    assert [*_lineage([tuned])] == [f"granite-ops 1.0 was tuned from {parent.selection.digest}."]
    assert facts(tuned)["tuned from"] == parent.selection.digest
    assert "tuned from" not in facts(parent)
