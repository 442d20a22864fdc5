"""The bytes behind a place in JSON text, so that findings quote `1.10` and not `1.1`.

Only rejected answers pay for it: an object or array is split when a place inside it is asked for.
"""

from typing import Final

import msgspec

Place = tuple[str | int, ...]
"""Where something stands in a JSON value: member names and array positions, outermost first."""

ROOT: Final[Place] = ()

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])


class RawTree:
    """Raw bytes by place in one JSON text without white space between its tokens.

    Cost: each object and array on the way is split once, whatever the number of questions.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._objects: dict[Place, dict[str, msgspec.Raw]] = {}
        self._arrays: dict[Place, list[msgspec.Raw]] = {}

    def at(self, place: Place) -> bytes:
        """Give the bytes of the value at a place that exists, exactly as they stand."""
        if not place:
            return self._data
        parent, last = place[:-1], place[-1]
        if isinstance(last, str):
            members = self._objects.get(parent)
            if members is None:
                members = self._objects[parent] = _OBJECT.decode(self.at(parent))
            return bytes(members[last])
        items = self._arrays.get(parent)
        if items is None:
            items = self._arrays[parent] = _ARRAY.decode(self.at(parent))
        return bytes(items[last])
