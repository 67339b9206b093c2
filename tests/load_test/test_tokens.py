"""Tokens are counted as the server renders them, whatever constructs the model's chat template uses."""

from __future__ import annotations

import json
import shutil

import pytest

from helpers.errors import ArtifactMissing, InvalidInput
from helpers.load_test.tokens import TokenCounter, bytes_only

SAID = "restart the pod"
# What current models' templates are made of, each written anew: the template, and what it renders for one message.
TEMPLATES = {
    "plain": ("{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}", f"[user]{SAID}"),
    "special tokens, generation prompt": (
        "{{ bos_token }}{% for m in messages %}{{ m.content + eos_token }}{% endfor %}"
        "{% if add_generation_prompt %}<|assistant|>{% endif %}",
        f"<s>{SAID}</s><|assistant|>",
    ),
    "continue": (
        "{% for m in messages %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.content }}{% endfor %}",
        SAID,
    ),
    "break, backwards": (
        "{% for m in messages[::-1] %}{% if m.role == 'user' %}{{ m.content }}{% break %}{% endif %}{% endfor %}",
        SAID,
    ),
    "generation": (
        "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}{% endgeneration %}"
        "{% else %}<{{ m.content }}>{% endif %}{% endfor %}",
        f"<{SAID}>",
    ),
    "raise_exception not reached": (
        "{% for m in messages %}{% if (m.role == 'user') != (loop.index0 % 2 == 0) %}"
        "{{ raise_exception('roles alternate') }}{% endif %}{{ m.content }}{% endfor %}",
        SAID,
    ),
    "strftime_now": (
        "{% if strftime_now is defined %}{% set day = strftime_now('%Y') %}{% else %}{% set day = 'x' %}{% endif %}"
        "{{ day | length }}{{ messages[0].content }}",
        f"4{SAID}",
    ),
    "tojson with arguments": (
        "{{ {'a': 'ü'} | tojson(ensure_ascii=False, indent=2) }}{{ messages | tojson(separators=(',', ':')) }}",
        json.dumps({"a": "ü"}, ensure_ascii=False, indent=2)
        + json.dumps([{"role": "user", "content": SAID}], separators=(",", ":")),
    ),
    "tojson leaves signs of HTML": (
        "{{ {'x': '<b>&'} | tojson }}{{ messages[-1].content }}",
        '{"x": "<b>&"}' + SAID,
    ),
    "tools that are not there": (
        "{% if tools is defined and tools is not none %}{{ tools | tojson(indent=4) }}{% elif not tools %}"
        "{{ messages[0]['content'] }}{% endif %}",
        SAID,
    ),
    "documents that are not there": (
        "{% if documents %}{{ documents[0].title }}{% endif %}{{ messages[0].content }}",
        SAID,
    ),
    "macro that calls itself": (
        "{% macro kind(n) %}{% if n > 0 %}{{ n }}{{ kind(n - 1) }}{% endif %}{% endmacro %}"
        "{{ kind(3) }}{{ messages[0].content }}",
        f"321{SAID}",
    ),
    "namespace": (
        "{% set ns = namespace(found=false, text='') %}{% for m in messages %}{% set ns.found = true %}"
        "{% set ns.text = ns.text ~ m.content %}{% endfor %}{{ ns.text if ns.found }}",
        SAID,
    ),
    "methods of strings and lists": (
        "{% set c = messages[0].content %}{{ c.split('the')[0].strip().upper() }}{{ c.startswith('re') }}"
        "{{ c.replace('pod', 'node') | trim }}{{ messages[1:] | length }}",
        "RESTARTTruerestart the node0",
    ),
    "filters": (
        "{{ messages | selectattr('role', 'equalto', 'user') | map(attribute='content') | join('\n') }}"
        "{{ messages[0].items() | list | length }}{{ messages[0] | dictsort | first | first }}",
        f"{SAID}2content",
    ),
    "content in parts": (
        "{% for m in messages %}{% if m.content is string %}{{ m.content }}{% else %}"
        "{% for part in m.content %}{{ part.text }}{% endfor %}{% endif %}{% endfor %}",
        SAID,
    ),
    "thinking switched off": (
        "{{ messages[0].content }}{% if enable_thinking is defined and enable_thinking is false %}<no>{% endif %}",
        SAID,
    ),
    "white space": ("  {%- for m in messages %}\n    {{- m.content }}\n  {%- endfor %}\n\n", SAID),
    "default and format": (
        "{{ '<|%s|>' | format(messages[0].role) }}{{ '{}!'.format(model_identity | default('x')) }}",
        "<|user|>x!",
    ),
    "range and slices": (
        "{% for i in range(2) %}{{ loop.index0 }}{% endfor %}{{ messages[0].content[:7] }}{{ '-' * 3 }}",
        "01restart---",
    ),
}


@pytest.fixture
def folder(tokenizer, tmp_path):
    """A model's tokenizer without a template."""
    made = tmp_path / "tokenizer"
    shutil.copytree(tokenizer, made)
    config = json.loads((made / "tokenizer_config.json").read_text())
    del config["chat_template"]
    (made / "tokenizer_config.json").write_text(json.dumps(config))
    return made


def tokens(folder, text):
    from tokenizers import Tokenizer

    return len(Tokenizer.from_file(str(folder / "tokenizer.json")).encode(text, add_special_tokens=False).ids)


@pytest.mark.parametrize("name", TEMPLATES)
def test_each_construct_of_real_templates_is_rendered_and_counted(name, folder):
    template, rendered = TEMPLATES[name]
    (folder / "chat_template.jinja").write_text(template)
    assert TokenCounter(folder).prompt(SAID) == tokens(folder, rendered)


def test_a_template_among_others_in_the_configuration_is_the_default_one(folder):
    named = [
        {"name": "tool_use", "template": "{{ tools[0] }}"},
        {"name": "default", "template": "<{{ messages[0].content }}>"},
    ]
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps({**config, "chat_template": named}))
    assert TokenCounter(folder).prompt(SAID) == tokens(folder, f"<{SAID}>")


def test_a_template_that_refuses_the_message_is_told(folder):
    (folder / "chat_template.jinja").write_text("{{ raise_exception('a system message has to be first') }}")
    with pytest.raises(InvalidInput, match="a system message has to be first"):
        TokenCounter(folder).prompt(SAID)


def test_completions_take_no_template(folder):
    (folder / "chat_template.jinja").write_text("<|user|>{{ messages[0].content }}<|assistant|>")
    assert TokenCounter(folder, chat=False).prompt(SAID) == tokens(folder, SAID)
    assert TokenCounter(folder).around_a_prompt == 2
    assert TokenCounter(folder, chat=False).around_a_prompt == 0


def test_a_text_of_so_many_tokens_is_made(folder):
    counter = TokenCounter(folder, chat=False)
    assert counter.prompt(counter.text(50)) == pytest.approx(50, abs=3)


def test_without_a_tokenizer_prompts_cannot_be_counted(tmp_path):
    with pytest.raises(ArtifactMissing):
        TokenCounter(tmp_path)


def test_a_tokenizer_of_bytes_counts_and_makes_any_text(tmp_path):
    from transformers import PreTrainedTokenizerFast

    made = PreTrainedTokenizerFast.from_pretrained(str(bytes_only(tmp_path)))
    ids = made.encode("Grüße, 数 pods\n", add_special_tokens=False)
    assert len(ids) == len("Grüße, 数 pods\n".encode())
    assert made.decode(ids) == "Grüße, 数 pods\n"
