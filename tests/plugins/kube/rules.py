"""Who may do what: Roles and RoleBindings as RBAC evaluates them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import yaml

RUNNER_ROLE = Path(__file__).with_name("pipeline-runner-dspa.yaml")
EVERYTHING = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]


class Grant(NamedTuple):
    """Rules for one user or group, in one namespace or ("") everywhere."""

    subject: str
    namespace: str
    rules: list[dict]


@dataclass
class Rules:
    """All grants of a cluster."""

    grants: list[Grant] = field(default_factory=list)

    def grant(self, subject: str, rules: list[dict], namespace: str = "") -> None:
        self.grants.append(Grant(subject, namespace, rules))

    def bind(self, documents: list[dict], namespace: str) -> None:
        """Take Roles and RoleBindings as `oc apply -n namespace` would; a binding to an unknown Role gives nothing."""
        roles = {_key(item, namespace): item["rules"] for item in documents if item["kind"] == "Role"}
        for item in (item for item in documents if item["kind"] == "RoleBinding"):
            place = item["metadata"].get("namespace", namespace)
            for subject in item["subjects"]:
                self.grant(_subject(subject, place), roles.get((place, item["roleRef"]["name"]), []), place)

    def revoke(self, verb: str, resource: str) -> None:
        """Take one verb on one resource from everybody, for example `("create", "servingruntimes")`."""
        self.grants = [grant._replace(rules=_without(grant.rules, verb, resource)) for grant in self.grants]

    def allow(self, user: str, verb: str, group: str, resource: str, name: str, namespace: str) -> bool:
        subjects = {user, *_groups(user)}
        return any(
            _matches(rule, verb, group, resource, name)
            for grant in self.grants
            if grant.subject in subjects and grant.namespace in ("", namespace)
            for rule in grant.rules
        )


def runner_role() -> list[dict]:
    """Return the rules that OpenShift AI gives to pipeline-runner-dspa."""
    return yaml.safe_load(RUNNER_ROLE.read_text())["rules"]


def _key(item: dict, namespace: str) -> tuple[str, str]:
    return item["metadata"].get("namespace", namespace), item["metadata"]["name"]


def _subject(subject: dict, namespace: str) -> str:
    if subject["kind"] == "ServiceAccount":
        return f"system:serviceaccount:{subject.get('namespace', namespace)}:{subject['name']}"
    return subject["name"]


def _groups(user: str) -> list[str]:
    parts = re.match(r"system:serviceaccount:([^:]+):", user)
    of_accounts = ["system:serviceaccounts", f"system:serviceaccounts:{parts[1]}"] if parts else []
    return ["system:authenticated", *of_accounts]


def _matches(rule: dict, verb: str, group: str, resource: str, name: str) -> bool:
    wanted = ((rule["verbs"], verb), (rule["apiGroups"], group), (rule["resources"], resource))
    named = not rule.get("resourceNames") or name in rule["resourceNames"]
    return named and all("*" in given or value in given for given, value in wanted)


def _without(rules: list[dict], verb: str, resource: str) -> list[dict]:
    """Split each rule by resource, so that only the one loses its verb."""
    split = [rule | {"resources": [one]} for rule in rules for one in rule["resources"]]
    return [
        rule | {"verbs": [one for one in rule["verbs"] if one != verb]} if rule["resources"] == [resource] else rule
        for rule in split
    ]
