"""Column indexes from Arrow columns: sorting and numbering happen in Arrow, outside the GIL."""

from collections.abc import Sequence
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from lakehouse.grounding.index import ColumnIndex, Number, Postings
from lakehouse.tabular.arrow_forms import FormFault, Plain, plain
from lakehouse.tabular.text_forms import Form

_Code = Literal["i", "q", "Q", "d"]

_VALUES_PER_STEP = 8_192  # converted to Python objects before other threads may run


class ColumnFault(Exception):
    """A column that cannot be indexed; the message says why, for people."""


def index_arrow(column: Any) -> ColumnIndex:
    """Index a column by its cells' JSON forms; NaN and infinities count as null.

    Not on the event loop: about 1.5 s for 1,000,000 distinct texts.

    Raises:
        ColumnFault: Its type has no JSON form, or Arrow cannot index it.
    """
    try:
        found = plain(column)
        return _index(_comparable(found), found.form)
    except (FormFault, pa.ArrowException) as error:
        raise ColumnFault(str(error)) from error


def _index(cells: Any, form: Form) -> ColumnIndex:
    encoded = pc.dictionary_encode(cells)
    if isinstance(encoded, pa.ChunkedArray):
        encoded = encoded.unify_dictionaries().combine_chunks()
    if isinstance(encoded, pa.ChunkedArray):  # a column without chunks stays a ChunkedArray
        encoded = pa.array([], type=cells.type).dictionary_encode()
    order = pc.sort_indices(encoded.dictionary).cast(pa.int32())
    codes = pc.fill_null(pc.inverse_permutation(order).take(encoded.indices), -1).cast(pa.int32())
    rows = pc.sort_indices(codes)[pc.sum(pc.equal(codes, -1)).as_py() or 0 :].cast(pa.int32())
    ends = pc.run_end_encode(codes.take(rows)).run_ends
    starts = pa.concat_arrays([pa.array([0], pa.int32()), ends.cast(pa.int32())])
    postings = Postings(_view(codes, "i"), _view(rows, "i"), _view(starts, "i"))
    return ColumnIndex(_values(encoded.dictionary.take(order)), postings, form=form)


def _comparable(found: Plain) -> Any:
    """Return texts and booleans as texts, numbers in a type that compares exactly."""
    column, kind = found.column, found.column.type
    if found.form == "boolean":
        return column.cast(pa.large_string())
    if found.form != "number" or pa.types.is_uint64(kind) or pa.types.is_decimal(kind):
        return column
    if pa.types.is_integer(kind):
        return column.cast(pa.int64())
    finite = pc.if_else(pc.is_finite(column), column, pa.scalar(None, pa.float64()))
    return pc.add(finite, 0.0)  # only one zero: -0.0 would count as a separate value


def _values(values: Any) -> Sequence[str] | Sequence[Number]:
    if pa.types.is_int64(values.type):
        return _view(values, "q")
    if pa.types.is_uint64(values.type):
        return _view(values, "Q")
    if pa.types.is_float64(values.type):
        return _view(values, "d")
    objects: list[Any] = []
    for start in range(0, len(values), _VALUES_PER_STEP):
        objects += values.slice(start, _VALUES_PER_STEP).to_pylist()
    return objects


def _view(values: Any, code: _Code) -> "memoryview[Any]":
    """View an Arrow array without nulls as a sequence; keeps its buffer alive."""
    buffer = values.buffers()[1]
    if buffer is None:
        return memoryview(b"").cast(code)
    size = values.type.bit_width // 8
    start = values.offset * size
    return memoryview(buffer)[start : start + len(values) * size].cast("B").cast(code)
