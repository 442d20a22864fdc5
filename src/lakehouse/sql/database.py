"""DuckDB in memory, as the log opens it: no extension is fetched, and times are UTC."""

import duckdb


def open_database() -> duckdb.DuckDBPyConnection:
    """Open an empty database; the caller closes it."""
    connection = duckdb.connect(
        ":memory:",
        config={"autoinstall_known_extensions": False, "autoload_known_extensions": False},
    )
    # After two seconds DuckDB writes a progress bar to stdout, where results and answers go.
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SET TimeZone = 'UTC'")
    return connection
