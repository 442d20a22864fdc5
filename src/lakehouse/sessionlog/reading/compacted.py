"""Reads the compacted table as one snapshot.

A segment belongs to the table from the commit of its plan on (`compacted/<version>.json`); its file
stays for a while, and readers skip it. This module never writes. The Delta library is an extra,
loaded only for a log that has a table.
"""

import os
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar
from urllib.parse import unquote

import msgspec

from lakehouse.core.clock import moment_of
from lakehouse.core.errors import LakehouseError
from lakehouse.core.installed import check_installed
from lakehouse.files.regular import read_regular
from lakehouse.sessionlog.layout import COMPACTED, IDENTITY, TABLE_STATE
from lakehouse.sql.quoting import quoted_text, quoted_texts

if TYPE_CHECKING:
    from deltalake import DeltaTable
    from duckdb import DuckDBPyConnection

RETENTION_H: Final = 24.0  # how long a segment stays after its rows are in the table, by default

UNDATED_DAY: Final = "9999-12-31"
"""The `date` of rows whose timestamp is no time: never left out for being too old."""

DELTA_LOG: Final = "_delta_log"
# An entry, what stands for one, or for all up to it.
_VERSIONED: Final = re.compile(
    r"([0-9]{20}\.)?(?P<version>[0-9]{20})\.(json|crc|compacted\.json|checkpoint\..+)"
)
_ROWS_AT_ONCE: Final = 1_000
_AMONG: Final = "WHERE row_id IN (SELECT unnest($1::VARCHAR[]))"
_DATASET: Final = "compacted_table"

_State = TypeVar("_State", bound=msgspec.Struct)


class LogIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """`log.json`: made once, by the first compaction.

    `log_id` names this log among those that share a table. `table` is a URI, or a path relative
    to the log directory.
    """

    schema: Literal["session_log.log.v1"] = "session_log.log.v1"
    log_id: str
    table: str

    @property
    def application(self) -> str:
        """Name this log in the table's transactions."""
        return f"lakehouse/{self.log_id}"

    @property
    def is_remote(self) -> bool:
        """Whether the table is in an object store."""
        return "://" in self.table


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """`compacted/<version>.json`: which segments one commit holds, written before the commit.

    The plan is done when the table has a transaction of ours of this version or a later one.
    """

    schema: Literal["session_log.compaction.v1"] = "session_log.compaction.v1"
    version: int
    segments: tuple[str, ...]


class DurableVersion(msgspec.Struct, frozen=True, kw_only=True):
    """`_lakehouse/durable.json` in a local table: the version that is on the disk for certain.

    -1 says that none is yet. Later versions may be torn by a power cut; the next compaction
    restores the table or moves the mark on.
    """

    schema: Literal["session_log.table.v1"] = "session_log.table.v1"
    version: int


