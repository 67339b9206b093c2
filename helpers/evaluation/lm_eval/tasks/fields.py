"""What a task's YAML says about its rows, held against them: kind, split, fields of its templates, the right choice."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from helpers.datasets.lines import Faults, objects
from helpers.errors import InvalidDataset, NotMeasurable
from helpers.evaluation.lm_eval.scoring import DO_CHOOSE
from helpers.evaluation.lm_eval.tasks.catalogue import Function, Member
from helpers.evaluation.lm_eval.tasks.sources import FORMATS, Source, rows_of
from helpers.runtime.parameters import AUTO

KINDS = ("loglikelihood", "multiple_choice", "loglikelihood_rolling", "generate_until")
TEMPLATES = ("doc_to_text", "doc_to_choice", "doc_to_target")
ONE_FIELD = re.compile(r"\{\{\s*(\w+)\s*\}\}")
GUARDED = re.compile(r"\{%|\bdefault\b|\bdefined\b")  # a row may lack what such a template names


def plain(value: Any) -> Any:
    """Return the name of the field where a template is nothing but `{{name}}`, any other value as it is."""
    found = ONE_FIELD.fullmatch(value.strip()) if isinstance(value, str) else None
    return found[1] if found else value


def check_fields(leaf: Member, source: Source) -> None:
    """Raise InvalidDataset with what lm-eval would stumble over after the load test, or read as a wrong answer."""
    config, wrong = leaf.config, list[str]()
    if (kind := config.get("output_type", KINDS[-1])) not in KINDS:
        wrong.append(f"field output_type: {kind!r} is none of {', '.join(KINDS)}")
    if not source.by_code:
        wrong += _split(config)
    named = {} if config.get("process_docs") else {key: _names(config.get(key)) for key in TEMPLATES}
    paths = [path for path in rows_of(source.files) if path.stat().st_size]
    rows = (
        [(path, number, row) for path in paths for number, row in objects(path, Faults(path))]
        if any(named.values()) or kind == KINDS[1]
        else []
    )
    known = dict.fromkeys(name for _, _, row in rows for name in row)
    for key, names in named.items() if rows else ():
        wrong += [
            f"field {key}: no row has {name!r}; they have {', '.join(known)}" for name in names if name not in known
        ]
        value = config.get(key)
        if isinstance(value, str) and value in known:  # a field's name alone
            names.add(value)
    if wrong:
        raise InvalidDataset(f"{leaf.file}, {'; '.join(wrong)}", do="Correct the task's YAML, or its data")
    choices = _choices(config.get("doc_to_choice")) if named and kind == "multiple_choice" else None
    for path in paths:
        faults = Faults(path)
        for number, row in ((number, row) for file, number, row in rows if file == path):
            for key, names in named.items():
                for name in (name for name in names if name not in row):
                    faults.add(number, f"is missing, and {key} asks for it", name)
            inputs = isinstance(row.get(plain(config.get("doc_to_text"))), int)  # several inputs, one ending
            if choices and not inputs and (told := _no_choice(config.get("doc_to_target"), row, choices)):
                faults.add(number, told, "doc_to_target")
        faults.tell()


def check_metric(leaf: Member, wanted: str) -> None:
    """Refuse a metric that the task's YAML does not have, where no function decides. Raises NotMeasurable."""
    known = _metrics(leaf.config) if wanted != AUTO else []
    if known and wanted.partition(",")[0] not in known:
        raise NotMeasurable(f"{leaf.name} has no metric {wanted}; its metrics are {', '.join(known)}", do=DO_CHOOSE)


def metrics_of(configs: Iterable[Mapping[str, Any]], wanted: str) -> list[str]:
    """Return which metrics the score of these tasks may be, [] where only a run can tell."""
    if wanted != AUTO:
        return [wanted.partition(",")[0]]
    known = [_metrics(config) for config in configs]
    shared = [name for name in known[0] if all(name in each for each in known)] if all(known) else []
    sure = [name for name in shared if name == "acc"] or [name for name in shared[:1] if name == "exact_match"]
    return sure or shared


def _metrics(config: Mapping[str, Any]) -> list[str]:
    """Return the names of the metrics, [] where code of the task's own names them."""
    if config.get("process_results") or config.get("class"):
        return []
    names = [item.get("metric") for item in config.get("metric_list") or ()]
    if not names:
        try:
            from lm_eval.api.registry import DEFAULT_METRIC_REGISTRY
        except ImportError:  # lm-eval is in its own stage's image only
            return []
        names = DEFAULT_METRIC_REGISTRY[config.get("output_type", KINDS[-1])]
    return [] if any(isinstance(name, Function) for name in names) else [str(name) for name in names]


def _split(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the split that is asked, as far as the YAML alone decides it."""
    key = "test_split" if config.get("test_split") is not None else "validation_split"
    files = (config.get("dataset_kwargs") or {}).get("data_files")
    splits = list(files) if isinstance(files, Mapping) else ["train"]
    if config.get(key) is None:
        yield "field test_split: neither it nor validation_split is given, so there is nothing to ask"
    elif config.get("dataset_path") in FORMATS and files and config[key] not in splits:
        how = "" if isinstance(files, Mapping) else "; files without a split's name are `train`"
        yield f"field {key}: data_files has no {config[key]!r}, only {', '.join(map(str, splits))}{how}"


def _names(template: Any) -> set[str]:
    """Return the fields that every row needs for this template."""
    if isinstance(template, list):
        return {name for item in template for name in _names(item)}
    if (
        not isinstance(template, str)
        or isinstance(template, Function)
        or "{{" not in template
        or GUARDED.search(template)
    ):
        return set()
    from jinja2 import Environment, TemplateSyntaxError, meta

    environment = Environment(autoescape=False)
    try:
        return set(meta.find_undeclared_variables(environment.parse(template))) - set(environment.globals)
    except TemplateSyntaxError:  # an extension of lm-eval's, or a fault that it tells
        return set()


def _choices(template: Any) -> list[str | None] | None:
    """Return the choices that hold for every row, None for one that a row decides; None where they are not a list."""
    if isinstance(template, list):
        return [item if isinstance(item, str) and "{{" not in item else None for item in template]
    if not isinstance(template, str) or isinstance(template, Function):
        return None
    from jinja2 import Environment, TemplateSyntaxError, nodes

    try:
        body = Environment(autoescape=False).parse(template.strip()).body
    except TemplateSyntaxError:
        return None
    shown = body[0].nodes if len(body) == 1 and isinstance(body[0], nodes.Output) else []
    if len(shown) != 1 or not isinstance(shown[0], nodes.List):
        return None
    return [str(item.value) if isinstance(item, nodes.Const) else None for item in shown[0].items]


def _no_choice(target: Any, row: Mapping[str, Any], choices: list[str | None]) -> str:
    """Return why the right choice is none of them; lm-eval counts such a question as answered wrongly."""
    name = plain(target)
    right = row.get(name) if isinstance(name, str) else name
    if isinstance(right, str) and name != target and right.isdigit():
        right = int(right)  # as lm-eval reads what a template gives
    if isinstance(right, int) and not isinstance(right, bool):
        counted = f"{right} is none of the {len(choices)} choices, which count from 0"
        return "" if 0 <= right < len(choices) else counted
    if isinstance(right, str) and None not in choices and right not in choices:
        return f"{right!r} is none of the {len(choices)} choices"
    return ""
