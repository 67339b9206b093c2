"""`python -m helpers.monitoring rules RECORD.json …`: Prometheus' rules of records, or a project's PrometheusRule."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import yaml

from helpers.analysis.gate.reading import read_record
from helpers.errors import AssayError
from helpers.monitoring.rules import EARNEST, HERE, Watched, prometheus_rule, prometheus_rules
from helpers.runtime import interrupts


def main() -> int:
    """Run one of the commands and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers.monitoring", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    rules = commands.add_parser("rules", help="print the rules of records")
    rules.add_argument("records", nargs="+", type=Path, metavar="RECORD.json")
    rules.add_argument("--project", default="", help="print PrometheusRules for this project of a cluster")
    rules.add_argument("--served", default="", help="the InferenceService, where it is not called as Assay calls it")
    rules.add_argument("--fast", action="store_true", help="windows of a minute, to try a rule out")
    arguments = parser.parse_args()
    try:
        found = [read_record(path) for path in arguments.records]
        pace = HERE if arguments.fast else EARNEST
        if not arguments.project:
            print(yaml.safe_dump(prometheus_rules([Watched.here(each, pace) for each in found]), sort_keys=False))
            return 0
        on = [Watched.on_cluster(each, arguments.project, arguments.served, pace) for each in found]
        print(yaml.safe_dump_all([prometheus_rule(each, arguments.project) for each in on], sort_keys=False))
    except AssayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.run(main, "nothing was written"))
