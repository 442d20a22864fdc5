"""The one way to open DuckDB: in memory, fetching no extension, and printing nothing."""

from typing import Final

import duckdb

_ALONE: Final = {"autoinstall_known_extensions": "false", "autoload_known_extensions": "false"}


def open_database(*, time_zone: str | None = "UTC", **settings: str) -> duckdb.DuckDBPyConnection:
    """Open an empty database; the caller closes it.

    `settings` are DuckDB's. `time_zone` None is the machine's. DuckDB takes a program without a
    file (`python -c`, a notebook) for a person at a terminal: after two seconds of a query it
    would draw a progress bar on stdout, where results and answers go.
    """
    locked = settings.pop("lock_configuration", "false")
    connection = duckdb.connect(":memory:", config={**_ALONE, **settings})
    connection.execute("SET enable_progress_bar = false")
    if time_zone is not None:
        connection.execute(f"SET TimeZone = '{time_zone}'")
    connection.execute(f"SET lock_configuration = {locked}")
    return connection
