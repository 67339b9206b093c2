"""Elyra's canvas in a page: what it shows, and what a user does on it."""

from __future__ import annotations

from typing import Any

# The ends of a link are where its line begins and ends, to the pixel at which the ports are drawn.
LINKS = """lines => lines.map(line => {
  const ends = [line.getPointAtLength(0), line.getPointAtLength(line.getTotalLength())];
  return ends.map(end => [end.x, end.y]);
})"""
PORTS = """nodes => nodes.map(node => {
  const [x, y] = node.getAttribute('transform').match(/-?[0-9.]+/g).map(Number);
  const port = kind => {
    const circle = node.querySelector(`.d3-node-port-${kind}-main`);
    return [x + +circle.getAttribute('cx'), y + +circle.getAttribute('cy')];
  };
  return {label: node.querySelector('.d3-node-label').textContent, in: port('input'), out: port('output')};
})"""


def open_canvas(page: Any, address: str, nodes: int) -> Any:
    """Open a pipeline and wait until all its nodes are drawn and Elyra has validated it; return the page."""
    page.goto(address)
    page.locator(".d3-node-group").nth(nodes - 1).wait_for()
    page.get_by_role("button", name="Run Pipeline").wait_for()
    return page


def labels(page: Any) -> list[str]:
    """Return the nodes' labels from left to right."""
    return [node["label"] for node in sorted(_nodes(page), key=lambda node: node["in"][0])]


def links(page: Any) -> list[tuple[str, str]]:
    """Return the links as pairs of labels, from left to right."""
    nodes = _nodes(page)
    drawn = sorted(page.locator(".d3-link-line").evaluate_all(LINKS))
    return [(_at(nodes, "out", start), _at(nodes, "in", end)) for start, end in drawn]


def _nodes(page: Any) -> list[dict[str, Any]]:
    return page.locator(".d3-node-group").evaluate_all(PORTS)


def _at(nodes: list[dict[str, Any]], port: str, point: list[float]) -> str:
    found = [node["label"] for node in nodes if all(abs(a - b) < 12 for a, b in zip(node[port], point, strict=True))]
    assert len(found) == 1, f"a link ends at {point}, where there are the nodes {found}"
    return str(found[0])


def comments(page: Any) -> list[str]:
    """Return the comments' texts from left to right, with the quotes as they were written."""
    texts = page.locator(".d3-comment-group").evaluate_all(
        "all => all.map(one => [+one.getAttribute('transform').match(/[0-9.]+/)[0], one.textContent.trim()])"
    )
    return [text.replace("\u2019", "'") for _, text in sorted(texts)]


def badges(page: Any) -> Any:
    """Return where Elyra draws that a node is wrong."""
    return page.locator(".d3-node-dec-group, .d3-error-circle")


def cut(page: Any) -> list[str]:
    """Return the texts of comments that do not fit into their boxes."""
    return page.locator(".d3-comment-text").evaluate_all(
        "all => all.filter(one => one.scrollHeight > one.parentElement.clientHeight + 1).map(one => one.textContent)"
    )


def properties(page: Any, label: str) -> Any:
    """Select a node, open its properties and return their form."""
    page.locator(".d3-node-group").filter(has_text=label).first.click()  # a longer label comes after it
    if (panel := page.get_by_role("button", name="Open Panel")).is_visible():
        panel.click()
    page.get_by_text("Node Properties", exact=True).click()
    form = page.locator("#root_component_parameters:not(input)").first
    form.wait_for()
    return form


def rows(form: Any, name: str, *fields: str) -> list[tuple[str, ...]]:
    """Return a list of the form, one tuple of the fields' values for each row."""
    columns = [form.locator(f"input[id^=root_component_parameters_{name}_][id$=_{field}]") for field in fields]
    return list(zip(*(column.evaluate_all("all => all.map(one => one.value)") for column in columns), strict=True))


def chosen(form: Any, name: str) -> list[str]:
    """Return the ticked names of a list of check boxes."""
    boxes = form.locator(f".checkboxes#root_component_parameters_{name} label:has(input:checked)")
    return boxes.evaluate_all("all => all.map(one => one.textContent)")


def drag(page: Any, file: str) -> None:
    """Drag a file from the file browser into the middle of the canvas, as a hand does."""
    item = page.locator(".jp-DirListing-item").filter(has_text=file).bounding_box()
    canvas = page.locator(".common-canvas-drop-div").bounding_box()
    x, y = item["x"] + 40, item["y"] + item["height"] / 2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 10, y + 5, steps=5)  # JupyterLab takes it for a drag after five pixels
    page.mouse.move(canvas["x"] + canvas["width"] / 3, canvas["y"] + canvas["height"] / 3, steps=20)
    page.mouse.up()


def run(page: Any, where: str, **parameters: str) -> Any:
    """Press Run, choose where, fill parameters in, press OK; return the dialog that tells how it ended."""
    page.get_by_role("button", name="Run Pipeline").click()
    form, save = page.locator("#pipeline_name"), page.get_by_role("button", name="Save and Submit")
    form.or_(save).wait_for()
    if save.is_visible():
        save.click()
    form.wait_for()
    page.locator("#runtime_config:visible, #runtime_platform:visible").first.select_option(label=where)
    for name, value in parameters.items():
        page.locator(f"#{name}-paramInput").fill(value)
    page.locator(".jp-Dialog-button.jp-mod-accept").click()
    return page.locator(".jp-Dialog-content").filter(has_not_text="Packaging and submitting")


def link(page: Any, first: str, second: str) -> None:
    """Draw a link from the output of one node to the input of another, as a hand does."""
    ends = []
    for label, kind in ((first, "output"), (second, "input")):
        node = page.locator(".d3-node-group").filter(has=page.get_by_text(label, exact=True))
        box = node.locator(f".d3-node-port-{kind}-main").bounding_box()
        ends.append((box["x"] + box["width"] / 2, box["y"] + box["height"] / 2))
    page.mouse.move(*ends[0])
    page.mouse.down()
    page.mouse.move(*ends[1], steps=20)
    page.mouse.up()


def fill(form: Any, name: str, values: list[str]) -> None:
    """Add texts to a list of the form."""
    for value in values:
        form.locator(f"#root_component_parameters_{name}").get_by_role("button", name="Add").click()
        form.locator(f"input[id^=root_component_parameters_{name}_]").last.fill(value)
