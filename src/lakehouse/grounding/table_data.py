"""One table in memory, as Arrow columns or as objects."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Protocol

import msgspec
import pyarrow as pa

from lakehouse.core.json_text import JsonValue
from lakehouse.core.matches import HELD_AS
from lakehouse.grounding.arrow import ColumnFault, index_arrow
from lakehouse.grounding.index import ColumnIndex, index_booleans, index_numbers, index_texts
from lakehouse.tabular.arrow_forms import shortest

MIXED = "its cells are neither all strings nor all numbers"
_ROWS_PLAIN_MAX = 10_000  # above, Arrow numbers the values: it releases the GIL


class TableData(Protocol):
    """The content of one version of a table. Immutable."""

    @property
    def names(self) -> Sequence[str]: ...

    def index(self, column: str) -> ColumnIndex:
        """Index one of the columns; blocks.

        Raises:
            ColumnFault: It does not hold texts, numbers or booleans throughout.
        """
        ...

    def arrow(self) -> Any:
        """Return everything as a `pyarrow.Table`, for SQL; blocks."""
        ...


class ArrowData:
    """A table that was read as Arrow.

    Its narrow floats become doubles of the same shortest form, so that rules in SQL see the 0.1
    that grounding sees.
    """

    def __init__(self, table: Any) -> None:
        for at, field in enumerate(table.schema):
            if pa.types.is_floating(field.type) and not pa.types.is_float64(field.type):
                table = table.set_column(at, field.name, shortest(table.column(at)))
        self._table = table

    @property
    def names(self) -> Sequence[str]:
        """The columns' names, unique."""
        names: Sequence[str] = self._table.column_names
        return names

    def index(self, column: str) -> ColumnIndex:
        return index_arrow(self._table.column(column))

    def arrow(self) -> Any:
        return self._table


class ObjectData:
    """A table that came as JSON objects: lists of parsed cells by column, null where absent.

    `texts` gives the JSON text of numbers as the table wrote them, by column, for small tables
    that came with a request.
    """

    def __init__(
        self,
        columns: Mapping[str, list[JsonValue]],
        texts: Mapping[str, Mapping[Decimal, bytes]] | None = None,
    ) -> None:
        self._columns = columns
        self._texts = texts or {}

    @property
    def names(self) -> Sequence[str]:
        """The columns' names, in the order they were met."""
        return tuple(self._columns)

    def index(self, column: str) -> ColumnIndex:
        cells: list[Any] = self._columns[column]
        large = len(cells) > _ROWS_PLAIN_MAX
        holds = {HELD_AS.get(type(cell)) for cell in cells if cell is not None}
        if holds <= {"text"}:
            return index_arrow(pa.array(cells, pa.string())) if large else index_texts(cells)
        if holds == {"boolean"}:
            return index_booleans(cells)
        if holds != {"number"}:
            raise ColumnFault(MIXED)
        numbers = self._arrow_numbers(cells) if large else None
        if numbers is not None:
            return index_arrow(numbers)
        return index_numbers(cells, self._texts.get(column))

    def arrow(self) -> Any:
        """Convert column by column; values without a column type become JSON text."""
        return pa.table({name: self._arrow_column(name) for name in self._columns})

    def _arrow_column(self, name: str) -> Any:
        cells = self._columns[name]
        kinds = {type(cell) for cell in cells if cell is not None}
        if kinds <= {str}:
            return pa.array(cells, pa.string())
        if kinds == {bool}:
            return pa.array(cells, pa.bool_())
        if kinds <= {int, float, Decimal}:
            numbers = self._arrow_numbers(cells)
            doubles = [None if cell is None else float(cell) for cell in cells]  # type: ignore[arg-type]  # numbers
            return pa.array(doubles, pa.float64()) if numbers is None else numbers
        return pa.array([None if cell is None else _json_text(cell) for cell in cells], pa.string())

    def _arrow_numbers(self, cells: list[Any]) -> Any:
        """Return numbers as Arrow where one type holds them all exactly, else None."""
        kinds = {type(cell) for cell in cells if cell is not None}
        if kinds == {float}:
            return pa.array(cells, pa.float64())
        if kinds == {int}:
            for kind in (pa.int64(), pa.uint64(), pa.decimal128(38, 0)):
                try:
                    return pa.array(
                        map(Decimal, cells) if kind == pa.decimal128(38, 0) else cells, kind
                    )
                except (OverflowError, pa.ArrowInvalid, TypeError):
                    continue
        return None


def _json_text(cell: object) -> str:
    return msgspec.json.encode(cell).decode("utf-8")
