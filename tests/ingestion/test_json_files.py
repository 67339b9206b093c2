"""JSON from strangers: what the standard library reads is read alike, what readers differ on is refused."""

import json
import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.errors import InvalidInput, RefusedModel
from helpers.ingestion.inspection.json_files import values

LIMIT = 64 * 1024**2
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
SCALARS = st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False)
DOCUMENTS = st.recursive(
    SCALARS | TEXT, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXT, inner, max_size=5), max_leaves=30
).filter(lambda document: isinstance(document, list | dict))


def flat(document, place=()):
    """Return place and value of every scalar, as the standard library reads it."""
    if isinstance(document, dict):
        return [found for name, inner in document.items() for found in flat(inner, (*place, name))]
    if isinstance(document, list):
        return [found for inner in document for found in flat(inner, (*place, "*"))]
    return [(place, document)]


def read(path):
    return list(values(path, LIMIT))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("json") / "x.json"


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=DOCUMENTS, ascii_only=st.booleans(), indent=st.none() | st.integers(0, 3))
def test_every_document_is_read_as_the_standard_library_reads_it(path, document, ascii_only, indent):
    path.write_text(json.dumps(document, ensure_ascii=ascii_only, indent=indent), encoding="utf-8")
    assert read(path) == flat(document)


def test_infinity_passes_as_python_writes_it(path):
    path.write_text('{"time_step_limit": [0.0, Infinity], "low": -Infinity}')
    assert read(path) == [(("time_step_limit", "*"), 0.0), (("time_step_limit", "*"), math.inf), (("low",), -math.inf)]


@pytest.mark.parametrize(("one", "other"), [("pe", "\u6570"), ("\u6161\u6161", "aaaa"), ("e", "\u0065\u0301")])
def test_names_that_only_look_alike_to_a_hash_are_two(path, one, other):
    path.write_text(json.dumps({one: 1, other: 2}))
    assert read(path) == [((one,), 1), ((other,), 2)]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=60) | st.text('[]{}",:0123456789eE+-.\\ntfu \ud7ff', max_size=60).map(str.encode))
def test_what_is_accepted_the_standard_library_accepts_too(path, data):
    path.write_bytes(data)
    try:
        found = read(path)
    except RefusedModel:
        return
    assert found == flat(json.loads(data))


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "is not JSON"),
        (b'"text"', "neither an object nor a list"),
        (b"17", "neither an object nor a list"),
        (b'{"a": 1,}', "is not JSON"),
        (b"{'a': 1}", "is not JSON"),
        (b"[1] // note", "is not JSON"),
        (b"[-NaN]", "is not JSON"),
        (b"[+Infinity]", "is not JSON"),
        (b"[Infinit]", "is not JSON"),
        (b"[1, 2]\0", "is not plain UTF-8"),
        (b'{"a": 1, "\\u0061": 2}', "has the name 'a' twice"),
        (b"[" + b"1" * 70_000 + b"]", "is not JSON"),
        (b'["\xed\xa0\x80"]', "is not UTF-8"),
        (b"\xff\xfe[\0]\0", "UTF-16"),
        (b"[\0]\0", "UTF-16"),
        (b"\0\0\xfe\xff\0\0\0[", "is not plain UTF-8"),
        (b"[" * 65 + b"]" * 65, "deeper than 64 levels"),
        (b'["' + b"\\\\" * 400_001 + b'"]', "a text of more than 400,000 characters"),
        (b'["' + b'\\"' * 400_001 + b'"]', "a text of more than 400,000 characters"),
        (b'{"' + b"a" * 400_001 + b'": 1}', "a text of more than 400,000 characters"),
    ],
)
def test_what_is_refused_has_its_reason(path, data, says):
    path.write_bytes(data)
    with pytest.raises(RefusedModel, match=says):
        list(values(path, LIMIT))


def test_bounds_are_met_exactly(path):
    text = '"' + "a" * 400_000 + '"'
    path.write_text("[" * 63 + text + "," + "9" * 199 + "]" * 63)
    assert len(list(values(path, LIMIT))) == 2


def test_a_file_beyond_the_limit_is_not_opened_further(path):
    path.write_text("[" + " " * 100 + "]")
    with pytest.raises(RefusedModel, match="more than the 101 bytes that JSON may have"):
        list(values(path, 101))


def test_a_link_or_a_pipe_is_never_read(path, tmp_path):
    import os

    (tmp_path / "link.json").symlink_to(path)
    os.mkfifo(tmp_path / "pipe.json")
    with pytest.raises(InvalidInput, match=r"link\.json cannot be read"):
        list(values(tmp_path / "link.json", LIMIT))
    with pytest.raises(InvalidInput, match=r"pipe\.json is no regular file"):
        list(values(tmp_path / "pipe.json", LIMIT))
