"""The settings of one table; separate, so that reading them loads no table engine."""

import msgspec

from lakehouse.tabular.formats import CellType


class TableSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tables.NAME]`. `path`: Parquet, CSV, JSON lines, or a Delta table, relative to the file.

    `types` says what columns of a CSV table hold that are not text: `{ id = "integer" }`. The
    other formats have types of their own. Of a `private` table only the configured kinds may use
    columns: a schema that a caller sends may not name it.
    """

    path: str
    types: dict[str, CellType] = {}
    private: bool = False
