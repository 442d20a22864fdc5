"""The formats of tables: one line each, and the module that reads it, loaded when it is needed.

What tells one format from another is said in this table and nowhere else. A module that reads files
has `rows`, which gives them one by one, and `table`, which reads a whole file. One that reads
directories has `newest`, which opens the newest version, and `read`, which reads it.
"""

from importlib import import_module
from pathlib import Path, PurePath
from typing import Any, Final, Literal

import msgspec

CellType = Literal["text", "integer", "number", "boolean"]
"""What the configuration may say that a column of an untyped format holds."""


class TableFormat(msgspec.Struct, frozen=True, kw_only=True):
    """One format. `reader` is its module in this package.

    A file's format is told by the ending of its name; `begins` are its first bytes, by which the
    other readers tell what they got. The format of a directory is told by `log`, an entry of it
    that changes with every version. A format that is not `typed` has cells of text, unless the
    configuration says more. `extra` is what has to be installed for it.
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
    """Tell the format of a file by its name alone; None where it has no known ending."""
    return ENDINGS.get(PurePath(path).suffix.lower())


def leaves_types(path: str) -> bool:
    """Return whether the types of a file's columns are left to the configuration."""
    found = format_of_file(path)
    return found is not None and not found.typed


def format_of(path: Path) -> TableFormat:
    """Tell the format of a table.

    Raises:
        ValueError: It is no directory of a format, nor has its name one of the endings.
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
