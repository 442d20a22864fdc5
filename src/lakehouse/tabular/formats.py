"""The formats of tables: one line each, and the module that reads it, loaded when it is needed.

This table is the only place that distinguishes formats. A module for files has `rows`, which
returns them one by one, and `table`, which reads a whole file. A module for directories has
`newest`, which opens the newest version, and `read`, which reads it.
"""

from importlib import import_module
from pathlib import Path, PurePath
from typing import Any, Final, Literal

import msgspec

CellType = Literal["text", "integer", "number", "boolean"]
"""The types that the configuration may set for a column of an untyped format."""


class TableFormat(msgspec.Struct, frozen=True, kw_only=True):
    """One format. `reader` is its module in this package.

    The ending of its name determines a file's format; by `begins`, its first bytes, other readers
    recognize a wrong file. `log`, an entry that changes with every version, determines the format
    of a directory. If a format is not `typed`, its cells are text unless the configuration has
    types. `extra` is the extra to install for it.
    """

    name: str
    reader: str
    endings: tuple[str, ...] = ()
    begins: bytes | None = None
    log: str | None = None
    typed: bool = True
    extra: str | None = None

    def load(self) -> Any:
        """Return the module that reads it; the first time may take 0.2 s."""
        return import_module(f"lakehouse.tabular.{self.reader}")


FORMATS: Final = (
    TableFormat(name="Parquet", reader="parquet", endings=(".parquet", ".pq"), begins=b"PAR1"),
    TableFormat(name="CSV", reader="csv_rows", endings=(".csv",), typed=False),
    TableFormat(name="JSON lines", reader="json_rows", endings=(".jsonl", ".ndjson")),
    TableFormat(name="Delta", reader="delta", log="_delta_log", extra="delta"),
)
ENDINGS: Final = {ending: one for one in FORMATS for ending in one.endings}
"""The format of a file by the ending of its name, in lower case."""


def format_of_file(path: PurePath | str) -> TableFormat | None:
    """Return the format of a file by its name alone; None if the ending is unknown."""
    return ENDINGS.get(PurePath(path).suffix.lower())


def leaves_types(path: str) -> bool:
    """Return whether the types of a file's columns are left to the configuration."""
    found = format_of_file(path)
    return found is not None and not found.typed


def format_of(path: Path) -> TableFormat:
    """Return the format of a table.

    Raises:
        ValueError: It is not a directory of a known format, and its name has no known ending.
    """
    directories = [one for one in FORMATS if one.log is not None]
    names = " or ".join(one.name for one in directories)
    if path.is_dir():
        found = next((one for one in directories if (path / str(one.log)).exists()), None)
        if found is None:
            logs = " or ".join(str(one.log) for one in directories)
            raise ValueError(f"the directory is not a {names} table: it has no {logs}")
        return found
    found = format_of_file(path)
    if found is None:
        raise ValueError(
            f"its name must end in one of {', '.join(ENDINGS)}, or it is a {names} table"
        )
    return found
