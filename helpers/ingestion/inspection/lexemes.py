"""The header of a safetensors file before it is parsed: encoding, letters outside of texts, length of texts."""

from __future__ import annotations

import codecs
import re

MAX_TEXT = 1024**2

# JSON parsers differ in what they forgive (-0, lone surrogates): what a header never needs is refused before parsing.
LEXEME = re.compile(
    rb"""(?P<string>"[^"\\]*+(?:\\.[^"\\]*+)*+")|(?P<number>[0-9]{20,}+)|(?P<other>[^]{}[,:0-9 \t\r\n"])""", re.DOTALL
)
ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F])|.)", re.DOTALL
)


def lexical_problem(text: bytes) -> str:
    """Return what no header of a safetensors file needs, empty for one that may be parsed."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for position in range(0, len(text), 2**20):
            decoder.decode(text[position : position + 2**20])
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return "has a header that is not UTF-8"
    if b"\\u" in text and any(found["half"] for found in ESCAPE.finditer(text)):
        return "has a header with half a character (a lone surrogate)"
    for found in LEXEME.finditer(text):
        if found["number"]:
            return "has a header with a number of 20 digits and more"
        if found["other"]:
            near = text[found.start() : found.start() + 20]
            return f"has a header that is not JSON as safetensors needs it: {near!r} stands outside of texts"
        if found.end() - found.start() > MAX_TEXT:
            return f"has a header with a text of more than {MAX_TEXT:,} bytes"
    return ""
