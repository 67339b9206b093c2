"""Chat templates: parsed as transformers does and looked at as a tree; never compiled, never rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from jinja2 import TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from helpers.errors import RefusedModel
from helpers.ingestion.findings import Finding, Severity
from helpers.ingestion.inspection.escapes import Given, assigned, escapes, target
from helpers.ingestion.inspection.opening import read_text
from helpers.ingestion.names import BIDI
from helpers.ingestion.policy import Policy

LONGEST, TOGETHER = 128 * 1024, 512 * 1024
REPEATS, GROWS, LARGE, HUGE = 100_000, 10_000, 1_000_000, 10**18
SHORT, MOST = 100, 20  # a text up to SHORT counts as one character; findings told of one template
HIDDEN = re.compile(f"[{''.join(BIDI)}\U000e0000-\U000e007f]")
WIDTH = re.compile(r"%[-+ #0]*\d{5,}|\{[^{}]*:[^{}\d]*\d{5,}")
PLAIN = "Take the template from the model's publisher, or write it without this"
SHORTER = "Write it without large constants"

Problem = tuple[str, Severity, str, str]


class Generation(Extension):
    """The block that transformers adds to mark what the assistant said."""

    tags = {"generation"}  # noqa: RUF012 - jinja2 declares it as a set

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """Return the block's body as it is."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class Templates:
    """Inspects the templates of one model, which together may be as long as four of the longest."""

    def __init__(self) -> None:
        self._left = TOGETHER

    def inspect_file(self, path: Path, name: str, policy: Policy) -> Iterator[Finding]:
        """Yield what is wrong with a file that holds one template."""
        try:
            yield from self.inspect(name, read_text(path, policy.limits.json_bytes))
        except RefusedModel as error:
            yield Finding(name, "template", "high", error.what, error.do)

    def inspect(self, file: str, source: str, place: str = "") -> Iterator[Finding]:
        """Yield what is wrong with one template; `place` says where it stands in a JSON file."""
        where = f"{place}: " if place else ""
        if len(source) > self._left:
            yield Finding(file, "template", "high", f"{where}the model's templates have too many characters", SHORTER)
            return
        self._left -= len(source)
        try:
            for rule, severity, problem, do in dict.fromkeys(islice(_problems(source), MOST)):
                yield Finding(file, rule, severity, f"{where}the template {problem}", do)
        except RecursionError:
            yield Finding(file, "template", "high", f"{where}the template is nested too deeply", PLAIN)


def _problems(source: str) -> Iterator[Problem]:
    if len(source) > LONGEST:
        yield "template", "high", f"has {len(source):,} characters; no chat template needs {LONGEST:,}", SHORTER
        return
    if found := HIDDEN.search(source):
        problem = f"has the invisible character U+{ord(found[0]):04X}, which shows people another text"
        yield "hidden-text", "high", problem, "Remove invisible characters"
    try:
        template = _parse(source)
    except TemplateSyntaxError as error:
        yield "template", "high", f"cannot be parsed, line {error.lineno}: {str(error.message)[:120]!a}", PLAIN
        return
    except (ValueError, OverflowError) as error:
        yield "template", "high", f"cannot be parsed: {str(error)[:120]!a}", PLAIN
        return
    parts = [*walk(template)]
    given = assigned(parts)
    for line, problem in escapes(parts, given):
        yield "template-escape", "critical", f"{problem} (line {line})", PLAIN
    for line, problem in _costs(template, given):
        yield "template-cost", "high", f"{problem} (line {line})", SHORTER


def _parse(source: str) -> nodes.Template:
    environment = ImmutableSandboxedEnvironment(extensions=[Generation, "jinja2.ext.loopcontrols"])
    return environment.parse(source)


def walk(root: nodes.Node) -> Iterator[nodes.Node]:
    """Yield every node, without recursion: a template may be nested as deeply as it is long."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.iter_child_nodes())


def _costs(template: nodes.Template, given: Given) -> Iterator[tuple[int, str]]:
    """Yield line and problem of what takes too long or grows too large by the template's own constants."""
    sizes = _Sizes(given)
    sizes.of(template)  # raises RecursionError for what jinja could not compile
    waiting: list[tuple[nodes.Node, int]] = [(template, 1)]
    while waiting:
        node, repeats = waiting.pop()
        if isinstance(node, nodes.For):
            repeats *= sizes.of(node.iter)
        if repeats > REPEATS:
            yield node.lineno, f"loops {repeats:,} times"
            return
        if isinstance(node, nodes.Const | nodes.Pow) and (size := sizes.of(node)) > LARGE:
            yield node.lineno, f"has a number of {size:.3g}"
        if isinstance(node, nodes.Const) and isinstance(node.value, str) and WIDTH.search(node.value):
            yield node.lineno, "formats with a width of thousands of characters"
        if isinstance(node, nodes.Mul) and (size := sizes.of(node)) > GROWS:
            yield node.lineno, f"repeats something {size:,} times"
        if _doubles(node):
            yield node.lineno, "joins a text with itself"
        waiting.extend((child, repeats) for child in node.iter_child_nodes())


class _Sizes:
    """The most that the constants in an expression may come to, as a number or as a length."""

    def __init__(self, given: Given) -> None:
        self._given, self._known = given, dict[int | str, int]()

    def of(self, node: nodes.Node) -> int:
        """Return at least 1, and at most HUGE."""
        if id(node) not in self._known:
            self._known[id(node)] = min(max(1, self._size(node)), HUGE)
        return self._known[id(node)]

    def _size(self, node: nodes.Node) -> int:
        match node:
            case nodes.Const(value=int() as number):
                return abs(number)
            case nodes.Const(value=str() as text):
                return len(text) if len(text) > SHORT else 1
            case nodes.Mul(left=left, right=right):
                return self.of(left) * self.of(right)
            case nodes.Add(left=left, right=right):
                return self.of(left) + self.of(right)
            case nodes.Pow(left=left, right=right):
                return int(self.of(left) ** min(self.of(right), 64))
            case nodes.Name() | nodes.NSRef() | nodes.Getattr() if (name := target(node)) in self._given:
                if name not in self._known:
                    self._known[name] = 1  # what depends on itself is unknown
                    self._known[name] = max(map(self.of, self._given[name]))
                return self._known[name]
        items = len(node.items) if isinstance(node, nodes.List | nodes.Tuple) else 1
        return max([items, *map(self.of, node.iter_child_nodes())])


def _doubles(node: nodes.Node) -> bool:
    if not isinstance(node, nodes.Assign) or not isinstance(node.node, nodes.Concat | nodes.Add):
        return False
    parts = node.node.nodes if isinstance(node.node, nodes.Concat) else [node.node.left, node.node.right]
    return any(parts[0] == part for part in parts[1:] if not isinstance(part, nodes.Const))