class Compacted:
    """The table at one version. `held`: the segments it holds; `files`: its Parquet files."""

    def __init__(self, table: "DeltaTable", *, held: frozenset[str]) -> None:
        self.held = held
        self.is_local = table.table_uri.startswith("file://")
        # Delta-rs gives local paths in the form they have in a URI.
        self.files = tuple(unquote(file) if self.is_local else file for file in table.file_uris())
        self._table = table

    def relation(self, connection: "DuckDBPyConnection", since: str | None = None) -> str | None:
        """Return what DuckDB can select from; None when there is no file.

        Args:
            connection: Is given a dataset to read if the table is in an object store, for which
                DuckDB would need an extension.
            since: A UTC date; files whose rows all ended on earlier days may be left out.
        """
        if not self.is_local:
            connection.register(_DATASET, self._table.to_pyarrow_dataset())
            return f"(SELECT * FROM {_DATASET}{_since(since)})"  # noqa: S608 - constants of ours
        wanted = [file for file in self.files if since is None or _date_of(file) >= since]
        if not wanted:
            return None
        # By name: older files lack the members that rows gained later.
        files = quoted_texts(wanted)
        return f"read_parquet([{files}], union_by_name = true, hive_partitioning = false)"

    def lines(self, where: str = "", values: Sequence[object] = ()) -> Iterator[bytes]:
        """Return the rows' own bytes, of all rows or of those that an SQL condition names."""
        with _connected(self._table) as connection:
            relation = self.relation(connection)
            if relation is None:
                return
            found = connection.execute(f"SELECT line FROM {relation} {where}", values)  # noqa: S608 - constants of ours; values are bound
            while rows := found.fetchmany(_ROWS_AT_ONCE):
                for (line,) in rows:
                    yield line.encode("utf-8")

    def read_columns(self) -> None:
        """Read every column of every row, so that what cannot be read is known.

        Raises:
            LakehouseError: A file is missing, or a part of it cannot be read.
        """
        with _connected(self._table) as connection:
            relation = self.relation(connection)
            if relation is not None:
                connection.execute(f"SELECT bit_xor(hash(t)) FROM {relation} AS t").fetchall()  # noqa: S608 - constants of ours

    def row_ids_among(self, row_ids: Collection[str], since: str) -> set[str]:
        """Return which of these row ids are in the table.

        Args:
            row_ids: Any number.
            since: A timestamp or date; their rows ended on its day or later. Any other text says
                nothing of when they did.
        """
        moment = moment_of(since)
        with _connected(self._table) as connection:
            relation = self.relation(connection, day_of(moment) if moment else None)
            if relation is None or not row_ids:
                return set()
            query = f"SELECT row_id FROM {relation} {_AMONG}"  # noqa: S608 - constants of ours; values are bound
            return {row_id for (row_id,) in connection.execute(query, [list(row_ids)]).fetchall()}

    def newest(self, condition: str, values: list[Any], limit: int) -> list[tuple[str, int]]:
        """Return the ids of rows that hold a condition, newest first, undated last; their sizes.

        In two steps: sorting whole rows would take the memory of all that hold it.
        """
        with _connected(self._table) as connection:
            relation = self.relation(connection)
            if relation is None:
                return []
            keys = connection.execute(
                f"SELECT row_id FROM {relation} WHERE {condition} "  # noqa: S608 - constants of ours; values are bound
                f"ORDER BY timestamp DESC NULLS LAST, row_id DESC LIMIT {limit}",
                values,
            ).fetchall()
            ids = list(dict.fromkeys(row_id for (row_id,) in keys))
            query = f"SELECT row_id, strlen(line) FROM {relation} {_AMONG}"  # noqa: S608 - likewise
            sizes = dict(connection.execute(query, [ids]).fetchall())
        return [(row_id, sizes[row_id]) for row_id in ids]

    def lines_of(self, row_ids: list[str]) -> list[bytes]:
        """Return these rows, in no order."""
        return list(self.lines(_AMONG, [row_ids]))


def open_compacted(root: Path) -> Compacted | None:
    """Open the log's table at its newest durable version; None if the log has none yet.

    Raises:
        SetupError: The Delta library is not installed.
        LakehouseError: The table cannot be read, or a plan of what it holds.

    Cost: nothing for a log without a table, else 10 ms and, once in a process, the import.
    """
    identity = read_identity(root)
    if identity is None:
        return None
    table = open_table(table_uri(root, identity))
    if table is None:
        return None
    done = table.transaction_version(identity.application) or 0
    held = {name for plan in read_plans(root) if plan.version <= done for name in plan.segments}
    return Compacted(table, held=frozenset(held))


def day_of(moment: datetime | None) -> str:
    """Return the table's `date` for the moment of a row."""
    return moment.date().isoformat() if moment is not None else UNDATED_DAY


def row_ids_compacted(root: Path, row_ids: Collection[str], since: str) -> set[str]:
    """Return which rows are in the log's table; nothing for a log without one."""
    compacted = open_compacted(root)
    return compacted.row_ids_among(row_ids, since) if compacted is not None else set()


def open_table(uri: str) -> "DeltaTable | None":
    """Open a Delta table; None if there is none at that place.

    A local table is opened at the version that its mark names: later ones may not survive a power
    cut, or have not. A table in an object store, or without a mark, at its newest; so is one of
    which another engine has cleaned up the entries that the marked version needs.

    Raises:
        SetupError: The Delta library is not installed.
        LakehouseError: There is one, and it cannot be read.
    """
    version = durable_version(uri)
    if version is not None and version < 0:
        return None
    require_delta()
    from deltalake import DeltaTable  # noqa: PLC0415 - an extra: loaded when there is a table
    from deltalake.exceptions import DeltaError, TableNotFoundError  # noqa: PLC0415 - likewise

    try:
        try:
            return DeltaTable(uri, version=version)
        except (DeltaError, OSError):
            if version is None or not _is_cleaned_up(uri, version):
                raise
            return DeltaTable(uri)
    except (DeltaError, OSError) as error:
        if version is None and isinstance(error, TableNotFoundError):
            return None
        raise LakehouseError(
            f"The compacted table at {uri} cannot be read: {error}",
            hint="Check that it exists and that this user may read it.",
        ) from error


