"""The column index against plain loops over the cells."""

import asyncio
from decimal import Decimal
from fractions import Fraction

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.folding import fold
from lakehouse.core.json_text import parse
from lakehouse.core.ports import Column
from lakehouse.grounding.arrow import ColumnFault, index_arrow
from lakehouse.grounding.index import ColumnIndex, index_numbers, index_texts

TEXTS = st.text(st.sampled_from("abAB é\0\"';ẞß\u0301\U0001f6ec"), max_size=5)
DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = st.one_of(
    st.integers(-20, 20), st.integers(), DOUBLES, st.sampled_from([0.1, 0.5, -0.0, 2**64 + 1])
)


def nearest(column: Column, value: object, match: str = "exact") -> list[bytes]:
    found = asyncio.run(column.nearest(value, match))  # type: ignore[arg-type]  # of the right types
    return [bytes(item) for item in found]


def distance(left: str, right: str) -> int:
    """Edit distance by the book."""
    row = list(range(len(right) + 1))
    for i, a in enumerate(left, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(right, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


@given(cells=st.lists(TEXTS | st.none(), max_size=30), value=TEXTS, arrow=st.booleans())
def test_texts_match_as_a_plain_loop_would(
    cells: list[str | None], value: str, *, arrow: bool
) -> None:
    index = index_arrow(pa.array(cells, pa.string())) if arrow else index_texts(cells)
    index.prepare("casefold")
    for match, same in (("exact", str), ("casefold", fold)):
        expected = {
            row for row, cell in enumerate(cells) if cell is not None and same(cell) == same(value)
        }
        rows = index.rows(value, match, None)  # type: ignore[arg-type]  # one of the literals
        assert set(rows) == expected
        assert len(rows) == len(expected)
        assert {row for row in range(len(cells)) if row in rows} == expected
        ranked = sorted(
            {cell for cell in cells if cell is not None},
            key=lambda cell: (distance(same(cell), same(value)), cell.encode()),
        )
        assert nearest(index, value, match) == [msgspec.json.encode(cell) for cell in ranked[:3]]


@given(st.lists(NUMBERS | st.none(), max_size=20), NUMBERS, st.floats(0, 10))
def test_numbers_match_by_value_and_within_by_difference_as_written(
    cells: list[int | float | None], value: float, tolerance: float
) -> None:
    index = index_numbers(cells)
    present = [(row, cell) for row, cell in enumerate(cells) if cell is not None]
    assert set(index.rows(value, "exact", None)) == {row for row, cell in present if cell == value}
    near = {
        row
        for row, cell in present
        if abs(Fraction(str(cell)) - Fraction(str(value))) <= Fraction(str(tolerance))
    }
    assert set(index.rows(value, "within", tolerance)) == near


@given(st.lists(DOUBLES | st.none(), max_size=20), DOUBLES, st.floats(0, 10))
def test_doubles_from_arrow_match_as_doubles_from_objects_do(
    cells: list[float | None], value: float, tolerance: float
) -> None:
    index, plain = index_arrow(pa.array(cells, pa.float64())), index_numbers(cells)
    for match in ("exact", "within"):
        assert set(index.rows(value, match, tolerance)) == set(plain.rows(value, match, tolerance))
    assert [float(n) for n in nearest(index, value)] == [float(n) for n in nearest(plain, value)]


@given(st.lists(st.integers(-1000, 1000), min_size=1, max_size=20), st.integers(-1100, 1100))
def test_near_numbers_are_ordered_by_difference_then_bytes(cells: list[int], value: int) -> None:
    ranked = sorted(set(cells), key=lambda cell: (abs(cell - value), str(cell).encode()))
    expected = [str(cell).encode() for cell in ranked[:3]]
    assert nearest(index_numbers(cells), value) == expected
    assert nearest(index_arrow(pa.array(cells, pa.int16())), value) == expected


@pytest.mark.parametrize(
    "cells",
    [
        pa.array(["b", None, "a", "b"], pa.string_view()),
        pa.array(["b", None, "a", "b"], pa.large_string()),
        pa.array(["b", None, "a", "b"]).dictionary_encode(),
        pa.chunked_array([["b", None], [], ["a", "b"]], pa.string()),
        pa.chunked_array(
            [pa.array(["b", None]).dictionary_encode(), pa.array(["a", "b"]).dictionary_encode()]
        ),
        pa.array(["x", "b", None, "a", "b"]).slice(1),
    ],
)
def test_every_form_of_text_is_text(cells: object) -> None:
    index = index_arrow(cells)
    assert index.holds == "text"
    assert list(index.rows("b", "exact", None)) == [0, 3]
    assert list(index.rows("a", "exact", None)) == [2]


@pytest.mark.parametrize(
    "kind",
    [pa.int8(), pa.uint8(), pa.int64(), pa.uint64(), pa.float16(), pa.float32(), pa.float64(),
     pa.decimal128(30, 2), pa.decimal256(50, 0)],
)  # fmt: skip
def test_every_form_of_number_is_a_number(kind: object) -> None:
    index = index_arrow(pa.array([3, None, 1, 3], pa.int64()).cast(kind, safe=False))
    assert index.holds == "number"
    for three in (3, 3.0, Decimal("3.00")):
        assert list(index.rows(three, "exact", None)) == [0, 3]
    assert index.rows(True, "exact", None) == ()
    assert index.rows("3", "exact", None) == ()
    assert index.rows(None, "exact", None) == ()


def test_decimal_columns_equal_doubles_as_they_are_written() -> None:
    index = index_arrow(pa.array([Decimal("0.10"), Decimal("0.20")], pa.decimal128(9, 2)))
    assert list(index.rows(0.1, "exact", None)) == [0]
    assert nearest(index, 0.14) == [b"0.10", b"0.20"]


def test_the_whole_unsigned_range_is_exact() -> None:
    index = index_arrow(pa.array([2**64 - 1, 1], pa.uint64()))
    assert list(index.rows(2**64 - 1, "exact", None)) == [0]
    assert index.rows(float(2**64), "exact", None) == ()
    assert index.rows(-1, "exact", None) == ()


def test_nan_and_infinities_are_no_values() -> None:
    cells = pa.array([float("nan"), float("inf"), -0.0, 1.5, None])
    index = index_arrow(cells)
    assert list(index.rows(0, "exact", None)) == [2]
    assert nearest(index, 1) == [b"1.5", b"0.0"]


@pytest.mark.parametrize(
    "cells",
    [pa.array([], pa.string()), pa.array([None, None]), pa.array([None], pa.string()),
     pa.chunked_array([], pa.string()), pa.array([], pa.float64()),
     pa.chunked_array([], pa.int8())],
)  # fmt: skip
def test_a_column_without_values_matches_nothing(cells: object) -> None:
    index = index_arrow(cells)
    assert index.empty
    for value in ("", "x", 0, 1.5):
        assert len(index.rows(value, "exact", None)) == 0
        assert nearest(index, value) == []


@pytest.mark.parametrize("cells", [pa.array([[1]]), pa.array([b"x"]), pa.array([{"a": 1}])])
def test_other_types_are_refused_by_name(cells: pa.Array) -> None:
    with pytest.raises(ColumnFault, match=str(cells.type).split("<", maxsplit=1)[0]):
        index_arrow(cells)


@pytest.mark.parametrize("kind", [pa.int64(), pa.float64(), pa.decimal128(30, 2)])
def test_numbers_beyond_every_range_are_asked_without_harm(kind: object) -> None:
    """Exponents that nobody could write out in digits: found far away, and at once."""
    index = index_arrow(pa.array([1, 2, 3], pa.int64()).cast(kind))
    for text in ("1e999999999", "-1e999999999", "1e400"):
        value = Decimal(text)
        assert len(index.rows(value, "exact", None)) == 0
        assert len(index.rows(value, "within", 1e300)) == 0
        assert len(nearest(index, value)) == 3


def test_near_texts_of_long_columns_are_found_across_the_steps_of_the_pass() -> None:
    """Three equally near values, one in each of three steps, and a farther one before them."""
    cells = [f"{i:05d}-filler" for i in range(20_000)]
    cells[10], cells[9_000], cells[18_000], cells[5] = "wanteb", "wanted1", "wantex", "wanxxx"
    index: ColumnIndex = index_texts(cells)
    assert nearest(index, "wanted") == [b'"wanteb"', b'"wanted1"', b'"wantex"']


def number(text: str) -> float | Decimal:
    """Read a number as artifacts and tables are read."""
    found = parse(text)
    assert isinstance(found, int | float | Decimal)
    return found


@pytest.mark.parametrize(
    ("cells", "value", "wanted"),
    [
        (["10"], "10.000000000000000000001", []),
        (["10", "10.000000000000000000001"], "10.000000000000000000001", [1]),
        (["0.1"], "0.1000000000000000055511151231257827021181583404541015625", []),
        (["100000000000000000000000"], "1e23", [0]),
        (["1e23"], "100000000000000000000000", [0]),
        (["1e23"], "99999999999999991611392", []),
        (["0"], "1e-400", []),
        (["9007199254740993"], "9007199254740993.0", [0]),
    ],
)
def test_numbers_equal_as_they_are_written(cells, value, wanted):
    """Whatever a double makes of them."""
    index = index_numbers([number(cell) for cell in cells])
    assert list(index.rows(number(value), "exact", None)) == wanted


def test_tolerances_are_kept_however_far_apart_the_numbers_are():
    """A sum of thousands of digits is rounded to the side that changes no answer."""
    index = index_numbers([number("-1"), number("1")])
    assert list(index.rows(number("1e-10000"), "within", 1.0)) == [1]
    assert list(index.rows(number("-1e-10000"), "within", 1.0)) == [0]
