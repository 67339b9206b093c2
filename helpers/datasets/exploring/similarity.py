"""How much two texts share: Jaccard indices of word n-grams, and runs of words. Exact, of all pairs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from scipy.sparse import csr_array

SHINGLE = 3  # words; with one or two, questions about one subject are alike
BLOCK = 512  # rows whose pairs are counted at once

Gram = tuple[str, ...]


class Alike(NamedTuple):
    """Two texts by their places, and their Jaccard index."""

    left: int
    right: int
    jaccard: float


class Run(NamedTuple):
    """The longest run of words that a text shares with another one, by the other's place."""

    words: tuple[str, ...]
    other: int


def grams(words: Sequence[str], length: int) -> list[Gram]:
    """Return the n-grams in their order."""
    return [tuple(words[place : place + length]) for place in range(len(words) - length + 1)]


def alike(
    left: Sequence[Sequence[str]], right: Sequence[Sequence[str]] | None, least: float, length: int = SHINGLE
) -> Iterator[Alike]:
    """Yield the pairs whose sets of n-grams have a Jaccard index of `least` or more, in the order of the left ones.

    `right` is None for the pairs within `left`, each once. What both share is one product of sparse matrices for each
    block of rows: exact, and 20,000 texts take seconds.
    """
    import numpy

    known: dict[Gram, int] = {}
    mine = [{*grams(words, length)} for words in left]
    theirs = mine if right is None else [{*grams(words, length)} for words in right]
    for found in (mine, theirs):
        for gram in (gram for each in found for gram in each):
            known.setdefault(gram, len(known))
    rows, columns = _matrix(mine, known), _matrix(theirs, known).T.tocsr()
    mine_sizes, their_sizes = (numpy.array([len(each) for each in found]) for found in (mine, theirs))
    for start in range(0, len(mine), BLOCK):
        shared = (rows[start : start + BLOCK] @ columns).tocoo()
        first, second = shared.row + start, shared.col
        index = shared.data / (mine_sizes[first] + their_sizes[second] - shared.data)
        kept = (index >= least) & ((first < second) if right is None else True)
        order = numpy.lexsort((second[kept], first[kept]))
        found_here = zip(first[kept][order], second[kept][order], index[kept][order], strict=True)
        yield from (Alike(int(a), int(b), float(value)) for a, b, value in found_here)


def _matrix(sets: Iterable[Iterable[Gram]], known: dict[Gram, int]) -> csr_array:
    import numpy
    from scipy.sparse import csr_array

    places, ends = list[int](), [0]
    for each in sets:
        places += [known[gram] for gram in each]
        ends.append(len(places))
    ones = numpy.ones(len(places), dtype=numpy.int32)
    return csr_array((ones, places, ends), shape=(len(ends) - 1, max(len(known), 1)))


def runs(texts: Sequence[Sequence[str]], others: Sequence[Sequence[str]], least: int) -> dict[int, Run]:
    """Return the longest run of `least` words or more that each text shares with one of the others, by its place."""
    known: dict[Gram, list[int]] = {}
    for place, words in enumerate(others):
        for gram in {*grams(words, least)}:
            known.setdefault(gram, []).append(place)
    found: dict[int, Run] = {}
    for number, words in enumerate(texts):
        going: dict[int, int] = {}  # another text -> words of the run that ends here
        for place, gram in enumerate(grams(words, least)):
            going = {other: going.get(other, least - 1) + 1 for other in known.get(gram, ())}
            if going and max(going.values()) > len(found[number].words if number in found else ()):
                other = max(going, key=lambda each: going[each])
                end = place + least
                found[number] = Run(tuple(words[end - going[other] : end]), other)
    return found
