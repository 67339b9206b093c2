"""`python -m helpers.monitoring rules|dashboard RECORD.json …`: what Prometheus and Grafana read of a record."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import yaml

from helpers.analysis.gate.reading import read_record
from helpers.errors import AssayError
from helpers.monitoring.dashboard import grafana
from helpers.monitoring.rules import EARNEST, HERE, Watched, prometheus_rule, prometheus_rules
from helpers.runtime import interrupts


def main() -> int:
    """Run one of the commands and return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m helpers.monitoring", description=__doc__)
    parser.add_argument("what", choices=("rules", "dashboard"), help="a dashboard is Grafana's")
    parser.add_argument("records", nargs="+", type=Path, metavar="RECORD.json")
    parser.add_argument("--project", default="", help="of a cluster: rules are PrometheusRules then")
    parser.add_argument("--served", default="", help="the InferenceService, where it is not called as Assay calls it")
    parser.add_argument("--fast", action="store_true", help="windows of a minute, to try a rule out")
    arguments = parser.parse_args()
    project, pace = arguments.project, HERE if arguments.fast else EARNEST
    try:
        found = [read_record(path) for path in arguments.records]
        on = [
            Watched.on_cluster(each, project, arguments.served, pace) if project else Watched.here(each, pace)
            for each in found
        ]
        if arguments.what == "dashboard":
            print("\n".join(json.dumps(grafana(each), indent=2) for each in on))
        elif project:
            print(yaml.safe_dump_all([prometheus_rule(each, project) for each in on], sort_keys=False))
        else:
            print(yaml.safe_dump(prometheus_rules(on), sort_keys=False))
    except AssayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(interrupts.run(main, "nothing was written"))
