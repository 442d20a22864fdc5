"""Reads a Delta table at one version through its library; unsupported features are errors.

The scan supports column mapping and deletion vectors. If a data file has a column under another
name than the scan expects, the scan silently returns nulls: so every reader feature must be one
that is known to be supported, and every data file is checked before its rows are used.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit

import msgspec
import pyarrow as pa
import pyarrow.parquet as pa_parquet

# The scan reads each correctly; tests/unit/tabular/test_delta.py tests every one.
FEATURES_HONOURED: Final = frozenset(
    {"columnMapping", "deletionVectors", "timestampNtz", "v2Checkpoint"}
)
# Writers list it even without such columns; a column of the type is refused separately.
_FEATURES_OF_TYPES: Final = {"variantType": "variant", "variantType-preview": "variant"}
_READER_VERSION_MAX: Final = 3
_MODE: Final = "delta.columnMapping.mode"
_PHYSICAL: Final = "delta.columnMapping.physicalName"
_ID: Final = "delta.columnMapping.id"
_FILE_ID: Final = b"PARQUET:field_id"


class DeltaVersion(msgspec.Struct, frozen=True):
    """A table at its newest version; `key` is `<table id>@<version>`."""

    key: str
    path: Path
    table: Any


def newest(path: Path) -> DeltaVersion:
    """Open a table; blocks.

    Raises:
        ValueError: It is not a Delta table, is broken, or needs an unsupported feature.
        ModuleNotFoundError: The extra `delta` is not installed.
    """
    from deltalake import DeltaTable  # noqa: PLC0415 - an extra: loaded when a table needs it
    from deltalake.exceptions import DeltaError  # noqa: PLC0415 - likewise

    try:
        table = DeltaTable(str(path))
        return DeltaVersion(f"{table.metadata().id}@{table.version()}", path, table)
    except DeltaError as error:
        if "catalog-managed" in str(error):
            raise ValueError(_not_honoured("catalogManaged")) from error
        raise ValueError(_said(error)) from error


def read(version: DeltaVersion) -> Any:
    """Read all rows of a version as a `pyarrow.Table`; blocks. Their order is not kept.

    Raises:
        ValueError: The table needs an unsupported feature, or a data file has its columns under
            other names than the table.
    """
    from deltalake.exceptions import DeltaError  # noqa: PLC0415 - an extra

    try:
        mode = _mode(version.table)
        columns = [_column(field, mode) for field in _fields(version.table)]
        partitions = set(version.table.metadata().partition_columns)
        stored = [column for column in columns if column.name not in partitions]
        for written in pa.table(version.table.get_add_actions())["path"].to_pylist():
            _check_file(_local(version.path, written), stored, mode)
        return pa.table(version.table.scan())
    except DeltaError as error:
        raise ValueError(_said(error)) from error


def _said(error: Exception) -> str:
    """Return the library's message without its own stack trace."""
    return str(error).strip().partition("\n")[0]


class _Column(msgspec.Struct, frozen=True):
    """A column, or a member of a nested one: its name, and how data files name it."""

    name: str
    physical: str
    id: int | None
    nullable: bool
    members: tuple["_Column", ...]


def _mode(table: Any) -> str:
    """Return the column mapping mode, after checking that all features are supported."""
    protocol = table.protocol()
    if protocol.min_reader_version > _READER_VERSION_MAX:
        raise ValueError(
            f"it needs reader version {protocol.min_reader_version}; "
            f"at most {_READER_VERSION_MAX} is supported"
        )
    features = set(protocol.reader_features or ())
    if protocol.min_reader_version == 2:
        features.add("columnMapping")
    unknown = sorted(features - FEATURES_HONOURED - _FEATURES_OF_TYPES.keys())
    if unknown:
        raise ValueError(_not_honoured(unknown[0]))
    mode: str = table.metadata().configuration.get(_MODE, "none")
    if mode not in {"none", "name", "id"}:
        raise ValueError(f"its column mapping mode is {mode!r}; supported are none, name and id")
    if mode != "none" and "columnMapping" not in features:
        raise ValueError(
            f"its column mapping mode is {mode!r}, but its protocol does not have the feature"
        )
    return mode


def _not_honoured(feature: str) -> str:
    honoured = ", ".join(sorted(FEATURES_HONOURED))
    return (
        f"it needs the reader feature {feature!r}, which is not supported; supported are: "
        f"{honoured}. "
        "Drop the feature from the table, or write the table to Parquet"
    )


