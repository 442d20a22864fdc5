"""Which keys may be an edit or two away from another, without a pass over them.

Pure. A key that is cut into one part more than it has edits keeps one part intact: halves stand
for one edit, thirds for two. Keys that share a part of the same place are worth comparing. Halves
are asked first: far fewer keys share one.
"""

from array import array
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final
from zlib import crc32

import pyarrow as pa
import pyarrow.compute as pc

NEAR_CHARS_MIN: Final = 4  # shorter names are an edit away from everything
NEAR_SHARED_MAX: Final = 80  # values with one part; a part that more share tells nothing
_TWO_EDITS_CHARS: Final = 9  # keys from here may be two edits away
_PLANS_KEPT_MAX: Final = 1_024  # lengths whose cuts are kept
_NUMBER_BITS: Final = 32
_TAG_BITS: Final = 8

_Part = tuple[int, int, int]
"""From where to where a part of a key stands, and the seed of its number."""


class SharedParts:
    """Numbers of values, by the numbers of the parts of their keys.

    Parts are kept in the order of their numbers: the first bits say in which bucket, the next
    eight tell those of one bucket apart. A part that more than `NEAR_SHARED_MAX` values have is
    left out. Cost: about seven bytes a part.
    """

    def __init__(self, numbers: Any, owners: Any) -> None:
        """Keep parts as `in_order` returns them."""
        bits = min((len(numbers) // 2).bit_length(), _NUMBER_BITS - _TAG_BITS)
        self._bucket_shift = _NUMBER_BITS - bits
        self._tag_shift = self._bucket_shift - _TAG_BITS
        firsts = array("I", range(0, 1 << _NUMBER_BITS, 1 << self._bucket_shift))
        starts = pc.search_sorted(numbers, _arrow(firsts, pa.uint32())).cast(pa.uint32())
        tags = pc.bit_wise_and(pc.shift_right(numbers, self._tag_shift), (1 << _TAG_BITS) - 1)
        self._owners = array("i", _bytes(owners))
        self._starts = array("I", _bytes(starts))
        self._starts.append(len(numbers))
        self._tags = _bytes(tags.cast(pa.uint8()))

    def sharing(self, key: str, edits: int, budget: int) -> set[int]:
        """Return the values that share a part that so many edits leave, at most `budget`.

        Some share only the number of a part, or nearly so.
        """
        starts, tags, owners = self._starts, self._tags, self._owners
        to_bucket, to_tag = self._bucket_shift, self._tag_shift
        met: set[int] = set()
        for number in _numbers(key, _probes_of(len(key), edits)):
            bucket = number >> to_bucket
            start, end = starts[bucket], starts[bucket + 1]
            if start == end:
                continue
            tag = number >> to_tag & 0xFF
            first = tags.find(tag, start, end)
            if first >= 0:
                codes = owners[first : tags.rfind(tag, first, end) + 1]
                if len(met) + len(codes) <= budget:
                    met.update(codes)
        return met


def in_order(numbers: "array[int]", owners: "array[int]") -> tuple[Any, Any]:
    """Sort parts by number; leave out those that more than `NEAR_SHARED_MAX` values have."""
    parts = _arrow(numbers, pa.uint32())
    order = pc.sort_indices(parts)
    parts = parts.take(order)
    ends = pc.run_end_encode(parts).run_ends
    lengths = pc.subtract(ends, pa.concat_arrays([pa.array([0], ends.type), ends])[: len(ends)])
    few = pc.less_equal(lengths, NEAR_SHARED_MAX)
    kept = pc.run_end_decode(pa.RunEndEncodedArray.from_arrays(ends, few))
    return parts.filter(kept), _arrow(owners, pa.int32()).take(order).filter(kept)


def _arrow(numbers: "array[int]", kind: Any) -> Any:
    return pa.Array.from_buffers(kind, len(numbers), [None, pa.py_buffer(numbers)])


def _bytes(values: Any) -> bytes:
    """Copy an array without nulls out of Arrow's memory."""
    size = values.type.bit_width // 8
    start = values.offset * size
    return bytes(values.buffers()[1][start : start + len(values) * size])


def edits_max(chars: int) -> int:
    """Return how many edits away a key of that length may be; 0 where it is too short."""
    if chars < NEAR_CHARS_MIN:
        return 0
    return 1 if chars < _TWO_EDITS_CHARS else 2


def reached(lengths: Iterable[int]) -> frozenset[int]:
    """Return how long a key may be that is near one of these lengths."""
    return frozenset(
        near
        for chars in lengths
        if edits_max(chars)
        for near in range(chars - edits_max(chars), chars + edits_max(chars) + 1)
        if abs(near - chars) <= edits_max(near) and edits_max(near)
    )


@lru_cache(maxsize=_PLANS_KEPT_MAX)
def _parts_of(chars: int, edits: int) -> tuple[_Part, ...]:
    """Cut a key of that length for so many edits; each part with its seed."""
    cuts = [chars * part // (edits + 1) for part in range(edits + 2)]
    return tuple((cuts[n], cuts[n + 1], 3 * edits + n) for n in range(edits + 1))


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
    return tuple(dict.fromkeys(probes))


@lru_cache(maxsize=_PLANS_KEPT_MAX)
def _cuts_of(chars: int) -> tuple[_Part, ...]:
    """Cut a key of that length for every number of edits."""
    return tuple(
        part for edits in range(1, edits_max(chars) + 1) for part in _parts_of(chars, edits)
    )


def _numbers(key: str, parts: Iterable[_Part]) -> list[int]:
    # Not `hash`, which differs from process to process: the same text has the same near values.
    if key.isascii():
        whole = key.encode("ascii")
        return [crc32(whole[start:end], seed) for start, end, seed in parts]
    return [
        crc32(key[start:end].encode("utf-8", "surrogatepass"), seed) for start, end, seed in parts
    ]


def part_numbers(key: str) -> list[int]:
    """Number the parts of a key, the same in any process; none for a short one."""
    return _numbers(key, _cuts_of(len(key)))
