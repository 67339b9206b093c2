"""Chat templates: every known way out of the sandbox is named, and no construct of a real template raises an alarm."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.ingestion.inspection.templates import LONGEST, TOGETHER, Templates
from tests.ingestion import chat_templates


def found(*sources):
    templates = Templates()
    return [finding for source in sources for finding in templates.inspect("t.jinja", source)]


@pytest.mark.parametrize("name", chat_templates.ALL)
def test_what_real_templates_use_raises_no_alarm(name):
    assert found(chat_templates.ALL[name]) == []


@pytest.mark.parametrize("name", chat_templates.CONSTRUCTS)
def test_no_construct_of_a_well_known_model_raises_an_alarm(name):
    assert found(chat_templates.CONSTRUCTS[name]) == []


def test_the_constructs_are_those_that_are_promised():
    together = " ".join(chat_templates.CONSTRUCTS.values())
    for part in (
        "continue",
        "break",
        "generation",
        "raise_exception",
        "strftime_now",
        "tojson(",
        "macro",
        "namespace(",
    ):
        assert part in together
    assert len(chat_templates.CONSTRUCTS) >= 20


@pytest.mark.parametrize(
    "source",
    [
        "{{ 'a__b'.split('__') }}",
        "{{ message['tool_' ~ name] }}",
        "{{ tool.name | replace('-', '_') }}",
        "{% for _ in messages %}{% endfor %}",
        "if __name__ == '__main__': {{ code }}",
        "{{ 'Write __init__ and run it.' }}",
        "{{ messages | map('trim') | join('\\n') }}",
        "{{ messages | map('upper') | list }}",
        "{{ '%s: %5d' | format(name, count) }}",
        "{{ '{}: {:>5}'.format(name, count) }}",
        "{{ '=' * 80 }}{{ range(100) | list }}",
        "{% set ns.text = ns.text + ns.more + ns.text2 %}",
        "{{ messages[-1:][0].content[::-1] }}",
    ],
)
def test_harmless_constructs_raise_no_alarm(source):
    assert found(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ ''['__class__'] }}",
        "{{ ''['\\x5f\\x5fclass\\x5f\\x5f'] }}",
        "{{ messages._x }}",
        "{{ messages | attr('__class__') }}",
        "{{ messages | attr(name) }}",
        "{{ messages | attr('format') }}",
        "{{ messages | map(attribute='__class__') | list }}",
        "{{ messages | map('attr', '__class__') | list }}",
        "{{ messages | map('at' ~ 'tr', name) | list }}",
        "{{ messages | selectattr('__class__.x') | list }}",
        "{{ messages | groupby('__class__') }}",
        "{{ messages | sort(attribute='a.__class__') }}",
        "{{ x['__glo' ~ 'bals__'] }}",
        "{{ x['__glo' + 'bals__'] }}",
        "{{ x['__glo' 'bals__'] }}",
        "{{ x[['__', 'class', '__'] | join] }}",
        "{{ x[''.join(['__', 'class', '__'])] }}",
        "{{ x['__ssalc__' | reverse] }}",
        "{{ x['__ssalc__'[::-1]] }}",
        "{{ x['++class++' | replace('+', '_')] }}",
        "{{ x['++class++'.replace('+', '_')] }}",
        "{{ x['__CLASS__'.lower()] }}",
        "{{ x['%c%cclass%c%c' % (95, 95, 95, 95)] }}",
        "{{ x['%s%sclass%s%s' | format('_', '_', '_', '_')] }}",
        "{{ x['{0}{0}class{0}{0}'.format('_')] }}",
        "{{ x['class'.center(9, '_')] }}",
        "{% set u = '_' %}{{ x[u * 2 ~ 'class' ~ u * 2] }}",
        "{% set u = '_' * 2 %}{{ x[u ~ messages[0].content ~ u] }}",
        "{% set n %}__class__{% endset %}{{ x[n] }}",
        "{% macro n() %}__init__{% endmacro %}{{ x[n()] }}",
        "{% set ns = namespace(n='__init__') %}{{ x[ns.n] }}",
        "{% with n = '__init__' %}{{ x[n] }}{% endwith %}",
        "{% for n in ['__init__'] %}{{ x[n] }}{% endfor %}",
        "{% for n in ['__in', 'it__'] %}{% set ns.n = ns.n ~ n %}{% endfor %}",
        "{{ x['__init__' if a else 'b'] }}",
        "{{ x[dict(__class__=1) | list | first] }}",
        "{{ x[(dict(__class=1) | list | first) ~ y] }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{% set f = '{0.a}'.format %}{{ f(x) }}",
        "{{ x.gi_frame.f_back }}",
        "{{ raise_exception.func_globals }}",
        "{{ cycler }}{{ joiner }}{{ lipsum }}{{ self }}",
        "{% include 'x' %}",
        "{% import 'x' as y %}",
        "{% from 'x' import y %}",
        "{% extends 'x' %}",
    ],
)
def test_a_way_out_of_the_sandbox_is_critical(source):
    findings = found(source)
    assert {(finding.rule, finding.severity) for finding in findings} == {("template-escape", "critical")}
    assert all("(line 1)" in finding.problem for finding in findings)


@pytest.mark.parametrize(
    "source",
    [
        "{% for i in range(10 ** 8) %}{% endfor %}",
        "{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}{% endfor %}",
        "{{ 'a' * 1000000000 }}",
        "{{ 'a' * 900 * 900 }}",
        "{{ [0] * 1000000 }}",
        "{{ 9 ** 99999 }}",
        "{{ 'x'.center(10 ** 9) }}",
        "{{ '%9999999d' % 1 }}",
        "{{ '{:>9999999}'.format(1) }}",
        "{{ messages[0].content * 99999 }}",
        "{% for m in messages %}{% set ns.s = ns.s ~ ns.s %}{% endfor %}",
    ],
)
def test_what_would_never_end_or_fill_the_memory_is_refused(source):
    assert {finding.rule for finding in found(source)} == {"template-cost"}


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("{{ 'a }}", "cannot be parsed, line 1"),
        ("{% trans %}", "unknown tag"),
        ("{{ 1" + "0" * 5000 + " }}", "cannot be parsed"),
        ("{{ " + "[" * 20_000, "nested too deeply"),
        ("{{ a" + " + a" * 20_000 + " }}", "nested too deeply"),
        ("a" * (LONGEST + 1), "no chat template needs"),
    ],
)
def test_what_no_reader_could_read_is_refused(source, says):
    [finding] = found(source)
    assert (finding.rule, finding.severity) == ("template", "high")
    assert says in finding.problem


def test_many_long_templates_end_with_one_finding_each():
    text = "{#" + "a" * (LONGEST - 4) + "#}"
    findings = found(*[text] * (TOGETHER // LONGEST + 3))
    assert [finding.problem for finding in findings] == ["the model's templates have too many characters"] * 3


WORDS = """{{ }} {% %} {# #} ( ) [ ] ' '_' . , : = ~ + - * ** % | 1 9 a x
for in endfor if else set endset macro endmacro join replace attr range"""


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS.split()), max_size=60).map(" ".join) | st.text(max_size=200))
def test_whatever_it_is_given_it_neither_crashes_nor_hangs(source):
    assert all(finding.rule.startswith(("template", "hidden-text")) for finding in found("{{ " + source, source))
