"""Narrows a kind's schema to the values that a table offers for one text.

A model that decodes under the narrowed schema cannot write any other value. The kind's own schema
still judges the answer. How places are rewritten, and what holds of the result: `narrowed_places`.

Rows of several places stand as an `anyOf` at their nearest common parent, so that only real rows
can be written: in each element, where all places are members of one (`/events/*/airport`). Where
they cannot (a place in an array of its own; a parent that may be no union), each place gets the
values of its own column. A null at the main place leaves the others free, since the rule
then says nothing; a main value that is left out does not.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from lakehouse.core.chat import SchemaLimits
from lakehouse.core.json_text import (
    ENCODER,
    JsonScalar,
    JsonValue,
    parse_bytes,
    pointer_parts,
)
from lakehouse.core.kind import EACH, FormatMode
from lakehouse.core.matches import SCALARS
from lakehouse.core.schema_weight import Definitions, SchemaWeight
from lakehouse.core.session import Narrowed
from lakehouse.validation.closed_schema import closed
from lakehouse.validation.flat_schema import FlatSchema
from lakehouse.validation.formats import AssertedFormats
from lakehouse.validation.narrowed_places import (
    Cursor,
    Group,
    Mark,
    NarrowedPlaces,
    PlaceTally,
    Row,
)
from lakehouse.validation.schema_choices import ViewTooLarge
from lakehouse.validation.schema_document import SchemaDocument, named, strings
from lakehouse.validation.schema_engine import SchemaEngine
from lakehouse.validation.schema_view import SchemaView

LeftReason = Literal["no_place", "no_valid_value", "only_guesses", "not_expressible", "over_limits"]


class Candidates(msgspec.Struct, frozen=True):
    """The values that may stand at the places of one grounding rule; without any, only null.

    `places` are JSON Pointers, each with its column's name for the row, the rule's main one first.
    Each of the `rows` has one value for each place. `open_end` also lets any other value stand
    there. The last `guesses` of the rows never stand there alone: one of the others, null or an
    open end is beside them.
    """

    places: tuple[tuple[str, str], ...]
    rows: tuple[Row, ...]
    open_end: bool = False
    guesses: int = 0


class NarrowedSchema(msgspec.Struct, frozen=True):
    """The schema as raw JSON, what was narrowed in it, and which places were left and why."""

    schema: bytes
    narrowed: tuple[Narrowed, ...]
    left: tuple[tuple[str, LeftReason], ...]


class _Part(msgspec.Struct, frozen=True):
    """The marks of one rule, with the values and tally of each place."""

    marks: tuple[Mark, ...]
    places: tuple[tuple[str, str, list[JsonScalar], PlaceTally], ...]


class _Spot(msgspec.Struct, frozen=True):
    """A place of values as the schema has it, worked out once.

    `holds` tells which values may stand there, and `item_holds`, where it may be an array, which
    elements. `scalar`: it may be something else than an array, too. `null`: it is no array, and
    null may stand there. `free`: its value may be null or left out.
    """

    parts: tuple[str, ...]
    holds: Callable[[JsonValue], bool]
    item_holds: Callable[[JsonValue], bool] | None
    listed: bool
    scalar: bool
    null: bool
    free: bool


class SchemaNarrowing:
    """Narrows one schema again and again. Keep one for each schema: it is costly to make.

    Cost: about 0.4 ms for a schema of 300 bytes; then `narrow` about 13 µs and 1 µs a value, or
    10 µs a row of several places, at members of the root (`flat_schema`), elsewhere up to three
    times that.

    Raises:
        SchemaError: On construction, for a schema that `compile_schema` rejects.
    """

    def __init__(self, raw: bytes, formats: FormatMode = "off") -> None:
        """Read a schema; `formats` as for its checks."""
        asserted = AssertedFormats.of(formats)
        root = parse_bytes(raw)
        assert isinstance(root, bool | dict), "a kind's schema was checked"
        self._raw = raw
        self._root = closed(SchemaDocument(root, asserted))
        self._document = SchemaDocument(self._root, asserted)
        # Values of a table can be decimals.
        self._engine = SchemaEngine(self._document, exact=True)
        self._definitions = Definitions(named(self._root.get("$defs")))
        self._flat = FlatSchema.of(self._root, self._document, self._engine, self._definitions)
        self._spots: dict[str, _Spot | None] = {}

    def narrow(
        self, candidates: Sequence[Candidates], limits: SchemaLimits | None = None
    ) -> NarrowedSchema:
        """Allow only the candidates at their places.

        Values that the schema forbids are dropped; a place without any stays as it is. Where all
        together exceed the limits, the rules with the fewest candidates are narrowed first, and
        those that do not fit beside them not at all. Where nothing is narrowed, `schema` is the
        schema's own bytes.
        """
        limits = limits or SchemaLimits()
        left: dict[str, LeftReason] = {}
        parts: list[_Part] = []
        for one in candidates:
            part = self._part(one, left, root_union=limits.root_union)
            if part.marks:
                parts.append(part)
        parts.sort(key=lambda part: max(len(values) for _, _, values, _ in part.places))
        chosen, raw = parts, self._written(parts, limits)
        if raw is None:
            chosen, raw = [], self._raw
            for part in parts:
                larger = self._written([*chosen, part], limits)
                if larger is None:
                    left.update(dict.fromkeys((at for at, _, _, _ in part.places), "over_limits"))
                else:
                    chosen, raw = [*chosen, part], larger
        records = []
        for part in chosen:
            for path, column, values, tally in part.places:
                if tally.hits:
                    records.append(Narrowed.of(path, column, "decode", values))
                else:
                    left.setdefault(path, "not_expressible")
        done = {one.path for one in records}
        return NarrowedSchema(
            raw if records else self._raw,
            tuple(sorted(records, key=lambda one: (one.path.encode(), one.column.encode()))),
            tuple((at, why) for at, why in left.items() if at not in done),
        )

    def takes_null(self, at: str) -> bool:
        """Return whether null may stand at a place that is no array."""
        spot = self._spot(at)
        return spot is not None and spot.null

    # --- One rule ---

    def _part(self, one: Candidates, left: dict[str, LeftReason], *, root_union: bool) -> _Part:
        spots = [self._spot(at) for at, _ in one.places]
        for (at, _), spot in zip(one.places, spots, strict=True):
            if spot is None:
                left[at] = "no_place"
        main = spots[0]
        if main is None:
            return _Part((), ())
        if not one.rows and main.null:
            (place, column), tally = one.places[0], PlaceTally()
            nothing = Cursor(main.parts, (None,), tally, null=False)
            return _Part((nothing,), ((place, column, [], tally),))
        rows = [row for given in one.rows if (row := _fitted(given, spots)) is not None]
        if not rows:
            left[one.places[0][0]] = "no_valid_value"
            return _Part((), ())
        if one.guesses and not (one.open_end or main.null):
            sure = one.rows[: len(one.rows) - one.guesses]
            if not any(_fitted(given, spots) for given in sure):
                left[one.places[0][0]] = "only_guesses"
                return _Part((), ())
        columns = [_distinct(row[at] for row in rows) for at in range(len(spots))]
        together = {at: spot for at, spot in enumerate(spots) if spot is not None and columns[at]}
        tallies = [PlaceTally() for _ in spots]
        marks: tuple[Mark, ...]
        paths = {at: spot.parts for at, spot in together.items()}
        if (
            len(together) > 1
            and stand_together([*paths.values()], root_union=root_union)
            and not any(spot.listed for spot in together.values())
        ):
            shared = _shared([*paths.values()])
            below = {at: parts[len(shared) :] for at, parts in paths.items()}
            choices = list(_choices(rows, below, tallies))
            if main.null:
                choices.append((Cursor(below[0], (None,), tallies[0], null=False),))
            marks = (Group(shared, tuple(choices), one.open_end),)
        else:
            if main.null:  # then the other places are free, and their own columns would bind them
                together = {0: main}
            marks = tuple(
                Cursor(
                    spot.parts,
                    tuple(columns[at]),
                    tallies[at],
                    listed=spot.listed,
                    scalar=spot.scalar,
                    open_end=one.open_end,
                )
                for at, spot in together.items()
            )
        return _Part(marks, tuple((*one.places[at], columns[at], tallies[at]) for at in together))

    def _spot(self, at: str) -> _Spot | None:
        """Look at a place; None: nothing is there."""
        if at not in self._spots:
            try:
                self._spots[at] = self._seen(at)
            except ViewTooLarge:
                self._spots[at] = None
        return self._spots[at]

    def _seen(self, at: str) -> _Spot | None:
        view, parent = SchemaView.of(self._document, self._engine), None
        parts = tuple(pointer_parts(at))
        for part in parts:
            view, parent = view.step(part), view
        if not view.possible:
            return None
        listed = "array" in view.types
        null = view.holds(None)
        return _Spot(
            parts,
            view.check(),
            view.items().check() if listed else None,
            listed,
            bool(view.types & SCALARS),
            null and not listed,
            null or (parent is not None and not _required(parent, parts[-1])),
        )

    # --- The whole ---

    def _written(self, parts: list[_Part], limits: SchemaLimits) -> bytes | None:
        """Write the schema narrowed by these rules; None if it exceeds the limits."""
        marks = [mark for part in parts for mark in part.marks]
        _forget(parts)
        written = None if self._flat is None else self._flat.write(marks)
        if written is None:
            _forget(parts)
            built = NarrowedPlaces(self._document, self._engine).rewrite(marks)
            if built is self._root:
                return self._raw
            assert isinstance(built, dict)
            if "anyOf" in built and not limits.root_union and "anyOf" not in self._root:
                return None
            used, weight = self._definitions.needed(SchemaWeight.of(built))
            written = ENCODER.encode({**built, "$defs": used} if used else built), weight
        raw, weight = written
        return raw if weight.fits(len(raw), limits) else None


def stand_together(places: Sequence[tuple[str, ...]], *, root_union: bool) -> bool:
    """Return whether rows of these places can stand in a schema where none is an array.

    What is said once for a whole array can bind its elements to no row of their own.
    """
    shared = _shared(places)
    return bool(shared or root_union) and not any(EACH in at[len(shared) :] for at in places)


def _forget(parts: list[_Part]) -> None:
    """Count anew what becomes of the places."""
    for part in parts:
        for *_, tally in part.places:
            tally.hits = tally.misses = 0


def _fitted(row: Row, spots: Sequence[_Spot | None]) -> Row | None:
    """Return a row as the schema lets it stand; None if it cannot.

    A value beside the main one that the schema forbids leaves its place to null, or unbound where
    it may be left out.
    """
    if row[0] is None:
        return None
    cells: list[JsonScalar] = []
    for value, spot in zip(row, spots, strict=True):
        if (
            spot is None
            or value is None
            or spot.holds(value)
            or (spot.item_holds is not None and spot.item_holds(value))
        ):
            cells.append(value)
        elif cells and spot.free:
            cells.append(None)
        else:
            return None
    return tuple(cells)


def _required(view: SchemaView, name: str) -> bool:
    """Return whether every way to satisfy a place requires a member."""
    required = dict.fromkeys(map(id, view.alternatives), False)
    for alternative, node in view.nodes():
        required[id(alternative)] |= name in strings(node.get("required"))
    return all(required.values())


def _distinct(values: Iterable[JsonScalar]) -> list[JsonScalar]:
    """List values once each, without null. Equal numbers are one."""
    found: dict[object, JsonScalar] = {}
    for value in values:
        if value is not None:
            found.setdefault((value.__class__ is bool, value), value)
    return list(found.values())


def _shared(paths: Sequence[tuple[str, ...]]) -> tuple[str, ...]:
    """Return what all pointers begin with, short of the whole of any."""
    shared = paths[0][:-1] if paths else ()
    for path in paths[1:]:
        while path[: len(shared)] != shared or len(path) <= len(shared):
            shared = shared[:-1]
            if not shared:
                return ()
    return shared


def _choices(
    rows: Sequence[Row], below: dict[int, tuple[str, ...]], tallies: Sequence[PlaceTally]
) -> Iterator[tuple[Cursor, ...]]:
    """Write rows as cursors; rows that differ only in their last place are one choice."""
    *firsts, last = below
    grouped: dict[bytes, tuple[Row, list[JsonScalar]]] = {}
    for row in rows:
        key = ENCODER.encode([row[at] for at in firsts])
        grouped.setdefault(key, (row, []))[1].append(row[last])
    for row, lasts in grouped.values():
        choice = [
            Cursor(below[at], (row[at],), tallies[at], null=at > 0)
            for at in firsts
            if row[at] is not None
        ]
        if None not in lasts:  # a cell without a value binds nothing
            values = tuple(_distinct(lasts))
            choice.append(Cursor(below[last], values, tallies[last]))
        yield tuple(choice)
