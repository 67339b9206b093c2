"""The header of safetensors files under fuzzing: no crash, no hang, and what we accept the library accepts alike."""

import io
import json
import math
import struct
import sys

import numpy
import pytest
import safetensors
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import save

from helpers.errors import RefusedModel
from helpers.ingestion.inspection.header import BITS, read_header
from helpers.ingestion.inspection.weights import layout_problems
from tests.plugins.memory import measured

pytestmark = pytest.mark.load

FUZZ = settings(max_examples=400, deadline=5000, database=None)
NAMES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=12) | st.sampled_from(["a", "b.c"])
NAMES = NAMES.filter(lambda name: name != "__metadata__")  # a tensor of this name the library writes, and cannot read
# What frameworks call tensors, and the only names that come in.
PLAIN = st.text(st.characters(min_codepoint=ord("!"), max_codepoint=ord("~")), min_size=1, max_size=12)
PLAIN = PLAIN.filter(lambda name: name != "__metadata__")
SHAPES = st.lists(st.integers(0, 4), max_size=3)
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([-1, -0.0, 1.0, 2**31, 2**32, 2**62, 2**63, 2**64, 10**30, 1e400, "", "U8", "F4", [], {}]),
    st.integers(-2, 40),
    st.lists(st.integers(-1, 20), max_size=3),
    st.recursive(
        st.none(), lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner), max_leaves=5
    ),
)


def tensors_of(data):
    """What we read from a file, None where we refuse it."""
    try:
        header = read_header(io.BytesIO(data))
    except RefusedModel:
        return None
    return None if list(layout_problems(header)) else header.tensors


def assert_the_library_agrees(data):
    """Refused, or read by the library as the same tensors from the same bytes."""
    found = tensors_of(data)
    if found is None:
        return False
    start = 8 + int.from_bytes(data[:8], "little")
    theirs = {
        name: (item["dtype"], tuple(item["shape"]), bytes(item["data"])) for name, item in safetensors.deserialize(data)
    }
    ours = {name: (item.dtype, item.shape, data[start + item.begin : start + item.end]) for name, item in found.items()}
    assert ours == theirs
    return True


@st.composite
def layouts(draw, names=NAMES):
    """A valid header as an object, and the number of bytes that it describes."""
    header, at = {}, 0
    for name in draw(st.lists(names, min_size=1, max_size=4, unique=True)):
        dtype, shape = draw(st.sampled_from(sorted(BITS))), draw(SHAPES)
        bits = BITS[dtype] * math.prod(shape)
        if bits % 8:
            shape, bits = [*shape, 8], bits * 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + bits // 8]}
        at += bits // 8
    if draw(st.booleans()):
        header["__metadata__"] = draw(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
    return header, at


def encode(header, size, *, ascii=True, padding=0):
    text = json.dumps(header, ensure_ascii=ascii).encode("utf-8", "surrogatepass") + b" " * padding
    return struct.pack("<Q", len(text)) + text + bytes(number % 256 for number in range(size))


@FUZZ
@given(layouts(PLAIN), st.booleans(), st.integers(0, 9))
def test_a_valid_file_is_accepted(layout, ascii, padding):
    header, size = layout
    assert assert_the_library_agrees(encode(header, size, ascii=ascii, padding=padding))


@FUZZ
@given(st.dictionaries(PLAIN, st.tuples(st.sampled_from("?bBhHiIlLefd"), SHAPES), min_size=1, max_size=5))
def test_what_the_library_writes_is_accepted_and_has_its_shapes(arrays):
    made = {name: numpy.zeros(shape, dtype) for name, (dtype, shape) in arrays.items()}
    data = save(made, {"format": "np"})
    assert assert_the_library_agrees(data)
    assert {name: item.shape for name, item in tensors_of(data).items()} == {
        name: array.shape for name, array in made.items()
    }


@pytest.mark.parametrize("dtype", sorted(BITS))
def test_every_dtype_of_the_library_is_known_with_its_size(dtype):
    data = encode({"a": {"dtype": dtype, "shape": [8], "data_offsets": [0, BITS[dtype]]}}, BITS[dtype])
    assert assert_the_library_agrees(data)


def test_the_library_knows_no_other_dtype():
    with pytest.raises(safetensors.SafetensorError) as caught:
        safetensors.deserialize(encode({"a": {"dtype": "?", "shape": [1], "data_offsets": [0, 1]}}, 1))
    known = str(caught.value).partition("expected one of ")[2].partition(" at line")[0]
    assert {name.strip("` ") for name in known.split(",")} == set(BITS)


@FUZZ
@given(layouts(), st.data())
def test_changed_bytes(layout, data):
    file = bytearray(encode(*layout))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(file)))
        length = data.draw(st.integers(0, 3))
        file[at : at + length] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"{", b"}", b"0", b"\\u", b"-", b","])
        )
    assert_the_library_agrees(bytes(file))


@FUZZ
@given(layouts(), st.data())
def test_changed_fields(layout, data):
    header, size = layout
    entry = data.draw(st.sampled_from(sorted(header)))
    if data.draw(st.booleans()) and header[entry]:
        field = data.draw(st.sampled_from(sorted(header[entry])))
        header[entry][field] = data.draw(ODD)
    else:
        header[entry] = data.draw(ODD)
    assert_the_library_agrees(encode(header, size))


@FUZZ
@given(layouts(), st.data())
def test_changed_offsets_and_shapes(layout, data):
    header, size = layout
    for name in header:
        if name != "__metadata__" and data.draw(st.booleans()):
            header[name]["data_offsets"] = data.draw(st.tuples(st.integers(0, size + 1), st.integers(0, size + 1)))
            header[name]["shape"] = data.draw(SHAPES)
    assert_the_library_agrees(encode(header, data.draw(st.integers(max(0, size - 1), size + 1))))


@FUZZ
@given(st.binary(max_size=200), st.integers(0, 2**64 - 1) | st.integers(0, 200))
def test_noise_behind_a_length(noise, length):
    assert_the_library_agrees(struct.pack("<Q", length) + noise)


@FUZZ
@given(st.text('{}[]",:0123456789eE+-. \\u\n\tabdtypeshUF\ud800\x00', max_size=120))
def test_text_that_looks_like_json(text):
    raw = ("{" + text).encode("utf-8", "surrogatepass")
    assert_the_library_agrees(struct.pack("<Q", len(raw)) + raw)


LARGEST = """
import io, struct, sys, time
from helpers.errors import RefusedModel
from helpers.ingestion.inspection.header import MAX_HEADER, read_header

for filling in sys.argv[1:]:
    text = b'{"__metadata__":{"a":"b",' + filling.encode() * ((MAX_HEADER - 100) // len(filling.encode()))
    begin = time.process_time()
    try:
        read_header(io.BytesIO(struct.pack("<Q", len(text)) + text))
    except RefusedModel as refused:
        print(f"{time.process_time() - begin:.1f} {refused.what}")
"""


def test_a_header_of_the_largest_size_takes_little_time_and_memory():
    fillings = ["[", '{"a":', '"', "\\u", "1", '"":"",']
    ended, mebibytes, printed = measured([sys.executable, "-c", LARGEST, *fillings])
    assert ended == 0
    assert mebibytes < 250
    report = printed.splitlines()
    assert len(report) == len(fillings)
    assert all(float(line.split()[0]) < 20 for line in report), report
