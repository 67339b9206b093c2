"""What the constant parts of a template come to: folded by rules of our own within bounds; nothing is rendered."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice, product
from typing import Any

from jinja2 import nodes

from helpers.ingestion.inspection.constants import ON_LISTS, ON_TEXT, Constant, TooLarge, bounded, operated, text_of

MANY, BUDGET = 16, 4_000_000


class Folder:
    """Folds the expressions of one template; a name stands for every value that the template gives it."""

    def __init__(self, parts: Iterator[nodes.Node]) -> None:
        self._given: dict[str, list[nodes.Node]] = defaultdict(list)
        self._known: dict[int, tuple[Constant, ...]] = {}
        self._size = 0
        for node in parts:
            for name, value in _assignments(node):
                self._given[name].append(value)

    def fold(self, node: nodes.Node) -> tuple[Constant, ...]:
        """Return what the node may come to as far as it is made of constants, empty where that is unknown.

        Raises TooLarge.
        """
        if id(node) not in self._known:
            self._known[id(node)] = ()  # what depends on itself is unknown
            try:
                found = tuple(dict.fromkeys(islice(filter(bounded, self._values(node)), MANY)))
            except TypeError:
                found = ()
            self._size += sum(1 if isinstance(value, int) else len(value) for value in found)
            if self._size > BUDGET:
                raise TooLarge("builds too many texts from constants")
            self._known[id(node)] = found
        return self._known[id(node)]

    def _values(self, node: nodes.Node) -> Iterator[Constant]:
        match node:
            case nodes.Const(value=str() | int() as value):
                yield value
            case nodes.TemplateData(data=text):
                yield text
            case nodes.Name() | nodes.NSRef() | nodes.Getattr():
                for given in self._given.get(target(node), ()):
                    yield from self.fold(given)
            case nodes.Output(nodes=parts) | nodes.Concat(nodes=parts):
                yield from ("".join(map(text_of, chosen)) for chosen in self._choices(parts))
            case nodes.List(items=parts) | nodes.Tuple(items=parts):
                yield from filter(_is_flat, self._choices(parts))
            case nodes.BinExpr(left=left, right=right, operator=operator):
                for one, other in self._choices([left, right]):
                    yield from operated(operator, one, other)
            case nodes.Filter(name=name, node=nodes.Node() as base, args=arguments):
                yield from self._applied(name, [base, *arguments])
            case nodes.Call(node=nodes.Getattr(attr="join", node=glue), args=[items]):
                yield from self._applied("join", [items, glue])
            case nodes.Call(node=nodes.Getattr(attr=name, node=base), args=arguments):
                yield from self._applied({"format": "{}"}.get(name, name), [base, *arguments])
            case nodes.Call(node=nodes.Name() as macro):
                yield from self.fold(macro)
            case nodes.Getitem(node=base, arg=argument):
                yield from self._items(base, argument)
            case nodes.Neg(node=inner):
                yield from (-value for value in self.fold(inner) if isinstance(value, int))
            case nodes.CondExpr(expr1=one, expr2=other):
                yield from self.fold(one)
                yield from self.fold(other) if other else ()

    def _choices(self, parts: list[Any]) -> Iterator[tuple[Constant, ...]]:
        folded = [self.fold(part) for part in parts]
        return islice(product(*folded), MANY)

    def _applied(self, name: str, parts: list[Any]) -> Iterator[Constant]:
        for value, *rest in self._choices(parts):
            function = (ON_TEXT if isinstance(value, str) else ON_LISTS if isinstance(value, tuple) else {}).get(name)
            try:
                if function:
                    yield function(value, *rest)
            except (TypeError, IndexError):
                continue

    def _items(self, base: nodes.Node, argument: nodes.Node) -> Iterator[Constant]:
        for value in self.fold(base):
            for place in self._places(argument):
                try:
                    if not isinstance(value, int):
                        yield value[place]
                except (IndexError, ValueError):
                    continue

    def _places(self, node: nodes.Node) -> Iterator[int | slice]:
        if isinstance(node, nodes.Slice):
            ends = [next(iter(self.fold(part)), "?") if part else None for part in (node.start, node.stop, node.step)]
            if all(end is None or isinstance(end, int) for end in ends):
                yield slice(*ends)
        else:
            yield from (value for value in self.fold(node) if isinstance(value, int))


def target(node: nodes.Node) -> str:
    """Return the name that an assignment or a use refers to, `space.name` for an attribute, else an empty text."""
    match node:
        case nodes.Name(name=name):
            return name
        case nodes.NSRef(name=space, attr=name) | nodes.Getattr(node=nodes.Name(name=space), attr=name):
            return f"{space}.{name}"
    return ""


def _is_flat(items: tuple[Constant, ...]) -> bool:
    return not any(isinstance(item, tuple) for item in items)


def _assignments(node: nodes.Node) -> Iterator[tuple[str, nodes.Node]]:
    match node:
        case nodes.Assign(target=to, node=nodes.Call(node=nodes.Name(name="namespace"), kwargs=given)):
            yield from ((f"{target(to)}.{item.key}", item.value) for item in given)
        case nodes.Assign(target=to, node=value):
            yield target(to), value
        case nodes.AssignBlock(target=to, body=body):
            yield from ((target(to), part) for part in body)
        case nodes.Macro(name=name, body=body):
            yield from ((name, part) for part in body)
        case nodes.For(target=to, iter=nodes.List(items=items) | nodes.Tuple(items=items)):
            yield from ((target(to), item) for item in items)
        case nodes.With(targets=names, values=values):
            yield from ((target(name), value) for name, value in zip(names, values, strict=True))
