"""`python -m helpers.analysis A B …` says which model to take, from results that lm-eval, GuideLLM and others wrote.

A source is a folder or a file; `NAME=` before it calls the model so. The report is written into `--out`.
With `--baseline A --criteria criteria.yaml` it is the regression gate: 0 pass, 1 regression, 2 inconclusive. Any other
exit code (64) says that nothing was judged: a mistyped option, a file that cannot be read, results that are not whole.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from helpers.analysis.comparison import Row
from helpers.analysis.gate.exits import CODES, NOT_JUDGED, Parser, judged
from helpers.analysis.gate.judging import Judgement, plain
from helpers.analysis.gate.stage import REPORT
from helpers.analysis.imported import Judged, headline, hold_all, judge_all
from helpers.artifacts import write_atomic
from helpers.datasets.criteria import DEFAULT, load_criteria
from helpers.records.exporting import export
from helpers.records.imports import Imported, read_all
from helpers.reporting.page import Sections, write_report
from helpers.reporting.plots.tiers import rows_table
from helpers.runtime import interrupts
from helpers.serving.amounts import parse_hardware

OUT = Path("assay-report")


def main(arguments: list[str] | None = None) -> int:
    """Compare or judge, print what came out, write the report, and return the exit code."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if bool(given.baseline) and not given.criteria:
        parser.error(
            "--baseline asks for --criteria, whose file has a tolerance per metric: gsm8k.exact_match: "
            "{tolerance: 0.02}"
        )
    if len(given.sources) + bool(given.baseline) < 2:
        parser.error("give two models at least")
    return judged(lambda: _hold(given) if given.baseline else _compare(given), _shown)


def assay() -> int:
    """Run the console script: `assay compare A B …`."""
    command, *arguments = sys.argv[1:] or [""]
    if command != "compare":
        print("usage: assay compare A B … (assay compare --help)", file=sys.stderr)
        return 0 if command in ("-h", "--help") else NOT_JUDGED
    return interrupts.run(lambda: main(arguments), "nothing was judged. Run the same command again")


def _parser() -> Parser:
    parser = Parser(prog="assay compare", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("sources", nargs="+", metavar="SOURCE", help="folder or file with one model's results")
    parser.add_argument("--baseline", default="", metavar="SOURCE", help="what the others are held against")
    parser.add_argument("--criteria", type=Path, help="YAML: what must hold, may be lost, and counts how much")
    parser.add_argument("--metric", default="", help="the metric that is compared (default: each task's first)")
    parser.add_argument(
        "--hardware", type=parse_hardware, metavar="TYPE:COUNT", help="what ran them all, where the files do not say it"
    )
    parser.add_argument("--out", type=Path, default=OUT, help=f"folder of the report (default: {OUT})")
    parser.add_argument("--export", type=Path, metavar="FOLDER", help="write them for lm-eval and EvalHub, too")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    return parser


def _compare(given: argparse.Namespace) -> int:
    criteria = load_criteria(given.criteria or DEFAULT)
    judged = judge_all(_read(given.sources, given), criteria)
    written = _write(judged, given.out)
    if given.json:
        decision = judged.decision.model_dump(mode="json") if judged.decision else None
        _print_json({"decision": decision, "measurements": _plain(judged.rows), "notes": judged.notes})
        return 0
    told = ["\n".join(headline(judged)), _table(judged), "\n".join(judged.notes), written]
    print(_shown("\n\n".join(filter(None, told))))
    return 0


def _shown(text: str) -> str:
    """Return a text without what would steer a terminal: files name models and tasks as they like."""
    return "".join(each if each.isprintable() or each == "\n" else "?" for each in text)


def _read(sources: Sequence[str], given: argparse.Namespace) -> list[Imported]:
    """Return the sources, on the hardware that was named where they name none themselves."""
    found = read_all(sources, given.metric)
    for each in found if given.export else ():
        export(each, given.export)
    if not given.hardware:
        return found
    return [each if each.hardware else replace(each, hardware=given.hardware) for each in found]


def _table(judged: Judged) -> str:
    return str(rows_table(judged.rows, [record.label for record in judged.records]).to_string())


def _write(judged: Judged, folder: Path) -> str:
    """Write report and artifacts; return where the report is, "" where there is nothing to report."""
    if judged.comparison is None or judged.decision is None:
        return ""
    judged.comparison.write(folder)
    judged.decision.write(folder)
    return repr(write_report(Sections(judged.comparison, judged.decision, judged.records), folder))


def _hold(given: argparse.Namespace) -> int:
    criteria = load_criteria(given.criteria)
    baseline, *candidates = _read([given.baseline, *given.sources], given)
    judgements, notes = hold_all(baseline, candidates, criteria)
    text = "\n".join([*(each.markdown() for each in judgements), *map(plain, notes)])
    write_atomic(given.out / REPORT, text.encode())
    if given.json:
        gate = [each.model_dump(mode="json") | {"state": each.state} for each in judgements]
        _print_json({"gate": gate, "notes": notes})
    else:
        print(_shown(text))
    return _code(judgements)


def _code(judgements: Sequence[Judgement]) -> int:
    states = {each.state for each in judgements}
    return CODES["fail" if "fail" in states else "inconclusive" if "inconclusive" in states else "pass"]


def _plain(rows: Sequence[Row]) -> list[dict[str, Any]]:
    return [row.model_dump(mode="json") for row in rows]


def _print_json(content: dict[str, Any]) -> None:
    print(json.dumps(content, indent=2))


if __name__ == "__main__":
    sys.exit(interrupts.run(main, "nothing was judged. Run the same command again"))
