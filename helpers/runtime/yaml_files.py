"""A YAML file that a person keeps (policy, prices, criteria), refused by file, line and field where it is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from helpers.errors import InvalidInput

T = TypeVar("T", bound=BaseModel)
DEEPEST = 20  # levels


def read_yaml(
    path: Path, model: type[T], error: type[InvalidInput], *, missing: str, repair: str, context: Any = None
) -> tuple[T, bytes]:
    """Return the file's content as `model`, whose validators are told `context`, and its bytes.

    Raises `error` for a file that cannot be read (`missing` says what to do) or is not as it should be (`repair`).
    """
    import yaml

    try:
        data = path.read_bytes()
        if told := [f"{path}:{line}: {fault}" for line, fault in _faults(data)]:
            raise error("; ".join(told), do=repair)
        root = yaml.compose(data, Loader=yaml.SafeLoader)
        return model.model_validate(yaml.safe_load(data), context=context), data
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}", do=missing) from problem
    except yaml.YAMLError as problem:
        line = mark.line + 1 if (mark := getattr(problem, "problem_mark", None)) else 1
        said = getattr(problem, "problem", None) or " ".join(str(problem).split())
        raise error(f"{path}:{line}: the file: is not YAML: {said}", do=repair) from problem
    except ValidationError as problem:
        places = [(_untagged(root, item["loc"]), item["msg"]) for item in problem.errors()]
        told = [f"{path}:{_line(root, place)}: {_field(place, message)}" for place, message in places]
        raise error("; ".join(told), do=repair) from problem


def lines_of(data: bytes) -> dict[str, int]:
    """Return the line of each field at the file's top."""
    import yaml

    root = yaml.compose(data, Loader=yaml.SafeLoader)
    return {str(key.value): key.start_mark.line + 1 for key, _ in root.value} if root else {}


def line_of(path: Path, *place: int | str) -> int:
    """Return the line of a field of a file that was read before."""
    import yaml

    return _line(yaml.compose(path.read_bytes(), Loader=yaml.SafeLoader), place)


def _faults(data: bytes) -> list[tuple[int, str]]:
    """Return line and fault of all that YAML reads in another way than a person does, or cannot read."""
    import yaml

    depth = 0
    for event in yaml.parse(data, Loader=yaml.SafeLoader):
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if isinstance(event, yaml.AliasEvent):
            return [(event.start_mark.line + 1, f"*{event.anchor}: write out what it stands for")]
        if depth > DEEPEST:
            return [(event.start_mark.line + 1, "the file: is nested too deeply")]
    loader = yaml.SafeLoader(data)
    root = loader.get_single_node()
    if not isinstance(root, yaml.MappingNode):
        return [(1, "the file: holds no fields")]
    return list(_in_fields(loader, root, ""))


def _in_fields(loader: Any, node: Any, place: str) -> Iterator[tuple[int, str]]:
    import yaml

    seen: set[str] = set()
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        name, line = f"{place}{key.value}", key.start_mark.line + 1
        if name in seen:  # YAML would take the last one, a reader the first
            yield line, f"{name}: is there twice"
        seen.add(name)
        if key.tag != "tag:yaml.org,2002:str":
            yield line, f"{name}: is no text; put the name in quotes"
        for each in value.value if isinstance(value, yaml.SequenceNode) else [value]:
            if isinstance(each, yaml.ScalarNode):
                try:
                    str(loader.construct_object(each)).encode()
                except ValueError as problem:
                    yield line, f"{name}: {problem}"
            yield from _in_fields(loader, each, f"{name}.")


def _field(place: tuple[int | str, ...], message: str) -> str:
    return f"{'.'.join(map(str, place)) or 'the file'}: {message.removeprefix('Value error, ')}"


def _untagged(node: Any, path: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return the way to a field without the tags of unions, which stand as a value where a name would."""
    import yaml

    found: list[int | str] = []
    for step in path:
        if isinstance(node, yaml.MappingNode):
            inside = {key.value: value for key, value in node.value}
            tagged = any(isinstance(value, yaml.ScalarNode) and value.value == step for value in inside.values())
            if step not in inside and tagged:
                continue
            node = inside.get(step)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step] if step < len(node.value) else None
        found.append(step)
    return tuple(found)


def _line(node: Any, path: tuple[int | str, ...]) -> int:
    """Return the line of the deepest key that exists on the way to `path`."""
    import yaml

    line = 1
    for step in path:
        if isinstance(node, yaml.MappingNode):
            found = [(key, value) for key, value in node.value if key.value == step]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            found = [(item, item) for item in node.value[step : step + 1]]
        else:
            found = []
        if not found:
            break
        line, node = found[0][0].start_mark.line + 1, found[0][1]
    return line