def _fields(table: Any) -> list[dict[str, Any]]:
    fields: list[dict[str, Any]] = json.loads(table.schema().to_json())["fields"]
    return fields


def _column(field: Mapping[str, Any], mode: str) -> _Column:
    metadata = field.get("metadata") or {}
    physical = field["name"] if mode == "none" else metadata.get(_PHYSICAL)
    if not isinstance(physical, str):
        name = field["name"]
        raise ValueError(f"column {name!r} has no physical name, which its mapping needs")  # noqa: TRY004 - the file's fault
    found = metadata.get(_ID) if mode != "none" else None
    return _Column(
        field["name"],
        physical,
        None if found is None else int(found),
        bool(field.get("nullable", True)),
        tuple(_column(member, mode) for member in _members(field["name"], field["type"])),
    )


def _members(name: str, kind: object) -> Iterator[Mapping[str, Any]]:
    """List the fields of the structs right inside a type, through lists and maps."""
    if isinstance(kind, str):
        if kind in _FEATURES_OF_TYPES.values():
            raise ValueError(f"column {name!r} is of type {kind}, which is not supported")
    elif isinstance(kind, dict):
        if kind.get("type") == "struct":
            yield from kind["fields"]
        for inner in ("elementType", "keyType", "valueType"):
            if inner in kind:
                yield from _members(name, kind[inner])


def _check_file(path: Path, columns: Sequence[_Column], mode: str) -> None:
    """Check that a data file has the columns under the names that the scan expects.

    An older file may lack a column that was added later. A file that has none of the table's
    columns, or one of them under another name, does not match the schema.
    """
    try:
        schema = pa_parquet.read_schema(path)
    except (OSError, pa.ArrowException) as error:
        raise ValueError(f"data file {path.name}: {error}") from error
    if columns and not {column.physical for column in columns} & set(schema.names):
        expected = ", ".join(repr(column.physical) for column in columns[:5])
        raise ValueError(
            f"data file {path.name} has none of the table's columns: it has "
            f"{', '.join(map(repr, schema.names[:5]))}, and the table says {expected}"
        )
    _check_level(path.name, list(schema), columns, mode)


def _check_level(file: str, fields: Sequence[Any], columns: Sequence[_Column], mode: str) -> None:
    by_name = {field.name: field for field in fields}
    by_id = {field.metadata[_FILE_ID]: field for field in fields if _FILE_ID in _metadata(field)}
    expected = {column.physical for column in columns}
    others = {field.name.casefold(): field.name for field in fields if field.name not in expected}
    for column in columns:
        field = by_name.get(column.physical)
        of_id = None if mode != "id" else by_id.get(str(column.id).encode("ascii"))
        if of_id is not None and of_id is not field:
            raise ValueError(
                f"data file {file} has column {column.name!r} (id {column.id}) as "
                f"{of_id.name!r} instead of {column.physical!r}; mapping by id alone is not "
                f"supported. Rewrite the table's files, or map by name"
            )
        if field is not None:
            wrong = mode == "id" and _metadata(field).get(_FILE_ID) not in {
                None,
                str(column.id).encode("ascii"),
            }
            if wrong:
                raise ValueError(
                    f"data file {file}: {column.physical!r} has the id of another column than "
                    f"{column.name!r}"
                )
            if column.members:
                _check_level(file, list(_inner(field.type)), column.members, mode)
        elif other := others.get(column.physical.casefold()) or others.get(column.name.casefold()):
            raise ValueError(
                f"data file {file} has column {column.name!r} as {other!r} instead of "
                f"{column.physical!r}"
            )
        elif not column.nullable:
            raise ValueError(f"data file {file} lacks column {column.name!r}, which has no nulls")


def _metadata(field: Any) -> Mapping[bytes, bytes]:
    return field.metadata or {}


def _inner(kind: Any) -> Iterator[Any]:
    """List the Arrow fields of the structs right inside a type, as `_members` does."""
    if pa.types.is_struct(kind):
        yield from kind
    elif pa.types.is_map(kind):
        yield from _inner(kind.key_type)
        yield from _inner(kind.item_type)
    elif pa.types.is_list(kind) or pa.types.is_large_list(kind):
        yield from _inner(kind.value_type)


def _local(table: Path, written: str) -> Path:
    """Return the path of a data file from the log's entry: an encoded relative path, or a URI."""
    parts = urlsplit(written)
    if parts.scheme not in {"", "file"}:
        raise ValueError(f"a data file is not on this machine: {written}")
    return table / unquote(written if not parts.scheme else parts.path)
