"""What the configuration says of one table; apart, so that reading it loads no table engine."""

from typing import Literal

import msgspec


class TableSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`[tables.NAME]`. `path`: Parquet, CSV, JSON lines, or a Delta table, relative to the file.

    `types` says what columns of a CSV table hold that are not text: `{ id = "integer" }`. The
    other formats have types of their own.
    """

    path: str
    types: dict[str, Literal["text", "integer", "number", "boolean"]] = {}
