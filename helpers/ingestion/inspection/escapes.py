"""Ways out of a template's sandbox: attributes with an underscore, also built from pieces, and what leads to them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from jinja2 import nodes

from helpers.ingestion.inspection.folding import Folder

DUNDER = re.compile(r"__[A-Za-z]\w*?__")
EDGE = re.compile(r"__[A-Za-z]+|[A-Za-z]+__")
FIELD = re.compile(r"\{[^{}]*[.\[]_")
GADGETS = frozenset(("cycler", "joiner", "lipsum", "self", "super"))
INNER = frozenset(
    ("ag_code", "ag_frame", "cr_code", "cr_frame", "f_back", "f_builtins", "f_globals", "f_locals", "func_code",
     "func_globals", "gi_code", "gi_frame", "im_class", "im_func", "im_self", "mro", "tb_frame", "tb_next")
)  # fmt: skip
BY_ATTRIBUTE = frozenset(("groupby", "map", "max", "min", "rejectattr", "selectattr", "sort", "sum", "unique"))

Escape = tuple[int, str]
Way = tuple[str, str]
TWO = "builds a name with two underscores on either side"
CODES = "builds a text from character codes (%c)"


def escapes(parts: Iterator[nodes.Node], folder: Folder) -> Iterator[Escape]:
    """Yield line and problem of everything that a chat template does not need and a way out does, each name once."""
    called: set[int] = set()
    seen: set[str] = set()
    for node in parts:
        if isinstance(node, nodes.Call):
            called.add(id(node.node))
        for name, problem in _node(node, folder, called):
            if name not in seen:
                seen.add(name)
                yield node.lineno, problem


def _node(node: nodes.Node, folder: Folder, called: set[int]) -> Iterator[Way]:
    match node:
        case nodes.Name(name=name) if name in GADGETS or DUNDER.fullmatch(name):
            yield name, f"uses {name}, which leads out of the sandbox"
        case nodes.Getattr(attr=name) if _is_inner(name):
            yield name, f"reads the attribute {name[:80]!a}"
        case nodes.Getattr(attr="format" | "format_map" as name) if id(node) not in called:
            yield name, f"takes the method {name} without calling it, which leads around the sandbox"
        case nodes.Getitem(arg=argument):
            names = filter(_is_inner, _texts(argument, folder))
            yield from ((name, f"reads the attribute {name[:80]!a}") for name in names)
        case nodes.Filter():
            yield from _filter(node, folder)
        case nodes.Call(node=nodes.Getattr(attr="format", node=base)):
            fields = filter(FIELD.search, _texts(base, folder))
            yield from ((text, f"formats with {text[:80]!a}, which reads an attribute") for text in fields)
        case nodes.Keyword(key=name) if DUNDER.fullmatch(name) or EDGE.fullmatch(name):
            yield name, f"has the argument {name[:80]!a}, a name with two underscores"
        case nodes.Extends() | nodes.FromImport() | nodes.Import() | nodes.Include():
            yield "load", f"loads another template ({type(node).__name__.lower()})"
    if isinstance(node, nodes.Expr) and not isinstance(node, nodes.TemplateData):
        yield from _built(node, folder)


def _filter(node: nodes.Filter, folder: Folder) -> Iterator[Way]:
    arguments = [*node.args, *(item.value for item in node.kwargs if item.key in ("attribute", "name"))]
    if node.name == "attr" or (node.name == "map" and node.args and "attr" in folder.fold(node.args[0])):
        names = arguments if node.name == "attr" else arguments[1:]
        if not names or not _texts(names[0], folder):
            yield "attr", "reads an attribute whose name is built when it runs (attr)"
    elif node.name == "map" and node.args and not folder.fold(node.args[0]):
        yield "map", "applies a filter whose name is built when it runs (map)"
    if node.name == "attr" or node.name in BY_ATTRIBUTE:
        for name in (name for argument in arguments for name in _texts(argument, folder)):
            if any(map(_is_inner, name.split("."))) or name in ("format", "format_map"):
                yield name, f"reads the attribute {name[:80]!a} ({node.name})"
    if node.name == "format" and node.node and any("%c" in text for text in _texts(node.node, folder)):
        yield "%c", CODES


def _built(node: nodes.Expr, folder: Folder) -> Iterator[Way]:
    """Yield names with two underscores, whole or as pieces that only make sense as part of such a name."""
    for text in _texts(node, folder):
        if (found := DUNDER.search(text)) and not re.search(r"\s", text):
            yield found[0], f"builds the name {found[0][:80]!a}"
        elif isinstance(node, nodes.Const) and EDGE.fullmatch(text):
            yield text, f"has {text[:80]!a}, a piece of a name with two underscores"
    if isinstance(node, nodes.Mod) and any("%c" in text for text in _texts(node.left, folder)):
        yield "%c", CODES
    if isinstance(node, nodes.Concat) and _is_framed(node.nodes[0], node.nodes[-1], folder):
        yield "__", TWO
    if isinstance(node, nodes.Add) and _is_framed(_leftmost(node), node.right, folder):
        yield "__", TWO


def _is_framed(first: nodes.Node, last: nodes.Node, folder: Folder) -> bool:
    begins = any(text.endswith("__") for text in _texts(first, folder))
    return begins and any(text.startswith("__") for text in _texts(last, folder))


def _leftmost(node: nodes.Node) -> nodes.Node:
    while isinstance(node, nodes.Add):
        node = node.left
    return node


def _texts(node: nodes.Node, folder: Folder) -> list[str]:
    return [value for value in folder.fold(node) if isinstance(value, str)]


def _is_inner(name: str) -> bool:
    return name.startswith("_") or name in INNER
