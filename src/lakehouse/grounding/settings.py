"""What the configuration says of one table; apart, so that reading it loads no table engine."""

import msgspec


class TableSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tables.NAME]`. `path`: Parquet, CSV, JSON lines, or a Delta table, relative to the file."""

    path: str
