"""Rows as another writer might have spelled them, with what they must become.

Members of ours change their order, texts their escapes, white space appears, and members that
nobody knows are strewn in. What must come back is put together beside it, from the same pieces.
"""

import json
import random
import zlib

import msgspec

from lakehouse.core.json_text import raw_members
from lakehouse.core.limits import CRC_BYTES
from lakehouse.core.row_codec import _ROW_SHAPE

Shape = dict[str, "Shape"]

RAW = {"artifact", "got", "expected", "inline_schema", "temperature", "nearest"}
UNKNOWN = ['{"a":[1.10,{}]}', '"\\u0041\\/"', "null", "-0", "1E400", "[]", '{"crc":"0"}']


class Respelling:
    """One source of chance; every row draws from it."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)

    def row(self, line: bytes) -> tuple[bytes, bytes]:
        """Give the row as it came and as it must go, from its canonical line."""
        came, goes = self._object(line[:-CRC_BYTES] + b"}", _ROW_SHAPE)
        sealed = _sealed(goes)
        return (came if self.chance.random() < 0.5 else _sealed(came)), sealed

    def _object(self, data: bytes, shape: Shape) -> tuple[bytes, bytes]:
        """Respell one object of ours: its known members in any order, unknown ones among them."""
        known = []
        goes = []
        for name, (_, value) in raw_members(data).items():
            theirs, ours = self._value(name, value, shape)
            known.append(self._text(name) + b":" + self._space() + theirs)
            goes.append(b'"%b":%b' % (name.encode(), ours))
        self.chance.shuffle(known)
        unknown = [
            b'"x%d\\u0041":%b' % (number, self.chance.choice(UNKNOWN).encode())
            for number in range(self.chance.choice([0, 0, 0, 1, 2]))
        ]
        members = known[:]
        for place, member in zip(
            sorted(self.chance.randrange(len(known) + 1) for _ in unknown), unknown, strict=True
        ):
            members.insert(place + unknown.index(member), member)
        return self._joined(members), b"{%b}" % b",".join(goes + unknown)

    def _value(self, name: str, value: bytes, shape: Shape) -> tuple[bytes, bytes]:
        if name in RAW or value == b"null":
            return value, value
        if name in {"metadata", "tables"}:
            return self._map(value, ordered=name == "metadata"), value
        if value.startswith(b'"'):
            return self._text(msgspec.json.decode(value, type=str)), value
        if value.startswith(b"{"):
            return self._object(value, shape[name])
        if value.startswith(b"["):
            entries = [bytes(item) for item in msgspec.json.decode(value, type=list[msgspec.Raw])]
            pairs = [self._value(name, entry, shape) for entry in entries]
            came = b",".join(theirs + self._space() for theirs, _ in pairs)
            return b"[%b]" % came, b"[%b]" % b",".join(ours for _, ours in pairs)
        return value, value

    def _map(self, value: bytes, *, ordered: bool) -> bytes:
        members = [
            self._text(name) + b":" + self._text(text)
            for name, text in msgspec.json.decode(value, type=dict[str, str]).items()
        ]
        if not ordered:
            self.chance.shuffle(members)
        return self._joined(members)

    def _joined(self, members: list[bytes]) -> bytes:
        return b"{" + b",".join(self._space() + member for member in members) + b"}"

    def _space(self) -> bytes:
        return self.chance.choice([b"", b"", b"", b" ", b"\t "])

    def _text(self, text: str) -> bytes:
        return b'"%b"' % b"".join(map(self._character, text))

    def _character(self, character: str) -> bytes:
        escape = json.dumps(character)[1:-1]
        if character < " " or character in '"\\':
            number = f"\\u{ord(character):04x}"
            return self.chance.choice([escape, number, number.upper().replace("U", "u")]).encode()
        if self.chance.random() < 0.8:
            return character.encode()
        if character == "/":
            return b"\\/"
        if character.isascii():
            escape = f"\\u{ord(character):04x}"
        return self.chance.choice([escape, escape.upper().replace("\\U", "\\u")]).encode()


def _sealed(body: bytes) -> bytes:
    head = body[:-1]
    return b'%b,"crc":"%08x"}' % (head, zlib.crc32(head))
