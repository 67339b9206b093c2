"""`python -m helpers.analysis.gate CANDIDATE.json BASELINE.json` prints a report: 0 pass, 1 fail, 2 inconclusive.

`python -m helpers.analysis.gate --accept RECORD --reason WHY` makes a record that the gate refused the next baseline.
Any other exit code (64) says that nothing was judged: a mistyped option, a file that cannot be read.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from helpers.analysis.gate.exits import CODES, Parser, judged
from helpers.analysis.gate.judging import judge
from helpers.analysis.gate.reading import answers_of, read_record
from helpers.datasets.criteria import DEFAULT, FILE, QUALITY, load_criteria
from helpers.errors import NotFound
from helpers.registry import Verdict, connect
from helpers.runtime import interrupts
from helpers.runtime.circumstances import account
from helpers.runtime.workspace import ROOT


def main(arguments: list[str] | None = None) -> int:
    """Judge, print the report, and return the exit code; or accept a record."""
    parser = _parser()
    given = parser.parse_args(arguments)
    if given.policy:
        parser.error(f"--policy is --criteria now, whose file has a line per metric: {QUALITY}: {{tolerance: 0.02}}")
    if bool(given.accept) == bool(given.candidate and given.baseline):
        parser.error("give the candidate's and the baseline's record.json, or --accept with the id of a record")
    return judged(lambda: _accept(given) if given.accept else _judge(given))


def _parser() -> Parser:
    parser = Parser(
        prog="python -m helpers.analysis.gate", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("candidate", nargs="?", type=Path, help="record.json of the candidate")
    parser.add_argument("baseline", nargs="?", type=Path, help="record.json that it is held against")
    parser.add_argument(
        "--criteria", type=Path, help="YAML with the tolerances (default: that of the use case's folder)"
    )
    parser.add_argument("--policy", help=argparse.SUPPRESS)  # version 1
    parser.add_argument("--report", type=Path, help="write the report there too")
    parser.add_argument(
        "--accept", metavar="RECORD", default="", help="id of a record that later ones are held against"
    )
    parser.add_argument("--reason", default="", help="why it is accepted, in one sentence")
    parser.add_argument("--by", default="", help="who accepts it")
    parser.add_argument("--registry", default="auto", help="address of the model registry")
    return parser


def _judge(given: argparse.Namespace) -> int:
    records = read_record(given.candidate), read_record(given.baseline)
    own = ROOT / "datasets" / records[0].use_case / FILE
    criteria = load_criteria(given.criteria or (own if own.is_file() else DEFAULT))
    answers = answers_of(records[0], given.candidate.parent), answers_of(records[1], given.baseline.parent)
    judgement = judge(*records, answers, criteria)
    print(judgement.markdown())
    if given.report:
        given.report.write_text(judgement.markdown(), "utf-8")
    return CODES[judgement.state]


def _accept(given: argparse.Namespace) -> int:
    registry = connect(given.registry, author=account())
    found = next((record for record in registry.records() if record.record_id == given.accept), None)
    if found is None:
        raise NotFound(
            f"The registry {registry.address} has no record {given.accept}",
            do="Take the id that the gate's report names",
        )
    verdict = Verdict(found.record_id, "accepted", by=given.by or account(), reason=given.reason)
    registry.add_verdict(found.model_version_id, verdict)
    print(f"Record {found.record_id} of {found.name} {found.version} is accepted: later records are held against it.")
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.run(main, "nothing was judged or accepted. Run the same command again"))
