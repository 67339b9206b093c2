"""Who runs this: the service account in a pod, a name on a machine, and no crash where a uid has neither."""

from __future__ import annotations

import base64
import getpass
import json
import os

import pytest

from helpers.runtime import account as mounted
from helpers.runtime import circumstances

ACCOUNT = "system:serviceaccount:evaluation:pipeline-runner-dspa"


def token(payload: object) -> str:
    """As Kubernetes issues it: three parts, the middle one without padding."""
    middle = base64.urlsafe_b64encode(json.dumps(payload).encode()).decode().rstrip("=")
    return f"eyJhbGciOiJSUzI1NiJ9.{middle}.c2lnbmF0dXJl"


@pytest.fixture
def nameless(monkeypatch):
    """A uid without a passwd entry, as a pod of OpenShift has it, under any runtime but CRI-O."""

    def unknown(uid):
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    with pytest.raises((KeyError, OSError)):
        getpass.getuser()


@pytest.fixture
def account(tmp_path, monkeypatch):
    monkeypatch.setattr(mounted, "FOLDER", tmp_path)
    return tmp_path


def test_a_pod_is_known_by_the_account_its_token_was_issued_to(account, nameless):
    (account / "token").write_text(token({"iss": "https://kubernetes.default.svc", "sub": ACCOUNT}) + "\n")
    assert circumstances.account() == ACCOUNT


@pytest.mark.parametrize("text", ["", "opaque", "a.b.c", token({}), token([1])], ids=range(5))
def test_a_token_that_says_nothing_leaves_the_project(account, nameless, text):
    (account / "token").write_text(text)
    (account / "namespace").write_text("evaluation")
    assert circumstances.account() == "a pod of evaluation"


def test_on_a_machine_it_is_the_users_name(account, monkeypatch):
    monkeypatch.setenv("LOGNAME", "ada")
    assert circumstances.account() == "ada"


def test_a_uid_without_a_name_is_called_a_uid(account, nameless, monkeypatch):
    assert circumstances.account() == f"uid {os.getuid()}"
    monkeypatch.setenv("LOGNAME", "1000660000")  # what CRI-O makes of it
    assert circumstances.account() == f"uid {os.getuid()}"


def test_who_submitted_the_run_is_known_where_it_was_said(monkeypatch):
    monkeypatch.delenv(circumstances.STARTED_BY, raising=False)
    assert circumstances.started_by() == ""
    monkeypatch.setenv(circumstances.STARTED_BY, "ada")
    assert circumstances.started_by() == "ada"
