"""Which keys may be an edit or two away from another, without a pass over them.

Pure. A key that is cut into one part more than it has edits keeps one part intact: halves stand
for one edit, thirds for two. Keys that share a part of the same place are worth comparing. Halves
are asked first: far fewer keys share one.
"""

from array import array
from collections.abc import Iterable
from functools import lru_cache
from itertools import accumulate
from typing import Final
from zlib import crc32

NEAR_CHARS_MIN: Final = 4  # shorter names are an edit away from everything
NEAR_SHARED_MAX: Final = 32  # values with one part; a part that more share tells nothing
_TWO_EDITS_CHARS: Final = 9  # keys from here may be two edits away
_PLANS_KEPT_MAX: Final = 1_024  # lengths whose cuts are kept

_Part = tuple[int, int, int]
"""From where to where a part of a key stands, and the seed of its number."""


class SharedParts:
    """Numbers of values, by the numbers of the parts of their keys.

    Four bytes each, and one that tells parts apart that fell together.
    """

    def __init__(self, numbers: "array[int]", owners: "array[int]", size: int) -> None:
        self._mask = size - 1
        counts = array("I", [0]) * (size + 1)
        for number in numbers:
            counts[(number & self._mask) + 1] += 1
        self._starts = array("I", accumulate(counts))
        self._owners = array("i", owners)
        self._tags = bytearray(len(owners))
        for number, owner in zip(reversed(numbers), reversed(owners), strict=True):
            at = (number & self._mask) + 1
            counts[at] -= 1
            place = self._starts[at - 1] + counts[at]
            self._owners[place] = owner
            self._tags[place] = number >> 24

    def sharing(self, key: str, edits: int, budget: int) -> tuple[set[int], int]:
        """Return the values that share a part that so many edits leave, and how many.

        A part that more than `NEAR_SHARED_MAX` share tells nothing, and is passed over. Some
        values share only the number of a part.
        """
        starts, tags, owners, mask = self._starts, self._tags, self._owners, self._mask
        met: set[int] = set()
        looked = 0
        for number in _numbers(key, _probes_of(len(key), edits)):
            start, end = starts[number & mask], starts[(number & mask) + 1]
            if start == end or end - start > 4 * NEAR_SHARED_MAX:
                continue
            tag = number >> 24
            codes = [owners[place] for place in range(start, end) if tags[place] == tag]
            if codes and len(codes) <= min(NEAR_SHARED_MAX, budget - looked):
                met.update(codes)
                looked += len(codes)
        return met, looked


def edits_max(chars: int) -> int:
    """Return how many edits away a key of that length may be; 0 where it is too short."""
    if chars < NEAR_CHARS_MIN:
        return 0
    return 1 if chars < _TWO_EDITS_CHARS else 2


@lru_cache(maxsize=_PLANS_KEPT_MAX)
def _parts_of(chars: int, edits: int) -> tuple[_Part, ...]:
    """Cut a key of that length for so many edits; each part with its seed."""
    cuts = [chars * part // (edits + 1) for part in range(edits + 2)]
    return tuple((cuts[n], cuts[n + 1], 8 * chars + 3 * edits + n) for n in range(edits + 1))


@lru_cache(maxsize=_PLANS_KEPT_MAX)
def _probes_of(length: int, edits: int) -> tuple[_Part, ...]:
    """Return the parts that a key so many edits away may have, where they stand in this one.

    A key of each length within reach may have its first part, its last, or the middle one moved
    by an edit before it; with two edits on one side an outer part is intact.
    """
    probes: list[_Part] = []
    for chars in range(length - edits, length + edits + 1):
        if edits_max(min(chars, length)) < edits:
            continue
        parts = _parts_of(chars, edits)
        longer = length - chars
        probes.append(parts[0])
        probes.append((parts[-1][0] + longer, length, parts[-1][2]))
        if edits == 2:
            start, end, seed = parts[1]
            probes += [
                (start + moved, end + moved, seed)
                for moved in (-1, 0, 1)
                if abs(longer - moved) <= 1
            ]
    return tuple(probes)


def _numbers(key: str, parts: Iterable[_Part]) -> list[int]:
    # Not `hash`, which differs from process to process: the same text has the same near values.
    points = key.encode("utf-32-le", "surrogatepass")
    return [crc32(points[4 * start : 4 * end], seed) for start, end, seed in parts]


def part_numbers(key: str) -> list[int]:
    """Number the parts of a key, the same in any process; none for a short one."""
    chars = len(key)
    return [
        number
        for edits in range(1, edits_max(chars) + 1)
        for number in _numbers(key, _parts_of(chars, edits))
    ]
