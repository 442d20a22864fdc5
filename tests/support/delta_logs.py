"""Delta tables written by hand, as the protocol says: what no library here writes."""

import json
import struct
import uuid
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_Z85 = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ.-:+=^!/*?&<>()[]{}@%$#"


def field(
    name: str,
    kind: object = "string",
    *,
    physical: str | None = None,
    column_id: int | None = None,
    nullable: bool = True,
) -> dict[str, Any]:
    """One field of a table's schema."""
    metadata: dict[str, object] = {}
    if physical is not None:
        metadata["delta.columnMapping.physicalName"] = physical
    if column_id is not None:
        metadata["delta.columnMapping.id"] = column_id
    return {"name": name, "type": kind, "nullable": nullable, "metadata": metadata}


def protocol(*features: str, reader: int = 3, writer: int = 7) -> dict[str, Any]:
    """The protocol action; without features of the first versions."""
    if not features:
        return {"protocol": {"minReaderVersion": reader, "minWriterVersion": writer}}
    return {
        "protocol": {
            "minReaderVersion": 3,
            "minWriterVersion": 7,
            "readerFeatures": list(features),
            "writerFeatures": list(features),
        }
    }


PLAIN = protocol(reader=1, writer=2)
MAPPED = protocol(reader=2, writer=5)


def metadata(
    fields: Sequence[Mapping[str, Any]],
    *,
    partitions: Sequence[str] = (),
    **configuration: str,
) -> dict[str, Any]:
    """The metadata action; `configuration` without its `delta.`, dots as underscores."""
    return {
        "metaData": {
            "id": str(uuid.uuid4()),
            "format": {"provider": "parquet", "options": {}},
            "schemaString": json.dumps({"type": "struct", "fields": list(fields)}),
            "partitionColumns": list(partitions),
            "configuration": {
                "delta." + name.replace("_", "."): value for name, value in configuration.items()
            },
            "createdTime": 0,
        }
    }


def data_file(
    table: Path,
    columns: Mapping[str, Any],
    *,
    name: str = "part-0.parquet",
    ids: Mapping[str, int] | None = None,
    partition: Mapping[str, str | None] | None = None,
    deleted: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write a data file and give its add action."""
    made = pa.table(dict(columns))
    if ids is not None:
        fields = [
            one.with_metadata({"PARQUET:field_id": str(ids[one.name])}) for one in made.schema
        ]
        made = made.cast(pa.schema(fields))
    table.mkdir(parents=True, exist_ok=True)
    pq.write_table(made, table / name)
    add: dict[str, Any] = {
        "path": name,
        "partitionValues": dict(partition or {}),
        "size": (table / name).stat().st_size,
        "modificationTime": 0,
        "dataChange": True,
    }
    if deleted is not None:
        add["deletionVector"] = dict(deleted)
    return {"add": add}


def commit(table: Path, actions: Sequence[Mapping[str, Any]], version: int = 0) -> Path:
    """Write one commit of the log."""
    log = table / "_delta_log"
    log.mkdir(parents=True, exist_ok=True)
    text = "".join(json.dumps(action) + "\n" for action in actions)
    (log / f"{version:020}.json").write_text(text)
    return table


def inline_vector(rows: Sequence[int]) -> dict[str, Any]:
    """A deletion vector that stands in the log."""
    data = _bitmap(rows)
    padded = data + b"\0" * (-len(data) % 4)
    return {
        "storageType": "i",
        "pathOrInlineDv": _z85(padded),
        "sizeInBytes": len(data),
        "cardinality": len(rows),
    }


def stored_vector(table: Path, rows: Sequence[int], *, folder: str = "") -> dict[str, Any]:
    """A deletion vector in a file of its own."""
    name, data = uuid.uuid4(), _bitmap(rows)
    place = table / folder
    place.mkdir(parents=True, exist_ok=True)
    (place / f"deletion_vector_{name}.bin").write_bytes(
        b"\x01" + struct.pack(">I", len(data)) + data + struct.pack(">I", zlib.crc32(data))
    )
    return {
        "storageType": "u",
        "pathOrInlineDv": folder + _z85(name.bytes),
        "offset": 1,
        "sizeInBytes": len(data),
        "cardinality": len(rows),
    }


def _z85(data: bytes) -> str:
    text = ""
    for start in range(0, len(data), 4):
        value, group = int.from_bytes(data[start : start + 4], "big"), ""
        for _ in range(5):
            value, digit = divmod(value, 85)
            group = _Z85[digit] + group
        text += group
    return text


def _bitmap(rows: Sequence[int]) -> bytes:
    """A roaring bitmap of 64 bits with one array container, in the portable form."""
    head = struct.pack("<II", 12346, 1) + struct.pack("<HH", 0, len(rows) - 1)
    body = b"".join(struct.pack("<H", row) for row in sorted(rows))
    inner = head + struct.pack("<I", len(head) + 4) + body
    return struct.pack("<IQI", 1681511377, 1, 0) + inner
