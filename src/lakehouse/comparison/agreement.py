"""Whether two artifacts are equal as JSON values: as a whole, and field by field."""

from collections.abc import Iterator

from lakehouse.core.json_text import JsonError, JsonValue, equal_values, parse_bytes, pointer


class Artifact:
    """A decoded artifact. Text that is not strict JSON has no fields."""

    def __init__(self, raw: bytes) -> None:
        self.value: JsonValue = None
        self.parsed = True
        try:
            self.value = parse_bytes(raw)
        except JsonError:
            self.parsed = False

    def fields(self) -> dict[str, JsonValue]:
        """Return the value of each field by its JSON Pointer.

        A field is a member, at any depth, that is not itself an object. An array is one field. An
        artifact that is not an object is the single field `""`; an empty object has no fields.
        """
        return dict(_fields(self.value, ())) if self.parsed else {}


def equal_artifacts(left: bytes, right: bytes) -> bool:
    """Return whether two artifacts have the same value: `1.0` equals `1`, member order is ignored.

    Text that is not strict JSON equals only the same bytes.
    """
    if left == right:
        return True
    ours, theirs = Artifact(left), Artifact(right)
    return ours.parsed and theirs.parsed and equal_values(ours.value, theirs.value)


def equal_fields(left: Artifact, right: Artifact) -> dict[str, bool]:
    """Tell for each field of either artifact whether both have it with equal values."""
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
