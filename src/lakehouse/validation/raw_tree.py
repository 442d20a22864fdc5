"""The raw bytes at a place in JSON text, so that findings quote `1.10` and not `1.1`.

Only rejected answers pay for it: an object or array is split when a place inside it is asked for.
"""

from typing import Final

import msgspec

from lakehouse.core.json_text import raw_members

Place = tuple[str | int, ...]
"""Where something stands in a JSON value: member names and array positions, outermost first."""

ROOT: Final[Place] = ()

_ARRAY: Final = msgspec.json.Decoder(list[msgspec.Raw])
_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])


class RawTree:
    """Raw bytes by place in one JSON text without white space between its tokens.

    Cost: each object and array on the way is split once.
    """

    __slots__ = ("_arrays", "_data", "_names", "_objects")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._objects: dict[Place, dict[str, msgspec.Raw]] = {}
        self._names: dict[Place, dict[str, bytes]] = {}
        self._arrays: dict[Place, list[msgspec.Raw]] = {}

    def at(self, place: Place) -> bytes:
        """Return the exact bytes of the value at an existing place."""
        if not place:
            return self._data
        parent, last = place[:-1], place[-1]
        if isinstance(last, str):
            members = self._objects.get(parent)
            if members is None:
                members = self._objects[parent] = _OBJECT.decode(self.at(parent))
            return bytes(members[last])
        return bytes(self._items(parent)[last])

    def name(self, place: Place, name: str) -> bytes:
        """Return the bytes of a member's name in the object at a place, with its own escapes."""
        return self._tokens(place)[name]

    def names(self, place: Place) -> list[tuple[str, bytes]]:
        """Return the names of the object at a place in order, decoded and raw."""
        return list(self._tokens(place).items())

    def length(self, place: Place) -> int:
        """Count the items of the array at a place."""
        return len(self._items(place))

    def _items(self, place: Place) -> list[msgspec.Raw]:
        items = self._arrays.get(place)
        if items is None:
            items = self._arrays[place] = _ARRAY.decode(self.at(place))
        return items

    def _tokens(self, place: Place) -> dict[str, bytes]:
        tokens = self._names.get(place)
        if tokens is None:
            members = raw_members(self.at(place))
            tokens = self._names[place] = {name: token for name, (token, _) in members.items()}
        return tokens
