"""Files that are something else than their name says."""

import io
import pickle
import struct

import numpy

from tests.ingestion.attacks import attack
from tests.ingestion.packing import zip64_of, zip_of


class Harmful:
    """Pickles to a call of the shell; `true` is what it would run."""

    def __reduce__(self):
        import os

        return os.system, ("true",)


def harmful_pickle(protocol=4):
    return pickle.dumps(Harmful(), protocol)


@attack(rule="safetensors-header", says="claims a header of")
def a_pickle_named_safetensors(folder):
    (folder / "model.safetensors").write_bytes(harmful_pickle())


@attack(rule="modelscan", says=r"would use posix\.system")
def a_pickle_of_protocol_0_named_txt(folder):
    (folder / "merges.txt").write_bytes(harmful_pickle(0))


@attack(rule="encoding", says=r"U\+0000")
def a_pickle_of_protocol_1_behind_megabytes_of_text(folder):
    padding = b"X" + struct.pack("<I", 5 << 20) + b"a" * (5 << 20) + b"0"  # push a text, pop it
    (folder / "vocab.txt").write_bytes(padding + harmful_pickle(1))


@attack(rule="encoding", says=r"U\+0000")
def a_pickle_behind_numbers_that_only_c_reads(folder):
    (folder / "vocab.txt").write_bytes(b"I-0x1f\n0I7\0seven\n0cos\nsystem\np0\n0g0\n(S'true'\ntR.")


@attack(rule="json", says="is not plain UTF-8")
def a_pickle_that_breaks_after_its_call(folder):
    (folder / "tokenizer.json").write_bytes(harmful_pickle(2)[:-1] + b"\xff this is no opcode")


@attack(rule="encoding", says="is no UTF-8 text")
def a_pickle_with_its_function_in_the_memo(folder):
    memo = b"\x80\x04\x8c\x08builtins\x94\x8c\x04exec\x940h\x00h\x01\x93\x8c\x04pass\x85R."
    (folder / "LICENSE").write_bytes(memo)


@attack(rule="safetensors-header", says="not ASCII without blanks")
def weights_that_are_a_pickle_too(folder):
    """A valid safetensors file: the length begins with an opcode, the tensor's name has the others."""
    module, function = "multiprocessing.resource_tracker", "ensure_running".ljust(32, "_")
    name = f"U {module}U!{function}\u24d4)R."  # this letter's last two bytes are STACK_GLOBAL and MEMOIZE
    header = f'{{"{name}":{{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}}}'.encode()
    length = 0x0855  # U: a text of 8 bytes, which are the length's rest and {"
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", length) + header.ljust(length) + bytes(16))


@attack(rule="archive", says="zip archive at its end")
def weights_that_are_a_zip_archive_too(folder):
    """A valid safetensors file: its last tensor's bytes are a zip archive with a pickle."""
    from safetensors.numpy import save_file

    packed = zip_of({"archive/data.pkl": harmful_pickle()})
    save_file({"a": numpy.frombuffer(packed, "uint8")}, folder / "model.safetensors")


@attack(rule="archive", says="zip archive at its end")
def weights_with_a_pytorch_archive_in_their_last_tensor(folder):
    from safetensors.numpy import save_file

    packed = zip64_of({"archive/data.pkl": harmful_pickle()})
    save_file({"a": numpy.frombuffer(packed, "uint8")}, folder / "model.safetensors")


@attack(rule="archive", says="zip archive at its end")
def a_pytorch_archive_named_safetensors(folder):
    (folder / "model.safetensors").write_bytes(
        zip64_of({"archive/data.pkl": harmful_pickle(2), "archive/data/0": b"0"})
    )


@attack(rule="safetensors-header", says="claims a header of")
def old_pytorch_weights_named_safetensors(folder):
    """As PyTorch saved until 1.6: several pickles, the first of them one harmless number."""
    (folder / "model.safetensors").write_bytes(pickle.dumps(0x1950A86A20F9469CFC6C, 2) + harmful_pickle(2))


@attack(rule="safetensors-header", says="does not begin with {")
def keras_weights_behind_a_block_of_zeros(folder):
    (folder / "model.safetensors").write_bytes(bytes(2048) + b"\x89HDF\r\n\x1a\n" + bytes(100))


@attack(rule="safetensors-header", says="claims a header of")
def a_gguf_model_named_safetensors(folder):
    (folder / "model.safetensors").write_bytes(b"GGUF\x03\0\0\0" + bytes(100))


@attack(rule="safetensors-header", says="claims a header of")
def a_numpy_array_named_safetensors(folder):
    content = io.BytesIO()
    numpy.save(content, numpy.array([Harmful()]), allow_pickle=True)
    (folder / "model.safetensors").write_bytes(content.getvalue())


@attack(rule="tokenizer", says="no token with its rank")
def a_library_named_tokenizer(folder):
    (folder / "tokenizer.model").write_bytes(b"\x7fELF\x02\x01\x01" + bytes(100))


@attack(rule="json", says="is not plain UTF-8")
def a_windows_program_named_json(folder):
    (folder / "special_tokens_map.json").write_bytes(b"MZ".ljust(60, b"\0") + struct.pack("<I", 64) + b"PE\0\0")


@attack(rule="encoding", says="is no UTF-8 text")
def a_macos_program_named_notice(folder):
    (folder / "NOTICE").write_bytes(b"\xcf\xfa\xed\xfe" + bytes(100))


@attack(rule="content", says="a script")
def a_script_named_license(folder):
    (folder / "LICENSE.md").write_text("\ufeff#! /bin/sh\ntrue\n", "utf-8")


@attack(rule="encoding", says="is no UTF-8 text")
def compiled_python_named_vocabulary(folder):
    (folder / "vocab.txt").write_bytes(struct.pack("<H", 3495) + b"\r\n" + bytes(100))


@attack(rule="lfs-pointer", says="is a Git LFS pointer")
def weights_that_were_never_fetched(folder):
    (folder / "model.safetensors").write_text(
        f"version https://git-lfs.github.com/spec/v1\noid sha256:{'a' * 64}\nsize 269060552\n"
    )


@attack(rule="encoding", says="is no UTF-8 text")
def a_notice_in_utf_16(folder):
    (folder / "LICENSE").write_bytes("Apache License, Version 2.0".encode("utf-16"))


@attack(rule="encoding", says="is no UTF-8 text: byte 0xc3")
def a_text_that_ends_within_a_character(folder):
    (folder / "NOTICE.txt").write_bytes(b"Caf\xc3")


@attack(rule="encoding", says=r"U\+001B")
def a_license_that_paints_the_screen(folder):
    (folder / "LICENSE").write_text("MIT\x1b[2J\x1b[1;1HApache License")


@attack(rule="encoding", says=r"U\+202E")
def a_template_file_that_reads_backwards(folder):
    (folder / "chat_template.jinja").write_text("{% if a %}\u202e{# }% fidne %{ #}{% endif %}")


@attack(rule="tokenizer", says="protobuf does not parse")
def a_tokenizer_of_noise(folder):
    (folder / "tokenizer.model").write_bytes(b"\n\xff\xff\xff\xff\x0f" + bytes(100))


@attack(rule="tokenizer", says="no token with its rank")
def a_tokenizer_with_a_line_of_something_else(folder):
    (folder / "tokenizer.model").write_bytes(b"IQ== 0\nIg== 1\n__import__('os') 2\n")
