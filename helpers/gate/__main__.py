"""`python -m helpers.gate CANDIDATE.json BASELINE.json`: 0 pass, 1 fail, 2 inconclusive; the report is Markdown."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from helpers.errors import AssayError
from helpers.gate.judging import judge
from helpers.gate.policy import load_gate_policy
from helpers.gate.reading import answers_of, read_record

CODES = {"pass": 0, "fail": 1, "inconclusive": 2}


def main(arguments: list[str] | None = None) -> int:
    """Judge, print the report, and return the exit code; what cannot be read is a failure."""
    parser = argparse.ArgumentParser(prog="python -m helpers.gate", description=__doc__)
    parser.add_argument("candidate", type=Path, help="record.json of the candidate")
    parser.add_argument("baseline", type=Path, help="record.json that it is held against")
    parser.add_argument("--policy", type=Path, help="YAML with the tolerances")
    parser.add_argument("--report", type=Path, help="write the report there too")
    given = parser.parse_args(arguments)
    try:
        policy = load_gate_policy(given.policy)
        records = read_record(given.candidate), read_record(given.baseline)
        answers = answers_of(records[0], given.candidate.parent), answers_of(records[1], given.baseline.parent)
    except AssayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    judgement = judge(*records, answers, policy)
    print(judgement.markdown())
    if given.report:
        given.report.write_text(judgement.markdown(), "utf-8")
    return CODES[judgement.state]


if __name__ == "__main__":
    sys.exit(main())
