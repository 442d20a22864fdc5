"""What one grounding rule offers a model: the values of its places that an answer can be made of.

Pure. Which values may narrow a schema, and which are guesses, is decided here.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from lakehouse.core.candidate import NamedValue, RuleCandidates
from lakehouse.core.chat import SchemaLimits
from lakehouse.core.json_text import NULL, JsonScalar, JsonValue, parse_bytes, pointer_parts
from lakehouse.core.kind import EACH, CandidatesMode, GroundingRule
from lakehouse.core.limits import HINT_BYTES_MAX, HINT_VALUES_MAX
from lakehouse.core.session import SOURCE_COLUMN, Narrowed
from lakehouse.validation.narrowing import Candidates, stand_together

_Cells = tuple[msgspec.Raw, ...]
_NAMED: Final = "that the text names"
_MEANT: Final = "that may be meant"
_MORE: Final = ", among others"


class RuleOffer(msgspec.Struct, frozen=True):
    """One rule's candidates, main place first.

    `named` are values, or rows, that the sources name; `guesses` all others. `whole` is false where
    there may be more than these, so that nothing can be ruled out. `takes_null` says whether the
    main place may be null, `some_named` whether the sources name any value, fitting or not.
    """

    rule: GroundingRule
    mode: CandidatesMode
    places: tuple[tuple[str, str], ...]
    named: tuple[_Cells, ...]
    guesses: tuple[_Cells, ...]
    whole: bool
    takes_null: bool
    some_named: bool

    def required(self) -> frozenset[bytes] | None:
        """Return all that may stand at the main place besides null; None: other values may too."""
        if not (self.rule.candidates_required and self.whole and self.takes_null):
            return None
        return frozenset(bytes(cells[0]) for cells in (*self.named, *self.guesses))

    def within(self, required: Mapping[str, frozenset[bytes]]) -> "RuleOffer":
        """Make null what stands beside the main value and a rule of its own does not allow.

        Args:
            required: All that may stand at a place, besides null.
        """
        bound = [at for at, (path, _) in enumerate(self.places) if at > 0 and path in required]
        if not bound:
            return self

        def kept(rows: tuple[_Cells, ...]) -> tuple[_Cells, ...]:
            distinct = {}
            for cells in rows:
                written = [
                    NULL
                    if at in bound and bytes(cell) not in required[self.places[at][0]]
                    else cell
                    for at, cell in enumerate(cells)
                ]
                distinct[tuple(map(bytes, written))] = tuple(written)
            return tuple(distinct.values())

        return msgspec.structs.replace(self, named=kept(self.named), guesses=kept(self.guesses))

    def beside(self, others: Iterable["RuleOffer"]) -> "RuleOffer":
        """Leave possible what rows of other rules have at the main place: guesses of this rule.

        A rule of another place that offers nothing, as the sources contradict it, leaves this open;
        so does one of the same place that rules out all but guesses.
        """
        others = [other for other in others if other is not self]
        if not self.takes_null and any(map(self._leaves_guesses, others)):
            return msgspec.structs.replace(self, whole=False)
        if (
            self.rule.candidates_required
            or len(self.places) > 1
            or not (self.named or self.guesses)
        ):
            return self
        known = {bytes(cells[0]) for cells in (*self.named, *self.guesses)} | {bytes(NULL)}
        guesses, whole = list(self.guesses), self.whole
        for other in others:
            if self.places[0] not in other.places[1:]:
                continue
            at = other.places.index(self.places[0])
            rows = (*other.named, *other.guesses)
            whole = whole and (bool(rows) or not other.some_named)
            for cells in rows:
                if bytes(cells[at]) not in known:
                    known.add(bytes(cells[at]))
                    guesses.append((cells[at],))
        return msgspec.structs.replace(self, guesses=tuple(guesses), whole=whole)

    def _leaves_guesses(self, other: "RuleOffer") -> bool:
        """Whether another rule of the same place leaves guesses of this one alone there."""
        if other.places[0][0] != self.places[0][0] or not self.guesses:
            return False
        possible = {bytes(cells[0]) for cells in (*other.named, *other.guesses)}
        return bool(possible) and not any(bytes(cells[0]) in possible for cells in self.named)

    def candidates(self) -> Candidates | None:
        """Return what may narrow the schema; None: it must stay as it is."""
        rows = (*self.named, *self.guesses)
        if not rows:
            return None if self.required() is None else Candidates(self.places[:1], ())
        closed = self.whole and (bool(self.named) or self.takes_null)
        if not closed and self.mode != "decode":
            return None
        return Candidates(
            self.places,
            tuple([tuple(map(_scalar, cells)) for cells in rows]),
            open_end=not closed,
            guesses=len(self.guesses),
        )

    def pairs_stand(self, limits: SchemaLimits | None) -> bool:
        """Whether a schema with these candidates holds its rows, and not only their columns."""
        if limits is None or len(self.places) == 1:
            return True
        if len(self.named) + len(self.guesses) == 1 and not self.takes_null:
            return True
        members = [tuple(pointer_parts(path)) for path, _ in self.places]
        return stand_together(members, root_union=limits.root_union)

    def hint(self) -> str:
        """Return the line for the prompt; empty: there is nothing to say."""
        if not self.named and not self.guesses:
            if self.required() is None:
                return ""
            value = f"value of {self.rule.column}" + (" that fits" if self.some_named else "")
            return f"The text names no {value}: {self._names()[0]} is null."
        named, guesses = self._shown()
        table = (self.rule.column or "").partition(".")[0]
        what = f"Values of {self.rule.column}" if len(self.places) == 1 else f"Rows of {table}"
        lines = [
            f"{what} {words}{'' if self.whole and rows == every else _MORE}: {self._listed(rows)}."
            for words, rows, every in (
                (_NAMED, named, self.named),
                (_MEANT, guesses, self.guesses),
            )
            if rows
        ]
        return "\n".join(lines)

    def hinted(self) -> tuple[Narrowed, ...]:
        """Return what the row says of the line in the prompt."""
        named, guesses = self._shown()
        rows = (*named, *guesses)
        if not rows and not self.hint():
            return ()
        places = self.places if rows else self.places[:1]
        return tuple(
            _record(path, column, (cells[at] for cells in rows))
            for at, (path, column) in enumerate(places)
        )

    def _shown(self) -> tuple[tuple[_Cells, ...], tuple[_Cells, ...]]:
        """Return the named and the guessed ones within the limits of a prompt."""
        left_bytes, left = HINT_BYTES_MAX, HINT_VALUES_MAX
        kept = 0
        for cells in (*self.named, *self.guesses):
            left_bytes -= sum(len(bytes(cell)) for cell in cells)
            left -= 1
            if left < 0 or left_bytes < 0:
                break
            kept += 1
        return self.named[:kept], self.guesses[: max(0, kept - len(self.named))]

    def _listed(self, rows: Sequence[_Cells]) -> str:
        if len(self.places) == 1:
            listed = [bytes(cells[0]).decode("utf-8") for cells in rows]
        else:
            names = self._names()
            listed = [
                msgspec.json.encode(dict(zip(names, cells, strict=True))).decode("utf-8")
                for cells in rows
            ]
        return ", ".join(listed)

    def _names(self) -> list[str]:
        """Return what the places are called in the prompt: their members, or their pointers.

        A member of each element of an array has its name there, if the others have other names.
        """
        pointers = [path for path, _ in self.places]
        names = [_called(path) for path in pointers]
        return names if len(set(names)) == len(names) else pointers


def rule_offer(
    found: RuleCandidates,
    mode: CandidatesMode,
    *,
    quoted: Collection[str],
    sources: Sequence[str],
    takes_null: bool,
) -> RuleOffer:
    """Sort what was found for a rule into named values and guesses.

    `quoted` are the places whose value must also stand in a source: others are left out.
    """
    rule = found.rule
    places: tuple[tuple[str, str], ...] = ((rule.path, rule.column or SOURCE_COLUMN),)
    if rule.with_:
        places += tuple([(at, rule.with_[at]) for at in sorted(rule.with_, key=str.encode)])
    must_stand = [at for at, (path, _) in enumerate(places) if path in quoted] if quoted else ()
    named: list[_Cells] = []
    guesses: list[_Cells] = []
    for main, cells, joined in _pairs(found):
        if must_stand and not all(_stands(cells[at], sources) for at in must_stand):
            continue
        sure = joined and main.spelling != "near" and rule.match != "within"
        (named if sure else guesses).append(cells)
    whole = found.complete and found.total == len(found.values)
    return RuleOffer(
        rule,
        mode,
        places,
        tuple(named),
        tuple(guesses),
        whole and found.rows_total == len(found.rows),
        takes_null,
        bool(found.values),
    )


def _pairs(found: RuleCandidates) -> Iterable[tuple[NamedValue, _Cells, bool]]:
    """Return each combination, and whether it has the other values that the sources name.

    None where all contradict them: a source that names a code and another's city means neither.
    """
    if found.rule.with_:
        if not any(row.joined for row in found.rows):
            return []
        return [(row.main, (row.main.value, *row.values), row.joined) for row in found.rows]
    return [(value, (value.value,), True) for value in found.values]


def _called(path: str) -> str:
    parts = pointer_parts(path)
    while EACH in parts:
        parts = parts[parts.index(EACH) + 1 :]
    return parts[0] if len(parts) == 1 else path


def _stands(cell: msgspec.Raw, sources: Sequence[str]) -> bool:
    value = _scalar(cell)
    return value is None or (isinstance(value, str) and any(value in one for one in sources))


def _scalar(cell: msgspec.Raw) -> JsonScalar:
    data = bytes(cell)
    if data.startswith(b'"'):  # as most are; numbers keep every digit below
        text: str = msgspec.json.decode(data)
        return text
    value: JsonValue = parse_bytes(data)
    assert not isinstance(value, list | dict), "a cell of a column is a scalar"
    return value


def _record(path: str, column: str, cells: Iterable[msgspec.Raw]) -> Narrowed:
    distinct = {bytes(cell): cell for cell in cells if cell != NULL}
    return Narrowed.of(path, column, "hint", [_scalar(cell) for cell in distinct.values()])
