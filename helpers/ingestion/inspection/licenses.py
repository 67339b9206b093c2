"""The model card's license: read from its front matter as YAML events, so that aliases and depth cost nothing."""

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

    text = _front_matter(path)
    try:
        return _read(yaml.parse(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (yaml.YAMLError, ValueError) as error:
        problem = str(error).replace("\n", " ")[:160]
        raise RefusedModel(f"has front matter that is not YAML: {problem!a}", do=REPAIR) from error


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


def _read(events: Iterator[yaml.Event]) -> dict[str, str]:
    """Return the wanted fields of the outermost mapping."""
    import yaml

    found: dict[str, str] = {}
    depth, key = 0, None
    for event in events:
        if isinstance(event, yaml.AliasEvent):
            raise RefusedModel("has front matter with aliases (*), which may be a bomb", do=REPAIR)
        if isinstance(event, yaml.CollectionStartEvent):
            _refuse_collection(depth, key, isinstance(event, yaml.MappingStartEvent))
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        elif isinstance(event, yaml.ScalarEvent) and depth == 1:
            key = _field(found, key, event.value)
            continue
        elif isinstance(event, yaml.ScalarEvent) and depth == 2 and key in FIELDS:
            _item(found, key, event.value)
            continue
        else:
            continue
        if depth <= 1:
            key = None
    return found


def _refuse_collection(depth: int, key: str | None, is_mapping: bool) -> None:
    if depth == 0 and not is_mapping:
        raise RefusedModel("has front matter that is a list", do=REPAIR)
    if depth == 1 and key is None:
        raise RefusedModel("has a list or object as the name of a field", do=REPAIR)
    if key in FIELDS and (depth > 1 or is_mapping):
        raise RefusedModel(f"has an object as {key}; one name is needed", do=REPAIR)
    if depth == DEPTH:
        raise RefusedModel(f"has front matter nested deeper than {DEPTH} levels", do=REPAIR)


def _field(found: dict[str, str], key: str | None, value: str) -> str | None:
    """Take a scalar of the outermost mapping: a key where none waits for its value, else that value."""
    if key is None:
        return value
    if key in found:
        raise RefusedModel(f"has {key} twice; readers differ on which counts", do=REPAIR)
    if key in FIELDS and value not in ("", "null", "~"):
        found[key] = value.strip()
    return None


def _item(found: dict[str, str], key: str, value: str) -> None:
    """Take the only item of a list, as older model cards write the license."""
    if key in found:
        raise RefusedModel(f"names several licenses as {key}; one name is needed", do=REPAIR)
    found[key] = value.strip()
