"""Whether two artifacts say the same: as JSON values, whole and field by field."""

from collections.abc import Iterator

from lakehouse.core.json_text import JsonError, JsonValue, equal_values, parse_bytes, pointer


class Artifact:
    """A decoded artifact. Text that is no strict JSON (another writer's, say) has no fields."""

    def __init__(self, raw: bytes) -> None:
        self.value: JsonValue = None
        self.parsed = True
        try:
            self.value = parse_bytes(raw)
        except JsonError:
            self.parsed = False

    def fields(self) -> dict[str, JsonValue]:
        """Give the value of each field by its JSON Pointer.

        A field is a member that is no object, at any depth; an array is one field, and a whole
        that is no object is the field `""`. An empty object has no fields.
        """
        return dict(_fields(self.value, ())) if self.parsed else {}


def equal_artifacts(left: bytes, right: bytes) -> bool:
    """Tell whether two artifacts hold the same value: `1.0` is `1`, member order is nothing.

    What is no strict JSON equals its own bytes only.
    """
    if left == right:
        return True
    ours, theirs = Artifact(left), Artifact(right)
    return ours.parsed and theirs.parsed and equal_values(ours.value, theirs.value)


def equal_fields(left: Artifact, right: Artifact) -> dict[str, bool]:
    """Tell for each field of either artifact whether both have it and agree."""
    ours, theirs = left.fields(), right.fields()
    return {
        path: path in ours and path in theirs and equal_values(ours[path], theirs[path])
        for path in sorted(ours.keys() | theirs.keys())
    }


def _fields(value: JsonValue, steps: tuple[str, ...]) -> Iterator[tuple[str, JsonValue]]:
    if isinstance(value, dict):
        for name, member in value.items():
            yield from _fields(member, (*steps, name))
    else:
        yield pointer(*steps), value
