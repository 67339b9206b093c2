"""What a person reads of an inspection: whole sentences, and nothing of the stranger's that acts on the page."""

from helpers.ingestion.findings import Finding, Inspection
from helpers.ingestion.report import findings_table, report

LONG = "claims a header of 496,305,280 bytes in a file of 40, which no reader could hold, and more that must be read"


def inspection(*findings):
    return Inspection(
        source="<b>model</b>", files=3, size_bytes=12_345, findings=findings, policy_digest="sha256:aa",
        scanners={"assay": "0.1.0"},
    )  # fmt: skip


def test_the_table_shows_every_word_and_sums_up():
    page = findings_table(
        inspection(Finding("model.safetensors", "safetensors-header", "high", LONG, "Export"))
    ).to_html()
    assert LONG in page
    assert "1 high; 3 files, 12,345 bytes" in page
    clean = findings_table(inspection()).to_html()
    assert "CLEAN" in clean
    assert "no findings" in clean


def test_a_file_name_is_no_part_of_the_page_and_moves_no_cursor():
    hostile = Finding("<script>alert(1)</script>\x1b[2J", "name", "high", "<img src=x onerror=alert(1)>", "Rename it")
    page = findings_table(inspection(hostile)).to_html()
    assert "<script>" not in page
    assert "<img" not in page
    assert "<b>model" not in page
    assert "\x1b" not in page + report(inspection(hostile))
