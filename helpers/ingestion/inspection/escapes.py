"""Ways out of a template's sandbox: attributes with an underscore, also built from pieces, and what leads to them."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping

from jinja2 import nodes

DUNDER = re.compile(r"__[A-Za-z]\w*?__")
EDGE = re.compile(r"__[A-Za-z]+|[A-Za-z]+__")
FIELD = re.compile(r"\{[^{}\s\"':]*[.\[]_")
ODD = re.compile(r"\s*(?:_|(?:ag|cr|f|func|gi|im|tb)_)|.*(?:__|%c)", re.DOTALL)  # makes a name one of Python's own
GADGETS = frozenset(("cycler", "joiner", "lipsum", "self", "super"))
INNER = frozenset(
    ("ag_code", "ag_frame", "cr_code", "cr_frame", "f_back", "f_builtins", "f_globals", "f_locals", "func_code",
     "func_globals", "gi_code", "gi_frame", "im_class", "im_func", "im_self", "mro", "tb_frame", "tb_next")
)  # fmt: skip
BY_ATTRIBUTE = frozenset(("groupby", "map", "max", "min", "rejectattr", "selectattr", "sort", "sum", "unique"))
KEEPING = frozenset(("d", "default", "lower", "safe", "string", "trim", "upper"))  # filters that build nothing

Given = Mapping[str, list[nodes.Node]]
Piece = tuple[str, str]
TEXT, CHANGED, NAME = "text", "changed text", "name"


def escapes(parts: list[nodes.Node], given: Given) -> Iterator[tuple[int, str]]:
    """Yield line and problem of everything that a chat template does not need and a way out does, each name once."""
    odd, seen = _odd_names(given), set[str]()
    called = {id(node.node) for node in parts if isinstance(node, nodes.Call)}
    for node in parts:
        for name, problem in _node(node, odd, given, called):
            if name not in seen:
                seen.add(name)
                yield node.lineno, problem


def _node(node: nodes.Node, odd: set[str], given: Given, called: set[int]) -> Iterator[tuple[str, str]]:
    match node:
        case nodes.Name(name=name) if name in GADGETS or DUNDER.fullmatch(name):
            yield name, f"uses {name}, which leads out of the sandbox"
        case nodes.Getattr(attr=name) if _is_inner(name):
            yield name, f"reads the attribute {name[:80]!a}"
        case nodes.Getattr(attr="format" | "format_map" as name) if id(node) not in called:
            yield name, f"takes the method {name} without calling it, which leads around the sandbox"
        case nodes.Getitem(arg=key):
            yield from _key(key, odd, given)
        case nodes.Filter():
            yield from _filter(node, odd, given)
        case nodes.Const(value=str() as text) if FIELD.search(text):
            yield text, f"formats with {text[:80]!a}, which reads an attribute"
        case nodes.Const(value=str() as text) if _is_part(text):
            yield text, f"has {text[:80]!a}, a name with two underscores or a piece of one"
        case nodes.Keyword(key=name) if _is_part(name):
            yield name, f"has the argument {name[:80]!a}, a name with two underscores"
        case nodes.Extends() | nodes.FromImport() | nodes.Import() | nodes.Include():
            yield "load", f"loads another template ({type(node).__name__.lower()})"


def _filter(node: nodes.Filter, odd: set[str], given: Given) -> Iterator[tuple[str, str]]:
    keys = [*node.args, *(item.value for item in node.kwargs if item.key in ("attribute", "name"))]
    reads = node.name == "attr"
    if node.name == "map" and node.args:
        filter_name, *keys = keys
        if not isinstance(filter_name, nodes.Const):
            yield "map", "applies a filter whose name is built when it runs (map)"
        reads = filter_name == nodes.Const("attr")
    if reads and not (keys and isinstance(keys[0], nodes.Const)):
        yield "attr", "reads an attribute whose name is built when it runs (attr)"
    for key in keys if reads or node.name in BY_ATTRIBUTE else ():
        yield from _key(key, odd, given)
        if isinstance(key, nodes.Const) and key.value in ("format", "format_map"):
            yield key.value, f"reads the attribute {key.value!a} ({node.name})"


def _key(key: nodes.Node, odd: set[str], given: Given) -> Iterator[tuple[str, str]]:
    """Yield why what is looked up under a key may be one of Python's own attributes."""
    if isinstance(key, nodes.Const):
        if isinstance(key.value, str) and any(map(_is_inner, key.value.split("."))):
            yield key.value, f"reads the attribute {key.value[:80]!a}"
    elif found := next(_odd_pieces(key, odd, given), None):
        yield f"built {found}", f"builds the name of what it reads from {found[:80]!a}"


