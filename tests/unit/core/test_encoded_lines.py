"""A line of the log is its record as msgspec writes it, and its crc."""

import msgspec
import pytest
from hypothesis import given

from lakehouse.core.limits import CRC_BYTES
from lakehouse.core.row import Row
from lakehouse.core.row_codec import add_crc, encode_line
from support.generated_rows import rows
from support.rows import make_row, make_started


@pytest.mark.parametrize("size", [2_046, 2_047, 2_048, 2_049, 5_000, 100_000])
@pytest.mark.parametrize("character", ["x", "é", "\x01"])
def test_a_line_of_any_length_is_its_record_with_a_crc(size: int, character: str) -> None:
    """Above and below the room that is made for a line beforehand."""
    line = encode_line(make_row(prompt="", row_id="r", session_id="s", trace_id="t"))
    left = size - len(line) + CRC_BYTES - len("}")  # what is encoded at first has no crc
    wide = len(msgspec.json.encode(character)) - len('""')
    prompt = character * (left // wide) + "." * (left % wide)
    row = make_row(prompt=prompt, row_id="r", session_id="s", trace_id="t")
    encoded = msgspec.json.encode(row)
    assert len(encoded) == size
    for record in (row, make_started(row)):
        assert encode_line(record) == add_crc(msgspec.json.encode(record))
        with pytest.raises(UnicodeEncodeError):
            encode_line(msgspec.structs.replace(record, prompt=prompt + "\ud800"))


@given(rows)
def test_a_line_is_its_record_with_a_crc(row: Row) -> None:
    for record in (row, make_started(row)):
        assert encode_line(record) == add_crc(msgspec.json.encode(record))
