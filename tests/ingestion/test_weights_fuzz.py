"""Safetensors files under fuzzing: no crash, no hang, valid ones come in, and what comes in the library loads alike."""

import json
import math
import struct
import sys

import pytest
import safetensors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from helpers.errors import RefusedModel
from helpers.ingestion.inspection.weights import read_header
from tests.plugins.memory import measured

pytestmark = pytest.mark.load
FUZZ = settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
BITS = {"BOOL": 8, "F4": 4, "U8": 8, "F8_E4M3": 8, "F16": 16, "BF16": 16, "I32": 32, "F64": 64}
NAMES = st.text("!#./09AZ_az~", min_size=1, max_size=12)
SHAPES = st.lists(st.integers(0, 5), max_size=4)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("weights") / "model.safetensors"


@st.composite
def layouts(draw):
    """A valid header as an object, and the number of bytes that it describes."""
    header, at = {}, 0
    for name in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True)):
        dtype, shape = draw(st.sampled_from(sorted(BITS))), draw(SHAPES)
        bits = BITS[dtype] * math.prod(shape)
        if bits % 8:
            shape, bits = [*shape, 8], bits * 8
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + bits // 8]}
        at += bits // 8
    if draw(st.booleans()):
        header["__metadata__"] = draw(st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3))
    return header, at


def encode(header, size):
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    return struct.pack("<Q", len(text)) + text + bytes(number % 256 for number in range(size))


def accepted(path, data):
    """Whether a file of these bytes comes in; then the library has to see the same tensors in it."""
    path.write_bytes(data)
    try:
        found = read_header(path)
    except RefusedModel:
        return False
    assert found == {name: len(item["data"]) for name, item in safetensors.deserialize(data)}
    return True


@FUZZ
@given(layouts())
def test_a_valid_file_is_accepted(path, layout):
    assert accepted(path, encode(*layout))


@FUZZ
@given(layouts(), st.data())
def test_changed_bytes(path, layout, data):
    file = bytearray(encode(*layout))
    for _ in range(data.draw(st.integers(1, 3))):
        at, length = data.draw(st.integers(0, len(file))), data.draw(st.integers(0, 3))
        file[at : at + length] = data.draw(
            st.binary(max_size=3) | st.sampled_from([b'"', b"{", b"}", b"0", b"\\u", b"-", b","])
        )
    accepted(path, bytes(file))


@FUZZ
@given(st.text('{}[]",:0123456789eE+-. \\u\n\tabdtypeshUF\ud800\x00', max_size=120), st.binary(max_size=200))
def test_text_that_looks_like_json_and_noise(path, text, noise):
    raw = ("{" + text).encode("utf-8", "surrogatepass")
    accepted(path, struct.pack("<Q", len(raw)) + raw)
    accepted(path, noise)


LARGEST = """
import struct, sys, time
from pathlib import Path
from helpers.errors import RefusedModel
from helpers.ingestion.inspection.weights import MAX_HEADER, read_header

path = Path(sys.argv[1])
for filling in sys.argv[2:]:
    text = b'{"__metadata__":{"a":"b",' + filling.encode() * ((MAX_HEADER - 100) // len(filling.encode()))
    path.write_bytes(struct.pack("<Q", len(text)) + text)
    begin = time.process_time()
    try:
        read_header(path)
    except RefusedModel as refused:
        print(f"{time.process_time() - begin:.1f} {refused.what}")
"""


def test_a_header_of_the_largest_size_takes_little_time_and_memory(path):
    fillings = ["[", '{"a":', '"', "\\u", "1", '"":"",', '"":"0123456",']
    ended, mebibytes, printed = measured([sys.executable, "-c", LARGEST, str(path), *fillings])
    assert ended == 0
    assert mebibytes < 350
    report = printed.splitlines()
    assert len(report) == len(fillings)
    assert all(float(line.split()[0]) < 20 for line in report), report