def _odd_names(given: Given) -> set[str]:
    """Return the names that the template gives a text which can make a name one of Python's own, also by way of others.

    A chat template builds such names in no honest way, so it does not matter what exactly comes out.
    """
    users, odd = defaultdict[str, set[str]](set), set[str]()
    waiting = []
    for name, values in given.items():
        for kind, text in (piece for value in values for piece in _pieces(value, given)):
            if kind == NAME:
                users[text].add(name)
            elif _is_odd(kind, text):
                waiting.append(name)
    while waiting:
        if (name := waiting.pop()) not in odd:
            odd.add(name)
            waiting.extend(users[name])
    return odd


def _odd_pieces(node: nodes.Node, odd: set[str], given: Given) -> Iterator[str]:
    return (text for kind, text in _pieces(node, given) if (text in odd if kind == NAME else _is_odd(kind, text)))


def _pieces(node: nodes.Node, given: Given, kind: str = TEXT) -> Iterator[Piece]:
    """Yield the texts and names from which an expression is built; what the messages bring is not known here."""
    match node:
        case nodes.Const(value=str() as text) | nodes.TemplateData(data=text):
            yield kind, text
        case nodes.Name() | nodes.NSRef() | nodes.Getattr() if (name := target(node)) in given:
            yield NAME, name
        case nodes.Getattr(node=base) | nodes.Getitem(node=base):
            yield from _pieces(base, given, CHANGED)
        case nodes.Filter(node=nodes.Node() as base) | nodes.Call(node=base):
            kind = kind if isinstance(node, nodes.Filter) and node.name in KEEPING else CHANGED
            if inner := [*_pieces(base, given, kind)]:
                yield from inner
                yield from (piece for argument in node.args for piece in _pieces(argument, given, kind))
        case nodes.CondExpr(expr1=one, expr2=other):
            yield from _pieces(one, given, kind)
            yield from _pieces(other, given, kind) if other else ()
        case nodes.Pair(value=value):
            yield from _pieces(value, given, kind)
        case nodes.Mul() | nodes.Mod() | nodes.List() | nodes.Tuple() | nodes.Dict():
            yield from (piece for child in node.iter_child_nodes() for piece in _pieces(child, given, CHANGED))
        case nodes.Concat() | nodes.Add() | nodes.Or() | nodes.And() | nodes.Output():
            yield from (piece for child in node.iter_child_nodes() for piece in _pieces(child, given, kind))


def _is_odd(kind: str, text: str) -> bool:
    return ODD.match(text) is not None or (kind == CHANGED and "_" in text)


def _is_part(text: str) -> bool:
    """Return whether a text is one of Python's own names with two underscores, holds one, or is a piece of one."""
    return EDGE.fullmatch(text) is not None or (DUNDER.search(text) is not None and not re.search(r"\s", text))


def _is_inner(name: str) -> bool:
    return name.startswith("_") or name in INNER


def assigned(parts: list[nodes.Node]) -> Given:
    """Return every value that a template itself gives to a name, `space.name` for one in a namespace."""
    given = defaultdict[str, list[nodes.Node]](list)
    for node in parts:
        for name, value in _assignments(node):
            given[name].append(value)
    return given


def target(node: nodes.Node) -> str:
    """Return the name that an assignment or a use refers to, `space.name` for an attribute, else an empty text."""
    match node:
        case nodes.Name(name=name):
            return name
        case nodes.NSRef(name=space, attr=name) | nodes.Getattr(node=nodes.Name(name=space), attr=name):
            return f"{space}.{name}"
    return ""


def _assignments(node: nodes.Node) -> Iterator[tuple[str, nodes.Node]]:
    match node:
        case nodes.Assign(target=to, node=nodes.Call(node=nodes.Name(name="namespace"), kwargs=given)):
            yield from ((f"{target(to)}.{item.key}", item.value) for item in given)
        case nodes.Assign(target=to, node=value):
            yield target(to), value
        case nodes.AssignBlock(target=to, body=body) | nodes.Macro(name=to, body=body):
            yield from ((to if isinstance(to, str) else target(to), part) for part in body)
        case nodes.For(target=to, iter=nodes.List(items=items) | nodes.Tuple(items=items)):
            yield from ((target(to), item) for item in items)
        case nodes.With(targets=names, values=values):
            yield from ((target(name), value) for name, value in zip(names, values, strict=True))
