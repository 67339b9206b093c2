"""Chat templates: parsed as transformers does and looked at as a tree; never compiled, never rendered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from jinja2 import TemplateSyntaxError, nodes
from jinja2.ext import Extension
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from helpers.errors import RefusedModel
from helpers.ingestion.findings import Finding, Severity
from helpers.ingestion.inspection.constants import TooLarge
from helpers.ingestion.inspection.escapes import escapes
from helpers.ingestion.inspection.folding import Folder
from helpers.ingestion.inspection.opening import read_text
from helpers.ingestion.names import BIDI
from helpers.ingestion.policy import Policy

LONGEST, TOGETHER = 128 * 1024, 512 * 1024
REPEATS, GROWS, MOST = 100_000, 10_000, 20
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
    folder = Folder(walk(template))
    try:
        for line, problem in escapes(walk(template), folder):
            yield "template-escape", "critical", f"{problem} (line {line})", PLAIN
        yield from _cost(template, folder)
    except TooLarge as error:
        yield "template-cost", "high", str(error), SHORTER


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


def _cost(template: nodes.Template, folder: Folder) -> Iterator[Problem]:
    waiting: list[tuple[Any, int]] = [(template, 1)]
    while waiting:
        node, repeats = waiting.pop()
        for value in folder.fold(node):
            if isinstance(value, str) and WIDTH.search(value):
                yield "template-cost", "high", "formats with a width of thousands of characters", SHORTER
        if isinstance(node, nodes.For):
            repeats *= max(_length(node.iter, folder), 1)
        if repeats > REPEATS:
            yield "template-cost", "high", f"loops {repeats:,} times (line {node.lineno})", SHORTER
            return
        if _doubles(node):
            yield "template-cost", "high", f"joins a text with itself (line {node.lineno})", SHORTER
        if isinstance(node, nodes.Mul) and max(_grows(*pair, folder) for pair in _sides(node)) > GROWS:
            yield "template-cost", "high", f"repeats something too often (line {node.lineno})", SHORTER
        waiting.extend((child, repeats) for child in node.iter_child_nodes())


def _length(node: nodes.Node, folder: Folder) -> int:
    """Return how often a loop over constants runs, 0 where that depends on what is given."""
    if isinstance(node, nodes.Call) and isinstance(node.node, nodes.Name) and node.node.name == "range":
        numbers = [value for argument in node.args for value in folder.fold(argument) if isinstance(value, int)]
        return max(numbers, default=0) - min(min(numbers, default=0), 0)
    return max((len(value) for value in folder.fold(node) if not isinstance(value, int)), default=0)


def _sides(node: nodes.Mul) -> list[tuple[nodes.Expr, nodes.Expr]]:
    return [(node.left, node.right), (node.right, node.left)]


def _grows(what: nodes.Expr, times: nodes.Expr, folder: Folder) -> int:
    """Return how long something gets that is repeated, taking what is unknown for one character."""
    length = len(what.value) if isinstance(what, nodes.Const) and isinstance(what.value, str) else 1
    if any(isinstance(value, int) for value in folder.fold(what)):
        return 0
    return max((value * length for value in folder.fold(times) if isinstance(value, int)), default=0)


def _doubles(node: nodes.Node) -> bool:
    if not isinstance(node, nodes.Assign) or not isinstance(node.node, nodes.Concat | nodes.Add):
        return False
    parts = node.node.nodes if isinstance(node.node, nodes.Concat) else [node.node.left, node.node.right]
    return any(parts[0] == part for part in parts[1:] if not isinstance(part, nodes.Const))
