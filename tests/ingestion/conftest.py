"""What the tests of every source share."""

import pytest

from helpers.runtime import patience
from tests.plugins.sources import a_policy


@pytest.fixture
def policy(tmp_path):
    """The shipped policy, open to every source."""
    return a_policy(tmp_path)


@pytest.fixture
def quarantine(tmp_path):
    return tmp_path / "quarantine"


@pytest.fixture(autouse=True)
def impatient(hurried, monkeypatch):
    """Time runs faster for whoever waits for a source: it is given up after three seconds."""
    monkeypatch.setattr(patience, "SECONDS", 3.0)
