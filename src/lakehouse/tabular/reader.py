"""Rows of a file in one form, whatever its format: chosen columns, each cell as raw JSON.

For callers that take rows one by one, such as `lakehouse run`; the file may be larger than memory.
"""

from collections.abc import Collection, Iterator
from pathlib import Path

from lakehouse.tabular.formats import ENDINGS, format_of_file
from lakehouse.tabular.rows import BadRow, FileFault, Row, check_regular


def read_rows(path: Path, columns: Collection[str]) -> Iterator[Row | BadRow]:
    """Read the rows of a file in its order; the format is told by the name.

    Raises:
        FileFault: Its name has none of `ENDINGS`, or it cannot be read as what its name says, or
            has no column of a name that is asked for, or one whose type has no form in JSON.
        OSError: It cannot be opened or read.
    """
    found = format_of_file(path)
    if found is None:
        raise FileFault(f"its name must end in one of {', '.join(ENDINGS)}")
    check_regular(path)
    with path.open("rb") as file:
        yield from found.load().rows(file, columns)
