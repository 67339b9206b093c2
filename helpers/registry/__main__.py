"""A version's approval: its history, and a person's decision with a name and a reason."""

from __future__ import annotations

import argparse
import sys

from helpers.circumstances import account
from helpers.errors import AssayError, InvalidInput
from helpers.registry import Decision, Registry, connect


def main() -> int:
    """Show the history, or add a decision first; return the exit code: 0 done, 1 refused."""
    arguments = _parser().parse_args()
    try:
        registry = connect(arguments.registry, author=account())
        version = registry.find(arguments.model, arguments.version)
        if arguments.state:
            by = arguments.by.strip() or account()  # a decision of nobody would be a policy's
            if not arguments.reason.strip():
                raise InvalidInput(f"{by}'s decision has no reason", do="Say why with --reason")
            registry.set_approval(version.model_version_id, arguments.state, [arguments.reason], by=by)
        _show(registry, arguments.model, arguments.version)
    except AssayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m helpers.registry", description=__doc__)
    parser.add_argument("model")
    parser.add_argument("version")
    parser.add_argument("--registry", default="auto", help="auto, local, https://host or service:NAME (default: auto)")
    state = parser.add_mutually_exclusive_group()
    state.add_argument("--approve", dest="state", action="store_const", const="approved", help="let it be used")
    state.add_argument("--reject", dest="state", action="store_const", const="rejected", help="keep it out")
    state.add_argument(
        "--hand-back", dest="state", action="store_const", const="candidate", help="let the policy decide again"
    )
    parser.add_argument("--by", default="", help="who decides")
    parser.add_argument("--reason", default="", help="why, in one sentence")
    return parser


def _show(registry: Registry, model: str, version: str) -> None:
    found = registry.find(model, version)
    print(f"{model} {version} is {found.properties.get('approval', 'unknown')}")
    for decision in registry.decisions(found.model_version_id):
        print(f"  {_line(decision)}")


def _line(decision: Decision) -> str:
    who = decision.by or f"policy {decision.policy_digest[:19]}".strip()
    return f"{decision.decided_at}  {decision.state:<9}  {who}: {decision.reasons}"


if __name__ == "__main__":
    sys.exit(main())
