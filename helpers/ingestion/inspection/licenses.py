"""The model card's license: read from its front matter as YAML nodes, of which no object is ever made."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.errors import RefusedModel
from helpers.ingestion.findings import Finding
from helpers.ingestion.inspection.opening import open_file
from helpers.ingestion.policy import Policy

if TYPE_CHECKING:
    import yaml

CARD = "README.md"
FIELDS = ("license", "license_name")
LONGEST, DEPTH = 1 << 20, 32
REPAIR = "Repair the model card's front matter"
Problem = tuple[str, str]


def inspect_license(folder: Path, policy: Policy) -> Iterator[Finding]:
    """Yield what is wrong with the license that the model card in `folder` names."""
    path = folder / CARD
    if path.is_symlink() or not path.is_file():
        yield Finding(CARD, "license", "medium", "is missing, so no license is named", "Add the publisher's model card")
        return
    try:
        found = card_fields(path)
    except RefusedModel as error:
        yield Finding(CARD, "license", "medium", error.what, error.do)
        return
    for problem, do in _problems(found, policy.licenses):
        yield Finding(CARD, "license", "medium", problem, do)


def _problems(found: dict[str, str], allowed: tuple[str, ...]) -> Iterator[Problem]:
    names, name = ", ".join(allowed), license_name(found)
    if not name:
        yield f"names no license; allowed are {names}", "Add `license:` to the front matter as the publisher gives it"
    elif name.casefold() not in {license.casefold() for license in allowed}:
        do = "Choose a model under an allowed license, or let legal add this one to the policy"
        yield f"names the license {name[:80]!a}; allowed are {names}", do


def license_name(found: dict[str, str]) -> str:
    """Return the license that a card's fields name; `other` has its name beside it."""
    name = found.get("license", "")
    return found.get("license_name", name) if name.casefold() == "other" else name


def card_fields(path: Path) -> dict[str, str]:
    """Return the license fields of a model card; raises RefusedModel where its front matter cannot be trusted."""
    import yaml

    text, loader = _front_matter(path), getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        _refuse_bombs(yaml.parse(text, Loader=loader))
        root = yaml.compose(text, Loader=loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = str(error).replace("\n", " ")[:160]
        raise RefusedModel(f"has front matter that is not YAML: {problem!a}", do=REPAIR) from error
    if isinstance(root, yaml.SequenceNode):
        raise RefusedModel("has front matter that is a list", do=REPAIR)
    return _fields(root) if isinstance(root, yaml.MappingNode) else {}


def _front_matter(path: Path) -> str:
    with open_file(path) as file:
        data = file.read(LONGEST)
    if data.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")) or b"\0" in data[:64]:
        raise RefusedModel("is not plain UTF-8 text", do="Save it as UTF-8 without a mark")
    lines = data.replace(b"\r\n", b"\n")
    if not lines.startswith(b"---\n"):
        return ""
    front, end, _ = lines[4:].partition(b"\n---")
    if not end and not lines.startswith(b"---\n---"):
        raise RefusedModel(f"has front matter that does not end within {LONGEST:,} bytes", do=REPAIR)
    try:
        return front.decode() + "\n"
    except UnicodeDecodeError as error:
        raise RefusedModel("has front matter that is not UTF-8", do=REPAIR) from error


def _refuse_bombs(events: Iterator[yaml.Event]) -> None:
    """Refuse aliases and depth before anything is built: libyaml's time grows with the square of the depth."""
    import yaml

    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise RefusedModel("has front matter with aliases (*), which may be a bomb", do=REPAIR)
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > DEPTH:
            raise RefusedModel(f"has front matter nested deeper than {DEPTH} levels", do=REPAIR)


def _fields(root: yaml.MappingNode) -> dict[str, str]:
    import yaml

    seen: set[str] = set()
    found: dict[str, str] = {}
    for key, value in root.value:
        if not isinstance(key, yaml.ScalarNode):
            raise RefusedModel("has a list or object as the name of a field", do=REPAIR)
        if key.value in seen:
            raise RefusedModel(f"has {key.value} twice; readers differ on which counts", do=REPAIR)
        seen.add(key.value)
        if key.value in FIELDS and (name := _name(key.value, value)) not in ("", "null", "~"):
            found[key.value] = name
    return found


def _name(field: str, value: yaml.Node) -> str:
    """Return the one name that a field gives: a text, or the only item of a list, as older model cards write it."""
    import yaml

    if isinstance(value, yaml.SequenceNode):
        if len(value.value) > 1:
            raise RefusedModel(f"names several licenses as {field}; one name is needed", do=REPAIR)
        value = value.value[0] if value.value else yaml.ScalarNode("", "")
    if not isinstance(value, yaml.ScalarNode):
        raise RefusedModel(f"has an object as {field}; one name is needed", do=REPAIR)
    return str(value.value).strip()
