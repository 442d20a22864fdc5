"""The raw bytes at a place in JSON text, so that findings quote `1.10` and not `1.1`.

Only rejected answers pay for it: an object or array is split when a place inside it is asked for.
"""

from typing import Final

import msgspec

from lakehouse.core.json_text import raw_members

Place = tuple[str | int, ...]
"""Where something stands in a JSON value: member names and array positions, outermost first."""

ROOT: Final[Place] = ()

_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class RawTree:
    """Raw bytes by place in one JSON text without white space between its tokens.

    Cost: each object and array on the way is split once.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._objects: dict[Place, dict[str, tuple[bytes, bytes]]] = {}
        self._arrays: dict[Place, list[msgspec.Raw]] = {}

    def at(self, place: Place) -> bytes:
        """Return the exact bytes of the value at an existing place."""
        if not place:
            return self._data
        parent, last = place[:-1], place[-1]
        if isinstance(last, str):
            return self._members(parent)[last][1]
        return bytes(self._items(parent)[last])

    def name(self, place: Place, name: str) -> bytes:
        """Return the bytes of a member's name in the object at a place, with its own escapes."""
        return self._members(place)[name][0]

    def names(self, place: Place) -> list[tuple[str, bytes]]:
        """Return the names of the object at a place in order, decoded and raw."""
        return [(name, token) for name, (token, _) in self._members(place).items()]

    def length(self, place: Place) -> int:
        """Count the items of the array at a place."""
        return len(self._items(place))

    def _items(self, place: Place) -> list[msgspec.Raw]:
        items = self._arrays.get(place)
        if items is None:
            items = self._arrays[place] = _ARRAY.decode(self.at(place))
        return items

    def _members(self, place: Place) -> dict[str, tuple[bytes, bytes]]:
        members = self._objects.get(place)
        if members is None:
            members = self._objects[place] = raw_members(self.at(place))
        return members
