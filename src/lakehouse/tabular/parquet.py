"""Parquet files, row by row or whole."""

from collections.abc import Collection, Iterator
from typing import IO, Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from lakehouse.tabular.arrow_rows import arrow_rows
from lakehouse.tabular.rows import BadRow, FileFault, TableRow

_BATCH_ROWS: Final = 1_000


def table(content: bytes) -> Any:
    """Read a whole file as a `pyarrow.Table`; blocks."""
    return pq.ParquetFile(pa.BufferReader(content)).read()


def rows(file: IO[bytes], columns: Collection[str]) -> Iterator[TableRow | BadRow]:
    """Return the rows of a file in its order; see `rows.read_rows`."""
    try:
        with pq.ParquetFile(file) as parquet:
            yield from arrow_rows(
                parquet.schema_arrow.names,
                lambda names: parquet.iter_batches(_BATCH_ROWS, columns=names),
                columns,
            )
    except pa.ArrowException as error:
        raise FileFault(str(error)) from error
