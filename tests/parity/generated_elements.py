"""Random bodies of `/v1/validate` whose rules reach into arrays, objects and what is neither."""

import json
import random
from typing import Any, Final

_CELLS: Final = ["a", "b", "é"]
_PATHS: Final = ["/a", "/*", "/a/*", "/a/*/a", "/a/*/b", "/*/a", "/*/b", "/a/*/*", "/a/*/*/b"]
_PATHS_MORE: Final = ["/*/*", "/a/0/b", "/b/*", "/b", "/b/*/a", "/a/*/a/*", "/a/*/b/*", ""]
_ALL: Final = [*_PATHS, *_PATHS_MORE]


class Elements:
    """Draws bodies; the same ones for the same seed."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def body(self) -> bytes:
        choice = self._chance.choice
        one, other = self._value(2), self._value(2)
        rows = [
            {"c": choice(_CELLS), "d": choice(_CELLS)} for _ in range(self._chance.randrange(9))
        ]
        rule: dict[str, Any] = {"path": choice(_ALL), "match": choice(["exact", "quote"])}
        if rule["match"] == "exact":
            rule["column"] = "t.c"
            pairs = self._chance.sample(_ALL, self._chance.randrange(3))
            rule["with"] = {at: choice(["t.d", "t.c"]) for at in pairs}
        return json.dumps(
            {
                "schema": {},
                "output": json.dumps(choice([{"a": one, "b": other}, [one, other]])),
                "source": "a ab",
                "grounding": [rule],
                "tables": {"t": rows},
            }
        ).encode()

    def _value(self, depth: int) -> Any:
        kind = self._chance.random() * (depth > 0)
        if kind < 0.2:
            return self._chance.choice([*_CELLS, *_CELLS, None, "x"])
        if kind < 0.6:
            return [self._value(depth - 1) for _ in range(self._chance.randrange(4))]
        names = ["a", "b", *self._chance.sample(["*", "0"], self._chance.randrange(2))]
        return {name: self._value(depth - 1) for name in names}
