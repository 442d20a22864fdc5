"""An artifact as lines of JSON, with each finding beside the member that it names.

Numbers and texts keep the bytes that the model wrote. Long artifacts are folded, but what a finding
names is always shown.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

import msgspec

from lakehouse.core.json_text import compact, pointer, pointer_parts, raw_members

LINES_MAX: Final = 1_000  # after so many, only what a finding names is shown
_CHILDREN_MAX: Final = 100  # of one object or array, shown beside those that findings name
_VALUE_CHARS_MAX: Final = 4_096  # of one value or name
_SORTED_BYTES_MAX: Final = 256 << 10  # of an artifact, for its stable text: 0.2 s
_PATH_CHARS_MAX: Final = 1_024  # a model can invent names of 900 KB, with many members inside

Whereabouts = Literal["here", "absent"]
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_BRACKETS: Final = {ord("{"): ("{", "}"), ord("["): ("[", "]")}


class PlacedFinding(msgspec.Struct, frozen=True):
    """A finding at a line. `index` counts the attempt's findings from 0.

    `whereabouts`: `here`, the line is what it names; `absent`, what it names is not in the
    artifact, and the line is its nearest parent, such as the object that lacks a required member.
    """

    index: int
    whereabouts: Whereabouts


class TreeLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line. `path` is the JSON Pointer of the value that it begins, unless it is very long.

    `name` is the member's name as JSON, `text` the value, or the bracket that begins or ends it.
    `left_out` counts the members or elements that this line stands for. `cut_chars` counts the
    characters of `name` and `text` that are not shown.
    """

    depth: int
    path: str | None
    name: str | None = None
    text: str = ""
    comma: bool = False
    left_out: int = 0
    cut_chars: int = 0
    findings: tuple[PlacedFinding, ...] = ()


class _Wanted:
    """The findings of one place, and of the places in it."""

    __slots__ = ("here", "inner")

    def __init__(self) -> None:
        self.here: list[int] = []
        self.inner: dict[str, _Wanted] = {}

    def all(self) -> Iterator[int]:
        pending = [self]
        while pending:
            one = pending.pop()
            yield from one.here
            pending += one.inner.values()


def tree_lines(artifact: bytes, paths: Sequence[str]) -> tuple[TreeLine, ...]:
    """Return the lines of an artifact. `paths` are the JSON Pointers of its findings, in order.

    Every finding is at exactly one line. Cost: about 3 µs a line, and 1 ms per MB for each level.
    """
    root = _Wanted()
    for index, path in enumerate(paths):
        place = root
        try:
            parts = pointer_parts(path)
        except ValueError:
            parts = [path]  # of no place that can exist
        for part in parts:
            place = place.inner.setdefault(part, _Wanted())
        place.here.append(index)
    lines: list[TreeLine] = []
    _Writer(lines).value(compact(artifact.decode("utf-8")), root, _Place(0, "", None, comma=False))
    return tuple(lines)


def stable_text(artifact: bytes) -> str:
    """Return an artifact as indented text, its members sorted by name, its values unchanged.

    Two artifacts that differ only in order and white space have the same text; over 256 KiB the
    order stays as it was written.
    """
    if len(artifact) > _SORTED_BYTES_MAX:
        return msgspec.json.format(artifact, indent=2).decode("utf-8")
    return "".join(_stable(compact(artifact.decode("utf-8")), "\n"))


class _Place(msgspec.Struct, frozen=True):
    depth: int
    path: str | None
    name: str | None
    comma: bool

    def inside(self, part: str, name: str | None, *, comma: bool) -> "_Place":
        path = None if self.path is None else self.path + pointer(part)
        known = path is not None and len(path) <= _PATH_CHARS_MAX
        return _Place(self.depth + 1, path if known else None, name, comma)


class _Writer:
    def __init__(self, lines: list[TreeLine]) -> None:
        self._lines = lines

    def value(self, raw: bytes, wanted: _Wanted | None, place: _Place) -> None:
        brackets = _BRACKETS.get(raw[0])
        children = _children(raw) if brackets else {}
        findings = _placed(wanted, children)
        if brackets is None or not children:
            self._add(place, raw.decode("utf-8"), findings, comma=place.comma)
            return
        begin, end = brackets
        self._add(place, begin, findings, comma=False)
        self._children(children, wanted, place)
        self._lines.append(TreeLine(depth=place.depth, path=None, text=end, comma=place.comma))

    def _children(
        self, children: Mapping[str, "_Child"], wanted: _Wanted | None, at: _Place
    ) -> None:
        inner = wanted.inner if wanted is not None else {}
        left_out = 0
        last = len(children) - 1
        for n, (part, (name, raw)) in enumerate(children.items()):
            shown = n < _CHILDREN_MAX and len(self._lines) < LINES_MAX
            if not shown and part not in inner:
                left_out += 1
                continue
            self._gap(left_out, at)
            left_out = 0
            self.value(bytes(raw), inner.get(part), at.inside(part, name, comma=n < last))
        self._gap(left_out, at)

    def _gap(self, left_out: int, at: _Place) -> None:
        if left_out:
            self._lines.append(TreeLine(depth=at.depth + 1, path=None, left_out=left_out))

    def _add(
        self, place: _Place, text: str, findings: tuple[PlacedFinding, ...], *, comma: bool
    ) -> None:
        name = place.name
        cut = max(len(text) - _VALUE_CHARS_MAX, 0) + max(len(name or "") - _VALUE_CHARS_MAX, 0)
        self._lines.append(
            TreeLine(
                depth=place.depth,
                path=place.path,
                name=None if name is None else name[:_VALUE_CHARS_MAX],
                text=text[:_VALUE_CHARS_MAX],
                comma=comma,
                cut_chars=cut,
                findings=findings,
            )
        )


_Child = tuple[str | None, bytes | msgspec.Raw]


def _children(raw: bytes) -> dict[str, _Child]:
    """Split an object or array: part of a pointer → the name as JSON, and the value."""
    if raw[:1] == b"{":
        members = raw_members(raw)
        return {part: (name.decode("utf-8"), value) for part, (name, value) in members.items()}
    return {str(n): (None, item) for n, item in enumerate(_LIST.decode(raw))}


def _placed(wanted: _Wanted | None, children: Mapping[str, object]) -> tuple[PlacedFinding, ...]:
    if wanted is None:
        return ()
    here = [PlacedFinding(index, "here") for index in wanted.here]
    absent = [
        PlacedFinding(index, "absent")
        for part, inner in wanted.inner.items()
        if part not in children
        for index in inner.all()
    ]
    return (*here, *sorted(absent, key=lambda one: one.index))


def _stable(raw: bytes, line_break: str) -> Iterator[str]:
    brackets = _BRACKETS.get(raw[0])
    children = _children(raw) if brackets else {}
    if brackets is None or not children:
        yield raw.decode("utf-8")
        return
    begin, end = brackets
    ordered = children.values() if begin == "[" else (children[part] for part in sorted(children))
    inner = line_break + "  "
    yield begin
    for n, (name, value) in enumerate(ordered):
        yield ("," if n else "") + inner + ("" if name is None else f"{name}: ")
        yield from _stable(bytes(value), inner)
    yield line_break + end
