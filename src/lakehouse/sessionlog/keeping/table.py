"""The Delta table of a log: created on first use, appended to in transactions, maintained.

Uses only what every reader of Delta knows: protocol 1/2, no deletion vectors, no column mapping.
"""

from collections.abc import Iterable
from typing import Final

import pyarrow as pa
from deltalake import (
    BloomFilterProperties,
    ColumnProperties,
    CommitProperties,
    DeltaTable,
    Schema,
    Transaction,
    WriterProperties,
    write_deltalake,
)

from lakehouse.core.errors import SetupError
from lakehouse.sessionlog.keeping.records import PARTITION, SCHEMA
from lakehouse.sql.quoting import quoted_text

_FILES_MERGED_MIN: Final = 4  # small files of one day that are worth writing again as one
_GROUP_ROWS: Final = 100_000
_SMALL_BYTES: Final = 64 << 20
_COMMITS_MIN_AGE_H: Final = 24  # readers that began earlier have ended

# Statistics of texts would put the beginnings of prompts into the table's own log, for good.
# In a commit's own entry: one without it is another engine's, and is undone only if it is torn.
COMMIT_MARK: Final = "lakehouse"
_OURS: Final = CommitProperties(custom_metadata={COMMIT_MARK: "1"})

_CONFIGURATION: Final = {"delta.dataSkippingStatsColumns": "timestamp"}


def check_place(uri: str) -> None:
    """Check that the Delta library can use the place.

    Raises:
        SetupError: It cannot.
    """
    if "://" not in uri and "%" in uri:
        raise SetupError(
            f"The compacted table cannot be stored at {uri}: the Delta library misreads a path "
            f"with "
            "a percent sign.",
            hint="Choose another location: log.table in the configuration.",
        )


def create_table(uri: str) -> None:
    """Make the table, unless it is there."""
    DeltaTable.create(
        uri,
        schema=Schema.from_arrow(SCHEMA),
        mode="ignore",
        partition_by=[PARTITION],
        name="lakehouse sessions",
        configuration=_CONFIGURATION,
        commit_properties=_OURS,
    )


def append(
    table: DeltaTable,
    batches: Iterable[pa.RecordBatch],
    *,
    application: str,
    version: int,
    rows: int,
) -> None:
    """Append records as one commit with a transaction of `application`; `rows` is a guess.

    Raises:
        CommitFailedError: Somebody committed the same application after `table` was opened.
    """
    write_deltalake(
        table,
        pa.RecordBatchReader.from_batches(SCHEMA, iter(batches)),
        mode="append",
        schema_mode="merge",  # a table of before gains the members that rows have gained since
        commit_properties=CommitProperties(
            custom_metadata={COMMIT_MARK: "1"},
            app_transactions=[Transaction(application, version)],
        ),
        writer_properties=_writer_properties(rows),
    )


def merge_small_files(table: DeltaTable) -> int:
    """Write the small files of each day as larger ones; gives how many files were replaced."""
    small: dict[str, int] = {}
    actions = pa.table(table.get_add_actions(flatten=True))
    for day, size in zip(
        actions[f"partition.{PARTITION}"].to_pylist(),
        actions["size_bytes"].to_pylist(),
        strict=True,
    ):
        small[str(day)] = small.get(str(day), 0) + (size < _SMALL_BYTES)
    removed = 0
    for day, count in sorted(small.items()):
        if count >= _FILES_MERGED_MIN:
            done = table.optimize.compact(
                partition_filters=[(PARTITION, "=", day)],
                writer_properties=_writer_properties(_GROUP_ROWS),
                commit_properties=_OURS,
            )
            removed += int(done["numFilesRemoved"])
    return removed


def delete_session(table: DeltaTable, session_id: str) -> int:
    """Rewrite the files that hold rows of a session without them; gives the number of rows."""
    done = table.delete(f"session_id = {quoted_text(session_id)}", commit_properties=_OURS)
    return int(done["num_deleted_rows"])


def remove_old_files(table: DeltaTable, *, older_than_h: int = _COMMITS_MIN_AGE_H) -> int:
    """Delete the files that no version of the last hours needs; gives their number.

    `table` is at its durable version, so that what only a later one replaces stays.
    """
    gone = table.vacuum(
        retention_hours=older_than_h,
        dry_run=False,
        enforce_retention_duration=False,
        commit_properties=_OURS,
    )
    return len(gone)


def _writer_properties(rows: int) -> WriterProperties:
    distinct = max(1, min(rows, _GROUP_ROWS))
    bloom = ColumnProperties(
        bloom_filter_properties=BloomFilterProperties(
            set_bloom_filter_enabled=True, fpp=0.01, ndv=distinct
        )
    )
    return WriterProperties(
        compression="ZSTD",
        max_row_group_size=_GROUP_ROWS,
        column_properties={"session_id": bloom, "row_id": bloom},
    )
