"""Canary questions: the same questions as in the record, and limits that say when to look."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from helpers.artifacts.observation import Observation
from helpers.errors import InvalidInput
from helpers.monitoring.canary import compared, history, keep
from helpers.monitoring.triggers import of_observation
from tests.plugins.records import a_record, a_sample, questions

NOW = datetime(2026, 12, 1, 12, tzinfo=UTC)


def look(minute, canary):
    return Observation(
        label="granite 1.0", record_id=a_record().record_id, prometheus="http://x", signals=(), canary=canary,
        started=NOW, ended=NOW.replace(minute=minute), versions={}, settings={},
    )  # fmt: skip


def answers(right, count=40):
    return {each.id: each for each in (a_sample(n, row, n < right) for n, row in enumerate(questions(count)))}


@pytest.mark.parametrize(("now", "outside"), [(20, False), (12, False), (8, True), (32, True)])
def test_a_score_is_held_against_the_same_questions_of_the_record(now, outside):
    before = answers(20) | {"other": answers(1)["ops_assistant/0"]}  # the record has more questions
    found = compared("knowledge", before, answers(now), 40)
    assert (found.score, found.expected, found.asked, found.answered) == (now / 40, 0.5, 40, 40)
    assert found.high - found.expected == pytest.approx(3 * (0.25 / 40) ** 0.5)
    assert found.outside is outside
    assert (found.lost, found.gained) == (max(0, 20 - now), max(0, now - 20))


def test_one_wrong_answer_of_a_record_without_any_is_no_alarm():
    assert not compared("knowledge", answers(40), answers(39), 40).outside
    assert compared("knowledge", answers(40), answers(34), 40).outside


def test_other_questions_are_no_comparison():
    with pytest.raises(InvalidInput):
        compared("knowledge", answers(20), {}, 40)


def test_each_look_is_a_point_of_the_next_ones_chart(tmp_path):
    store, canary = tmp_path.as_uri(), compared("knowledge", answers(20), answers(18), 40)
    looks = [look(1, canary), look(2, None), look(3, canary)]
    assert history(looks[0], store) == [looks[0]]
    for each in looks[:2]:
        keep(each, store)
    assert [each.ended.minute for each in history(looks[2], store)] == [1, 3]


@pytest.mark.parametrize(("right", "on_drift", "actions"), [
    (10, "fine-tune", ["fine-tune"]), (10, "none", ["notify"]), (38, "fine-tune", []), (40, "fine-tune", []),
])  # fmt: skip
def test_answers_below_the_limits_ask_for_what_the_user_names(right, on_drift, actions):
    record = a_record()
    seen = look(1, compared("knowledge", answers(36), answers(right), 40))
    raised = of_observation(seen, record, "regression", on_drift)
    assert [each.action for each in raised] == actions
    assert all(each.model == record.selection.name for each in raised)
