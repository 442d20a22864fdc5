"""Cuts the bytes of single values out of an artifact: what a finding shows of them."""

import msgspec

from lakehouse.core.finding import raw_evidence
from lakehouse.core.json_text import compact, pointer, pointer_parts


class Evidence(msgspec.Struct, frozen=True):
    """The bytes of an artifact's values; each array and object on the way is read once.

    So is a value that several findings are about: it may have a megabyte.
    """

    raw: bytes
    told: dict[str, msgspec.Raw | msgspec.UnsetType] = {}
    inner: dict[str, list[msgspec.Raw] | dict[str, msgspec.Raw]] = {}

    def at(self, path: str) -> msgspec.Raw | msgspec.UnsetType:
        """Return the bytes of the value at a path; left out if too long."""
        if path not in self.told:
            self.told[path] = raw_evidence(compact(self._cut(path).decode("utf-8")))
        return self.told[path]

    def _cut(self, path: str) -> bytes:
        piece, done = msgspec.Raw(self.raw), ""
        for part in pointer_parts(path):
            inner = self.inner.get(done)
            if inner is None:
                inner = self.inner[done] = _inside(bytes(piece))
            piece = inner[int(part)] if isinstance(inner, list) else inner[part]
            done += pointer(part)
        return bytes(piece)


def _inside(piece: bytes) -> list[msgspec.Raw] | dict[str, msgspec.Raw]:
    if piece.lstrip().startswith(b"["):
        return msgspec.json.decode(piece, type=list[msgspec.Raw])
    return msgspec.json.decode(piece, type=dict[str, msgspec.Raw])
