"""The database in memory is silent and fetches nothing."""

from lakehouse.sql.database import open_database


def test_a_long_query_writes_no_progress_to_stdout():
    """Stdout is where results go, and where the query's child answers."""
    connection = open_database()
    found = connection.execute(
        "SELECT name, value FROM duckdb_settings() WHERE name IN "
        "('enable_progress_bar', 'autoinstall_known_extensions', 'TimeZone') ORDER BY name"
    ).fetchall()
    assert found == [
        ("TimeZone", "UTC"),
        ("autoinstall_known_extensions", "false"),
        ("enable_progress_bar", "false"),
    ]