def local_path(uri: str) -> Path | None:
    """Return the directory of a table; None for one in an object store."""
    if uri.startswith("file://"):
        return Path(unquote(uri.removeprefix("file://")))
    return None if "://" in uri else Path(uri)


def delta_log_files(table: Path) -> list[tuple[int, Path]]:
    """List entries and checkpoints of a local table's log by version, the newest first."""
    try:
        names = os.listdir(table / DELTA_LOG)  # noqa: PTH208 - names only
    except FileNotFoundError:
        return []
    matches = (match for name in names if (match := _VERSIONED.fullmatch(name)))
    found = [(int(match["version"]), table / DELTA_LOG / match.string) for match in matches]
    return sorted(found, reverse=True)


def durable_path(table: Path) -> Path:
    """Return the file that marks the durable version of a local table."""
    return table / TABLE_STATE / "durable.json"


def durable_version(uri: str) -> int | None:
    """Read which version of a local table is durable; None if nothing says so.

    Raises:
        LakehouseError: The mark is damaged, or this user may not read it.
    """
    table = local_path(uri)
    if table is None:
        return None
    hint = "It records the table's version to read; without it the newest version is read."
    mark = _read(durable_path(table), DurableVersion, hint)
    return mark.version if mark is not None else None


def _is_cleaned_up(uri: str, version: int) -> bool:
    """Return whether a local table's log begins with a checkpoint of later than this version."""
    table = local_path(uri)
    files = delta_log_files(table) if table is not None else []
    first = all(at > 0 for at, path in files if path.suffix == ".json")
    return first and any(at > version and ".checkpoint." in path.name for at, path in files)


def require_delta() -> None:
    """Check that the Delta library is there.

    Raises:
        SetupError: It is not installed.
    """
    check_installed("Compacted tables of logs", "deltalake", extra="delta")


def read_identity(root: Path) -> LogIdentity | None:
    """Read `log.json`; None before the first compaction.

    Raises:
        LakehouseError: It is there and is not one.
    """
    hint = "It records the log's id and its table; restore it from a copy."
    return _read(root / IDENTITY, LogIdentity, hint)


def read_plans(root: Path) -> list[Plan]:
    """List the plans in the order of their versions.

    Raises:
        LakehouseError: A plan is damaged, or this user may not read it.
    """
    hint = (
        "It lists the segments in one commit of the table. Restore it from a copy, or remove it: "
        "rows that are in the table are not added again."
    )
    found = (_read(path, Plan, hint) for path in (root / COMPACTED).glob("*.json"))
    # One may go meanwhile: its segments are gone, and it with them.
    return sorted((plan for plan in found if plan is not None), key=lambda plan: plan.version)


def _read(path: Path, kind: type[_State], hint: str) -> _State | None:
    """Read a small file of ours; None if it is not there."""
    try:
        return msgspec.json.decode(read_regular(path), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise LakehouseError(f"{path} cannot be read: {error}", hint=hint) from error


def plan_path(root: Path, version: int) -> Path:
    """Return the file of a plan."""
    return root / COMPACTED / f"{version}.json"


def table_uri(root: Path, identity: LogIdentity) -> str:
    """Return the table's URI, or its absolute path."""
    return identity.table if identity.is_remote else str((root / identity.table).resolve())


def open_local_compacted(root: Path) -> Compacted | None:
    """Open the log's table as `open_compacted`; None too if it is in an object store."""
    return None if is_remote(root) else open_compacted(root)


def is_remote(root: Path) -> bool:
    """Return whether the log's table is in an object store."""
    identity = read_identity(root)
    return identity is not None and identity.is_remote


@contextmanager
def _connected(table: "DeltaTable") -> Iterator["DuckDBPyConnection"]:
    """Open DuckDB to read a table, for a `with`; what it cannot read is said as ours."""
    import duckdb  # noqa: PLC0415 - a log without a table is read without a database

    from lakehouse.sql.database import open_database  # noqa: PLC0415 - likewise

    connection = open_database()
    try:
        yield connection
    except (duckdb.Error, OSError) as error:
        first = str(error).split("\n", 1)[0]
        raise LakehouseError(
            f"The compacted table at {table.table_uri} cannot be read: {first}",
            hint="`lakehouse log verify` checks all of it. Restore the file from a copy.",
        ) from error
    finally:
        connection.close()


def _date_of(file: str) -> str:
    """Read the partition out of a file's path: `…/date=2026-01-02/part-….parquet`."""
    return file.rsplit("/date=", 1)[-1].split("/", 1)[0]


def _since(since: str | None) -> str:
    return f" WHERE date >= {quoted_text(since)}" if since is not None else ""
