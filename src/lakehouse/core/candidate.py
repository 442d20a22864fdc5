"""What the source texts of a session name of a table's column."""

from typing import Literal

import msgspec

from lakehouse.core.kind import GroundingRule

Spelling = Literal["exact", "folded", "near"]


class NamedValue(msgspec.Struct, frozen=True):
    """A value, as JSON, that a source names, and the first place where it does so best.

    `start` and `end` count code points. `distance` is in edits, and 0 unless near. A value that
    comes from no source has the number of sources as `source`.
    """

    value: msgspec.Raw
    spelling: Spelling
    source: int
    start: int
    end: int
    distance: int = 0


class CandidateRow(msgspec.Struct, frozen=True):
    """A combination that stands in one row: the main value, then those of `with`.

    `values` are JSON, in the byte order of the pointers of `with`. `joined` is false where the
    text names values for a `with` column and no row has them beside this main value.
    """

    main: NamedValue
    values: tuple[msgspec.Raw, ...]
    joined: bool


class RuleCandidates(msgspec.Struct, frozen=True):
    """What the sources name for one rule.

    `values` and `rows` (with `with` only) are the first `CANDIDATES_MAX` in the order of the text,
    near ones kept last; the totals count all. `complete` is false where the sources are longer than
    what is searched, more rows match than are looked at, or the column holds booleans, which no
    text names: then nothing may be ruled out.
    """

    rule: GroundingRule
    values: tuple[NamedValue, ...]
    total: int
    rows: tuple[CandidateRow, ...] = ()
    rows_total: int = 0
    complete: bool = True
