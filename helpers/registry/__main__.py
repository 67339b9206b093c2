"""Keep house: models and versions, records, runs and servers, in a cluster's registry or on this machine.

WHAT is a model (NAME), a version (NAME VERSION), a record's id, a run (its folder's name) or a server's handle.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from helpers.artifacts import write_atomic
from helpers.errors import AssayError, InvalidInput, NotFound, SignatureInvalid
from helpers.ingestion.policy import load_policy
from helpers.records import card as cards
from helpers.records import reading, tracking
from helpers.registry import AttachedRecord, Decision, Registry, Version, connect, housekeeping
from helpers.registry.history import RETIRED
from helpers.registry.judging import do_sign
from helpers.runtime import interrupts, processes, runs
from helpers.runtime.circumstances import account
from helpers.runtime.workspace import ROOT
from helpers.serving import deployments

STATES = {"approve": "approved", "reject": "rejected", "hand-back": "candidate"}
DECISIONS = {
    "approve": "let a version be used",
    "reject": "keep a version out",
    "hand-back": "let the policy decide on a version again",
}
AUDIT = "verify every signed decision on a model, or a card by its file; 1 where one does not hold"
AUDIT = "verify every signed decision on a model, or a card by its file; 1 where one does not hold"
RETIRE = "take a version out of use for good, unless something serves it"
POLICY = ROOT / "pipelines" / "policy.yaml"
CLUSTER_SECONDS = 20  # a cluster that is only asked what serves a version


def main() -> int:
    """Do one thing and return the exit code: 0 done, 1 refused."""
    words = sys.argv[1:]
    if "--audit" in words:  # MODEL --audit, as one asks of a model
        words = ["audit", *(word for word in words if word != "--audit")]
    arguments = _parser().parse_args(words)
    try:
        for line in _told(arguments):
            print(line)
    except AssayError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


def _told(arguments: argparse.Namespace) -> Iterable[str]:
    if arguments.command == "audit" and arguments.model.endswith(".json") and Path(arguments.model).is_file():
        return _audit_card(Path(arguments.model))  # whoever was sent one has no registry
    registry = connect(arguments.registry, author=account())
    told: Iterable[str] = arguments.do(registry, arguments)
    return told


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m helpers.registry", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, do: Callable[..., Iterable[str]], told: str, *positional: str, more: str = "") -> None:
        own = commands.add_parser(name, help=told)
        for each in positional:
            own.add_argument(each)
        if more:
            own.add_argument("what", nargs=more, metavar="WHAT")
        own.add_argument("--registry", default="auto", help="auto, local, https://host or service:NAME (default: auto)")
        own.add_argument("--runs", type=Path, default=ROOT / "runs", help="where the runs of this machine lie")
        if name in (*DECISIONS, "withdraw", "retire"):
            own.add_argument("--by", default="", help="who decides (default: you)")
            own.add_argument("--reason", default="", help="why, in one sentence")
        if name == "approve":
            told = "whose `review.days` say when it is to be looked at again"
            own.add_argument("--policy", type=Path, default=POLICY, help=told)
        if name == "retire":
            own.add_argument("--successor", nargs=2, metavar=("MODEL", "VERSION"), help="what to use instead")
        if name == "delete":
            own.add_argument("--yes", action="store_true", help="do it; without it, say what would go")
        if name == "card":
            own.add_argument("version", nargs="?", default="", help="default: the newest")
            own.add_argument("--to", type=Path, help="file; without one it is printed")
        if name == "export":
            own.add_argument("--to", type=Path, required=True, help="folder, which is made")
        own.set_defaults(do=do)

    command("list", _list, "all of it, or only models, records, runs or servers", more="*")
    command("audit", _audit, AUDIT, "model")
    command("card", _card, "the evaluation card of a version: JSON, signed with the key that signs records", "model")
    command("show", _show, "one thing with all that belongs to it", more="+")
    for name, told in DECISIONS.items():
        command(name, _decide, told, "model", "version")
    command("retire", _retire, RETIRE, "model", "version")
    command("withdraw", _withdraw, "withdraw a wrong record: no stage reads it any more", "record")
    command("track", _track, "tell the MLflow server at MLFLOW_TRACKING_URI of a record", "record")
    command("delete", _delete, "archive a model or version and delete its files; delete a run; end a server", more="+")
    command("restore", _restore, "bring a version back that was archived", "model", "version")
    command("export", _export, "copy a version with its records, a record or a run into a folder", more="+")
    return parser


# What there is


def _list(registry: Registry, arguments: argparse.Namespace) -> Iterable[str]:
    kinds: dict[str, Callable[[], Iterable[str]]] = {
        "models": lambda: map(housekeeping.version_line, registry.judged()),
        "records": lambda: map(housekeeping.record_line, registry.records(also_withdrawn=True)),
        "runs": lambda: [housekeeping.run_line(folder, run) for folder, run in runs.of(arguments.runs)],
        "servers": lambda: map(housekeeping.server_line, housekeeping.servers()),
    }
    if unknown := sorted(set(arguments.what) - set(kinds)):
        raise InvalidInput(f"There is no list of {', '.join(unknown)}", do=f"Name {', '.join(kinds)}, or nothing")
    for kind in arguments.what or kinds:
        lines = list(kinds[kind]())
        yield f"{kind}: {len(lines) or 'none'}"
        yield from (f"  {line}" for line in lines)


def _show(registry: Registry, arguments: argparse.Namespace) -> Iterable[str]:
    found = _found(registry, arguments)
    if isinstance(found, AttachedRecord):
        yield housekeeping.record_line(found)
        yield found.uri
        yield from (f"  {name:<24} {value}" for name, value in sorted(found.summary.items()))
        for measured, figures in sorted(found.measurements.items()):
            yield f"  {measured}"
            yield from (f"    {name:<22} {value}" for name, value in sorted(figures.items()))
    elif isinstance(found, Path):
        run = runs.read(found)
        yield housekeeping.run_line(found, run)
        yield from (f"  {name:<10} {value}" for name, value in (run.given if run else {}).items())
        yield from (f"  kept: {what}" for what in runs.kept(found / "notebooks"))
    elif isinstance(found, processes.Running):
        yield housekeeping.server_line(found)
        yield f"  log: {found.log}"
    else:
        for version in found:
            yield from _history(registry, version)


def _history(registry: Registry, version: Version) -> Iterable[str]:
    approval = version.properties.get("approval", "unknown")
    yield f"{version.name} {version.version} is {approval}{' and archived' if version.archived else ''}"
    yield from (f"  in service: {each.line}" for each in _serving(registry, version))
    if review := registry.reviews(_policy_digest()).get(version.model_version_id):
        yield f"  review {review}"
    history = registry.history(version.model_version_id)
    yield from ([f"  doubtful: {history.doubt}"] if history.doubt else [])
    yield from (f"  {_decision_line(link.decision)}" for link in history.decided if link.decision)
    yield from (f"  {part.line}" for part in housekeeping.parts(registry, [version]))
    for record in registry.records(version.name, version.version, also_withdrawn=True):
        yield f"  {housekeeping.record_line(record)}"


def _serving(registry: Registry, version: Version) -> list[deployments.Deployment]:
    """Return what serves the version; where the cluster does not say, only that."""
    try:
        return deployments.of_version(version, registry.address, timeout=CLUSTER_SECONDS)
    except AssayError as error:
        return [deployments.Deployment(f"not known, {error.what}", "")]


def _policy_digest() -> str:
    try:
        return load_policy(POLICY).digest
    except AssayError:  # an installation without the workspace, or a policy that somebody edits
        return ""


def _audit(registry: Registry, arguments: argparse.Namespace) -> Iterable[str]:
    """Yield the chain of each version of a model. Raises SignatureInvalid at the end where one does not hold."""
    registry.find(arguments.model, "")
    doubtful = []
    for version in (each for each in registry.versions() if each.name == arguments.model):
        history, doubt = registry.audit(version)
        yield f"{version.name} {version.version}: {len(history.links)} decisions{', doubtful' if doubt else ''}"
        for link in history.links:
            said = _decision_line(link.decision) if link.decision else link.fault
            held = "  <- holds" if link is history.standing else ""
            yield f"  {link.document}  {link.digest[:19] or 'no digest':<19}  {said}{held}"
        if doubt:
            doubtful.append(f"{version.name} {version.version}: {doubt}")
            yield f"  {do_sign(version)}"
    if doubtful:
        raise SignatureInvalid("; ".join(doubtful), do="No stage uses such a version")


def _audit_card(path: Path) -> Iterable[str]:
    """Yield what a card is about. Raises InvalidInput or SignatureInvalid where it does not hold."""
    found = cards.verified(path)
    model, records = found["model"], found["records"]
    yield f"{path}: the signature holds; {model['name']} {model['version']} was {found['state']} on {found['made_at']}"
    yield f"  made by {found['made_by']}, with {len(records)} records"
    for each in records:
        trusted = "" if each["signature_trusted"] else ", not signed by a trusted key"
        yield f"  record {each['record']}: {each['purpose']} {each['use_case']}, measured until {each['to']}{trusted}"


def _card(registry: Registry, arguments: argparse.Namespace) -> Iterable[str]:
    registry.find(arguments.model, arguments.version)
    named = [each for each in registry.versions() if each.name == arguments.model]
    version = max(
        (each for each in named if arguments.version in ("", each.version)), key=lambda each: int(each.model_version_id)
    )
    text = cards.signed(cards.card(registry, version))
    yield str(write_atomic(arguments.to, text.encode())) if arguments.to else text.rstrip()


def _decision_line(decision: Decision) -> str:
    files = {"policy": decision.policy_digest, "criteria": decision.criteria_digest}
    who = decision.by or " and ".join(f"{name} {digest[:19]}" for name, digest in files.items() if digest) or "policy"
    return f"{decision.decided_at}  {decision.state:<9}  {who}: {decision.reasons}"


Found = list[Version] | AttachedRecord | Path | processes.Running


def _found(registry: Registry, arguments: argparse.Namespace) -> Found:
    """Return what the words name. Raises ModelNotFound with the closest names, or NotFound."""
    name, version = (*arguments.what, "")[:2]
    if len(arguments.what) > 2:
        raise InvalidInput(f"{' '.join(arguments.what)} names nothing", do="Name a model and at most its version")
    versions = [each for each in registry.versions() if each.name == name]
    if versions or version:
        registry.find(name, version)
        return [each for each in versions if version in ("", each.version)]
    if record := housekeeping.of_record(registry, name):
        return record
    folder = (arguments.runs / name).resolve()
    if name not in (".", "..") and "/" not in name and folder.is_dir():
        return folder
    servers = [server for server in housekeeping.servers() if server.handle == name]
    if servers:
        return servers[0]
    raise NotFound(f"There is no model, record, run or server {name!r}", do="See python -m helpers.registry list")


# What can be done with it


def _decide(registry: Registry, arguments: argparse.Namespace) -> Iterable[str]:
    version = registry.find(arguments.model, arguments.version)
    by, reason = _reasoned(arguments)
    said: dict[str, Any] = {}
    if arguments.command == "approve":
        policy = load_policy(arguments.policy)
        said = {"policy_digest": policy.digest, "review_days": policy.review.days}
    registry.set_approval(version.model_version_id, STATES[arguments.command], [reason], by=by, **said)
    yield from _history(registry, registry.find(arguments.model, arguments.version))


def _retire(registry: Registry, arguments: argparse.Namespace) -> Iterable[str]:
    version = registry.find(arguments.model, arguments.version)
    by, reason = _reasoned(arguments)
    successor = registry.find(*arguments.successor) if arguments.successor else None
    if successor:
        _require_usable(registry, successor, version)
    if serving := deployments.of_version(version, registry.address):
        told = "; ".join(each.line for each in serving)
        do = f"Move its users to another version and end it: {'; '.join(each.ended_by for each in serving)}"
        raise InvalidInput(f"{version.name} {version.version} is in service: {told}", do=do)
    registry.retire(version, by=by, reason=reason, successor=successor)
    yield from _history(registry, registry.find(arguments.model, arguments.version))


def _require_usable(registry: Registry, successor: Version, version: Version) -> None:
    """Refuse a successor that nobody may use. Raises InvalidInput."""
    [judged] = [each for each in registry.judged() if each.model_version_id == successor.model_version_id]
    same = successor.model_version_id == version.model_version_id
    if same or judged.archived or judged.properties.get("approval") != "approved":
        why = "it itself" if same else "archived" if judged.archived else f"{judged.properties.get('approval')}"
        what = f"{successor.name} {successor.version} cannot follow {version.name} {version.version}: it is {why}"
        raise InvalidInput(what, do="Name an approved version, or leave out --successor")


def _reasoned(arguments: argparse.Namespace) -> tuple[str, str]:
    by = arguments.by.strip() or account()  # a decision without a name would be a policy's
    if not arguments.reason.strip():
        raise InvalidInput(f"{by}'s decision has no reason", do="Say why with --reason")
    return by, arguments.reason


def _withdraw(registry: Registry, arguments: argparse.Namespace) -> Iterable[str]:
    by, reason = _reasoned(arguments)
    record = housekeeping.of_record(registry, arguments.record)
    if record is None:
        raise NotFound(f"There is no record {arguments.record!r}", do="See python -m helpers.registry list records")
    registry.withdraw(record, by=by, reason=reason)
    version = registry.find(record.name, record.version)
    yield f"record {record.record_id} of {record.name} {record.version} is withdrawn; it stays to be read by people"
    if record.summary.get("purpose") == "baseline" and version.properties.get("approval") == "approved":
        yield f"{version.name} {version.version} stays approved: reject it, or measure its baseline again"


def _track(registry: Registry, arguments: argparse.Namespace) -> Iterable[str]:
    settings = tracking.Settings(
        uri=os.environ.get("MLFLOW_TRACKING_URI", ""), experiment=os.environ.get("MLFLOW_EXPERIMENT_NAME", "")
    )
    if not settings.uri:
        raise InvalidInput("MLFLOW_TRACKING_URI names no server", do="Set it to the MLflow server's address")
    if not (attached := housekeeping.of_record(registry, arguments.record)):
        raise NotFound(f"There is no record {arguments.record!r}", do="See python -m helpers.registry list records")
    yield tracking.track(settings, reading.read(attached))


def _delete(registry: Registry, arguments: argparse.Namespace) -> Iterable[str]:
    found = _found(registry, arguments)
    if isinstance(found, AttachedRecord):
        do = f"Withdraw it: python -m helpers.registry withdraw {found.record_id} --reason WHY"
        raise InvalidInput(f"Record {found.record_id} belongs to a version's history", do=do)
    if isinstance(found, Path):
        run = runs.read(found)
        if run and run.standing == "running":
            raise InvalidInput(f"Run {found.name} works", do="Interrupt it first")
        yield from _going([f"{housekeeping.run_line(found, run)}  {found}"], arguments)
        if arguments.yes:
            shutil.rmtree(found)
    elif isinstance(found, processes.Running):
        yield from _going([housekeeping.server_line(found)], arguments)
        if arguments.yes:
            processes.end(found)
    else:
        yield from _delete_versions(registry, found, arguments)


def _delete_versions(registry: Registry, gone: list[Version], arguments: argparse.Namespace) -> Iterable[str]:
    labels = {f"{version.name} {version.version}" for version in gone}
    served = [
        f"served: {housekeeping.server_line(server)}" for server in housekeeping.servers() if server.label in labels
    ]
    parts = housekeeping.parts(registry, gone)
    archived = [f"archived in the registry: {label}" for label in sorted(labels)]
    yield from _going([*archived, *(part.line for part in parts), *served], arguments)
    if arguments.yes:
        for version in gone:  # first: what is half deleted may not be selected
            registry.archive(version)
        for part in parts:
            housekeeping.take_away(part)


def _going(lines: list[str], arguments: argparse.Namespace) -> Iterable[str]:
    yield from lines
    yield "this goes now" if arguments.yes else "nothing was deleted; --yes does it"


def _restore(registry: Registry, arguments: argparse.Namespace) -> Iterable[str]:
    version = registry.find(arguments.model, arguments.version)
    registry.restore(version)
    if version.properties.get("approval") == RETIRED:
        yield f"{version.name} {version.version} stays retired until somebody approves it"
    yield f"{version.name} {version.version} is back; files that were deleted come back with ingest_model"


def _export(registry: Registry, arguments: argparse.Namespace) -> Iterable[str]:
    found, to = _found(registry, arguments), arguments.to
    if to.exists():
        raise InvalidInput(f"{to} is there already", do="Name a folder that is to be made")
    if isinstance(found, processes.Running):
        raise InvalidInput(f"{found.handle} is a server and cannot be copied", do="Export the version that it serves")
    if isinstance(found, Path):
        yield str(shutil.copytree(found, to, symlinks=True))
    elif isinstance(found, AttachedRecord):
        yield from map(str, housekeeping.bring(found.uri.rpartition("/")[0], to))
    else:
        for version in found:
            yield from _export_version(registry, version, to / version.name / version.version)


def _export_version(registry: Registry, version: Version, folder: Path) -> Iterable[str]:
    selection = registry.selection(version)
    decisions = [asdict(decision) for decision in registry.decisions(version.model_version_id)]
    folder.mkdir(parents=True)
    about = folder / "version.json"
    about.write_text(json.dumps({**asdict(version), "decisions": decisions}, indent=2) + "\n")
    yield str(about)
    if selection:
        yield from map(str, housekeeping.bring(selection.uri, folder / "model"))
    for record in registry.records(version.name, version.version, also_withdrawn=True):
        yield from map(str, housekeeping.bring(record.uri.rpartition("/")[0], folder / "records" / record.record_id))


if __name__ == "__main__":
    sys.exit(interrupts.run(main, "what was printed is done. The same command does the rest"))
