"""Pickles by their content, under any name; nothing is ever loaded."""

from __future__ import annotations

from typing import BinaryIO, NamedTuple

from helpers.ingestion.inspection.unpickler import MAX_OPCODES, Machine, NoPickle


class Pickle(NamedTuple):
    """What a pickle would import when it is loaded, as far as that can be read without loading it."""

    imports: tuple[str, ...]

    def __str__(self) -> str:
        listed = ", ".join(list(dict.fromkeys(self.imports))[:5])
        return f"a pickle that imports {listed} when it is loaded" if listed else "a pickle"


def find_pickle(file: BinaryIO) -> Pickle | None:
    """Return what the pickle at the start of a file would do, None where there is none."""
    machine = Machine(file)
    try:
        ended = machine.run()
    except NoPickle:
        return Pickle(tuple(machine.imports)) if machine.called or machine.opcodes > machine.certain else None
    # "N.B." begins a text, and is a pickle of None: without the sign of a protocol, a pickle is all of its file.
    signed, whole = machine.certain < MAX_OPCODES, machine.opcodes > 2 and machine.left() <= 2
    return Pickle(tuple(machine.imports)) if not ended or machine.imports or signed or whole else None
