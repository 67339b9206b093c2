"""`python -m helpers.gate CANDIDATE.json BASELINE.json`: 0 pass, 1 fail, 2 inconclusive; the report is Markdown."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from helpers import storage
from helpers.artifacts import Record
from helpers.comparison.answers import read_answers
from helpers.errors import ArtifactMissing, AssayError
from helpers.gate.judging import Answers, judge, samples_of
from helpers.gate.policy import load_gate_policy

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
        records = _record(given.candidate), _record(given.baseline)
        answers = _answers(records[0], given.candidate), _answers(records[1], given.baseline)
    except AssayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    judgement = judge(*records, answers, policy)
    print(judgement.markdown())
    if given.report:
        given.report.write_text(judgement.markdown(), "utf-8")
    return CODES[judgement.state]


def _record(path: Path) -> Record:
    try:
        return Record.model_validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ArtifactMissing(
            f"{path} is no record: {reason}", do="Give the record.json that log_results wrote"
        ) from error


def _answers(record: Record, path: Path) -> Answers:
    """Return the record's answers, from the log beside it or from the store."""
    if log := samples_of(record, path):
        return read_answers(log, record.evaluation.metric)
    with tempfile.TemporaryDirectory(prefix="assay-gate-") as folder:
        fetched = Path(folder) / "samples.jsonl"
        name = record.evaluation.samples
        if name not in record.raw:
            raise ArtifactMissing(f"{path} does not say where its {name} is", do=f"Put {name} beside it")
        fetched.write_bytes(storage.get(record.raw[name]))
        return read_answers(fetched, record.evaluation.metric)


if __name__ == "__main__":
    sys.exit(main())
