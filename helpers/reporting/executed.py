"""Executed notebooks as pages: figures, text and tables stay, and nothing in them runs but what this package wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TAGS = frozenset(
    (
        *("a", "b", "blockquote", "br", "caption", "code", "col", "colgroup", "dd", "details", "div", "dl", "dt", "em"),
        *("h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "li", "ol", "p", "pre", "small", "span", "strong", "sub"),
        *("summary", "sup", "table", "tbody", "td", "tfoot", "th", "thead", "tr", "ul"),
    )
)
ATTRIBUTES = {
    "*": ["class", "id", "role", "title", "aria-label", "tabindex"],
    "a": ["href"],
    "td": ["colspan", "rowspan"],
    "th": ["colspan", "rowspan", "scope"],
}
SAFE = {"text/plain", "image/png", "image/jpeg"}
# Nothing is fetched and nothing sent, whatever a page holds.
POLICY = (
    '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; font-src data:; '
    "style-src 'unsafe-inline'; script-src 'unsafe-inline'; form-action 'none'; base-uri 'none'\">"
)


def page(notebook: Any) -> str:
    """Return the page of an executed notebook."""
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors.sanitize import SanitizeHTML

    own = [text for text in _own_parts() if _takes_out(notebook, text)]
    clean = SanitizeHTML(  # type: ignore[no-untyped-call]
        tags=sorted(TAGS), attributes=ATTRIBUTES, styles=[], strip=True, safe_output_keys=SAFE, enabled=True,
        sanitized_output_types={"text/html", "text/markdown"},
    )  # fmt: skip
    exporter = HTMLExporter(exclude_input_prompt=True)  # type: ignore[no-untyped-call]
    exporter.register_preprocessor(clean, enabled=True)  # type: ignore[no-untyped-call]
    body, _ = exporter.from_notebook_node(notebook)
    return body.replace("<head>", f"<head>{POLICY}", 1).replace("</body>", "\n".join([*own, "</body>"]), 1)


def keep(folder: Path) -> None:
    """Keep the page of each notebook of a run that was executed."""
    import nbformat

    for notebook in sorted((folder / "notebooks").glob("*.ipynb")):
        content = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
        if content.metadata.get("papermill", {}).get("start_time"):
            notebook.with_suffix(".html").write_text(page(content), "utf-8")


def _own_parts() -> list[str]:
    """Return the style and the script that stand in each of our own cells."""
    from helpers.reporting.page.rendering import TEMPLATES, render

    whole = render("cell.html", body="")
    parts = [(TEMPLATES / name).read_text("utf-8").strip() for name in ("tables.css", "sort.js")]
    tags = [(f"<{tag}>", f"</{tag}>") for tag in ("style", "script")]
    found = [whole[whole.index(begin) : whole.index(end) + len(end)] for begin, end in tags]
    assert all(part in text for part, text in zip(parts, found, strict=True))
    return found


def _takes_out(notebook: Any, text: str) -> bool:
    """Take our own text out of all outputs, to be put in once; return whether there was any."""
    there = False
    for output in (output for cell in notebook.cells for output in cell.get("outputs", ())):
        data = output.get("data", {})
        if text in data.get("text/html", ""):
            data["text/html"], there = data["text/html"].replace(text, ""), True
    return there
