"""A YAML file that a person keeps (policy, prices, criteria), refused by file, line and field where it is wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from helpers.errors import InvalidInput

T = TypeVar("T", bound=BaseModel)


def read_yaml(
    path: Path, model: type[T], error: type[InvalidInput], *, missing: str, repair: str, context: Any = None
) -> tuple[T, bytes]:
    """Return the file's content as `model`, whose validators are told `context`, and its bytes.

    Raises `error` for a file that cannot be read (`missing` says what to do) or is not as it should be (`repair`).
    """
    import yaml

    try:
        data = path.read_bytes()
        root = yaml.compose(data, Loader=yaml.SafeLoader)
        if twice := _twice(root):
            line, name = twice
            raise error(f"{path}:{line}: {name}: is there twice", do=repair)
        return model.model_validate(yaml.safe_load(data), context=context), data
    except OSError as problem:
        raise error(f"{path} cannot be read: {problem.strerror}", do=missing) from problem
    except yaml.YAMLError as problem:
        raise error(f"{path} is not YAML: {problem}", do=repair) from problem
    except ValidationError as problem:
        told = [f"{path}:{_line(root, item['loc'])}: {_field(item)}" for item in problem.errors()]
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


def _twice(node: Any, place: str = "") -> tuple[int, str] | None:
    """Return line and name of a field that is there twice: YAML would take the last one, a reader the first."""
    import yaml

    seen: set[str] = set()
    for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
        name = f"{place}{key.value}"
        if name in seen:
            return key.start_mark.line + 1, name
        seen.add(name)
        if found := _twice(value, f"{name}."):
            return found
    return None


def _field(item: Any) -> str:
    return f"{'.'.join(map(str, item['loc'])) or 'the file'}: {item['msg']}"


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
