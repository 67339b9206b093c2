"""What of a conversation is learned: every answer with its end mark, by the model's own chat template."""

from __future__ import annotations

import pytest

from helpers.errors import InvalidDataset
from helpers.tuning.conversations import IGNORED, conversations, encoded

CHATML = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
# As templates of reasoning models do: the last answer gets an empty thought, which earlier ones have lost.
THINKING = CHATML.replace(
    "\n{{ m['content'] }}",
    "\n{% if m['role'] == 'assistant' and loop.last %}<think></think>{% endif %}{{ m['content'] }}",
)


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(tiny_model)


def exchange(number):
    return [{"role": "user", "content": f"Why {number}?"}, {"role": "assistant", "content": f"Because {number}."}]


def learned(tokenizer, row):
    """The texts that are learned, one for each run of labels."""
    runs, last = [], False
    for token, label in zip(row.input_ids, row.labels, strict=True):
        assert label in (IGNORED, token)
        if label != IGNORED:
            runs = [*runs[:-1], runs[-1] + [token]] if last else [*runs, [token]]
        last = label != IGNORED
    return [tokenizer.decode(run) for run in runs]


def test_every_answer_is_learned_with_its_end_mark_and_nothing_else(tokenizer):
    tokenizer.chat_template = CHATML
    row = encoded(tokenizer, exchange(1) + exchange(2))
    assert learned(tokenizer, row) == ["Because 1.<|im_end|>\n", "Because 2.<|im_end|>\n"]


def test_short_examples_share_a_conversation_and_its_system_prompt(tokenizer):
    tokenizer.chat_template = CHATML
    examples = [(str(number), exchange(number)) for number in range(7)]
    rows = conversations(tokenizer, examples, turns=3, max_length=1000, seed=1)
    assert [len(learned(tokenizer, row)) for row in rows] == [3, 3, 1]
    assert sum(row.learned for row in rows) == sum(encoded(tokenizer, said).learned for _, said in examples)
    apart = conversations(tokenizer, examples, turns=1, max_length=1000, seed=1)
    assert sum(len(row.input_ids) for row in rows) < sum(len(row.input_ids) for row in apart)


def test_examples_stay_apart_where_the_template_rewrites_earlier_answers(tokenizer):
    tokenizer.chat_template = THINKING
    examples = [(str(number), exchange(number)) for number in range(3)]
    rows = conversations(tokenizer, examples, turns=3, max_length=1000, seed=1)
    assert [len(learned(tokenizer, row)) for row in rows] == [1, 1, 1], "nothing of an example is lost"


def test_a_conversation_holds_no_more_tokens_than_it_may(tokenizer):
    tokenizer.chat_template = CHATML
    one = len(encoded(tokenizer, exchange(1)).input_ids)
    examples = [(str(number), exchange(number)) for number in range(4)]
    rows = conversations(tokenizer, examples, turns=4, max_length=one + 5, seed=1)
    assert [len(learned(tokenizer, row)) for row in rows] == [1, 1, 1, 1]
    with pytest.raises(InvalidDataset, match="MAX_LENGTH"):
        conversations(tokenizer, examples, turns=1, max_length=one - 5, seed=1)
