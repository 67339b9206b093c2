"""The warm-up is in no report: what becomes of its figures ends nothing."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from helpers.load_test import driver


class Given(SimpleNamespace):
    """GuideLLM's arguments, as far as the warm-up changes them."""

    def model_copy(self, *, update):
        return Given(**vars(self) | update)


def warmed_up(answer):
    """What GuideLLM was asked for by a warm-up of three requests."""
    asked = []

    async def measure(*, args, **_):
        asked.append(args.spec)
        if answer:
            raise answer

    asyncio.run(driver._warm_up(measure, Given(spec=Given(seed=Given(value=7)))))
    return asked


@pytest.mark.parametrize("answer", [None, ValueError("Cannot compile GenerativeMetrics: No measurement start")])
def test_a_warm_up_that_guidellm_cannot_count_ends_no_sweep(answer, monkeypatch, capsys):
    monkeypatch.setenv("ASSAY_WARMUP_REQUESTS", "3")
    (spec,) = warmed_up(answer)
    assert spec.seed.value != 7
    assert spec.outputs == []
    said = capsys.readouterr().out
    assert "warm-up done" in said
    assert ("could not count" in said) is bool(answer)


def test_an_error_that_is_no_matter_of_figures_is_not_hidden(monkeypatch):
    monkeypatch.setenv("ASSAY_WARMUP_REQUESTS", "3")
    with pytest.raises(OSError, match="gone"):
        warmed_up(OSError("gone"))


def test_without_warm_up_requests_none_is_sent(monkeypatch):
    monkeypatch.setenv("ASSAY_WARMUP_REQUESTS", "0")
    assert warmed_up(None) == []
