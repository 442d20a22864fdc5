"""What stands in `typing.Annotated` of an output type: grounding of a value, and SQL rules.

    class Event(pydantic.BaseModel):
        airport: Annotated[str, Grounded("airports.iata", with_={"city": "airports.city"})]
        city: str
        quote: Annotated[str, Quote()]

In a JSON Schema, `Grounded`, `Quote` and `Within` are the keyword `x-lakehouse` at the place of the
value, an object, or a list of objects where a value has several markers:

    {"match": "exact", "column": "airports.iata", "with": {"city": "airports.city"}}
    {"match": "quote"}
    {"match": "within", "column": "parts.price", "tolerance": 0.5}

`column`, `with`, `tolerance` and `candidates` are left out where they say nothing. The keys of
`with` are names of members beside the value, as they are called in the answer: members of the
object that has the value, or the array of values, as a member. One that begins with `/` is a JSON
Pointer from the root of the answer. A marker on a list means each of its elements.

`Rule` stands in `Annotated[Event, Rule(…)]` around the whole type, or in the class:
`lakehouse_rules: ClassVar = [Rule(…)]`. It is no keyword: a schema goes to others, and SQL of
others is refused. The schema file of a kind may say it as `x-lakehouse-rules` (`schema_rules`).

Pydantic puts the keywords of values into the schemas that it makes. It is not imported here.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from lakehouse.core.errors import SetupError
from lakehouse.core.json_text import pointer
from lakehouse.core.kind import GROUNDING_KEYWORD, CandidatesMode, GroundingRule
from lakehouse.core.matches import MatchName
from lakehouse.grounding.rules import fault_of

_HINT: Final = (
    "A column is `table.column`; match is 'exact', 'casefold', or 'within' with a tolerance; "
    "candidates is 'auto', 'decode', 'hint' or 'off'."
)


class ValueMarker(msgspec.Struct, frozen=True):
    """A marker of one value."""

    def keyword(self) -> dict[str, object]:
        """Return the object of `x-lakehouse` that says the same."""
        raise NotImplementedError

    def __get_pydantic_json_schema__(self, core_schema: Any, handler: Any) -> dict[str, Any]:
        return marked(handler(core_schema), [self])


class Grounded(ValueMarker, frozen=True):
    """The value must be in a column of a table: `table.column`.

    `with_` maps members beside the value (or JSON Pointers) to columns of the same table that must
    match in the same row. `match` is `exact`, `casefold` (case and accents do not count) or
    `within`, which needs `tolerance`, an absolute distance. `candidates` is how the model is
    offered the column's values that the text names; None: as the session says.

    >>> class Stop(msgspec.Struct):
    ...     airport: Annotated[str, Grounded("airports.iata", with_={"city": "airports.city"})]
    ...     city: str

    Raises:
        SetupError: An argument is invalid.
    """

    column: str
    with_: Mapping[str, str] = {}
    match: MatchName = "exact"
    tolerance: float | None = None
    candidates: CandidatesMode | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.with_, Mapping):
            raise SetupError(
                f"Grounded({self.column!r}): with_ is {self.with_!r}; it must map members to "
                "columns.",
                hint='For example with_={"city": "airports.city"}.',
            )
        msgspec.structs.force_setattr(self, "with_", _FrozenPairs(self.with_))
        pairs = {
            name if name.startswith("/") else pointer(name): column
            for name, column in self.with_.items()
        }
        said = {**self.keyword(), "path": "", "with": pairs}
        try:
            fault = fault_of(msgspec.convert(said, GroundingRule))
        except msgspec.ValidationError as error:
            fault = f"{error}".replace("`", "'")
        if fault is not None:
            raise SetupError(f"Grounded({self.column!r}): {fault}.", hint=_HINT)

    def keyword(self) -> dict[str, object]:
        said: dict[str, object] = {"match": self.match, "column": self.column}
        if self.with_:
            said["with"] = dict(self.with_)
        if self.tolerance is not None:
            said["tolerance"] = self.tolerance
        if self.candidates is not None:
            said["candidates"] = self.candidates
        return said


def Within(column: str, *, tolerance: float) -> Grounded:  # noqa: N802  reads like its neighbours
    """Mark a number that must be within `tolerance` (absolute) of a value of `table.column`.

    >>> Price = Annotated[float, Within("parts.price", tolerance=0.5)]
    """
    return Grounded(column, match="within", tolerance=tolerance)


class Quote(ValueMarker, frozen=True):
    """The text must stand in the session's input, word for word.

    >>> Reason = Annotated[str, Quote()]
    """

    def keyword(self) -> dict[str, object]:
        return {"match": "quote"}


class Rule(msgspec.Struct, frozen=True):
    """A query that must return TRUE; `$name` is a top-level member. `message` tells the model why.

    >>> Late = Annotated[Event, Rule("SELECT $minutes > 0", "the delay must be above 0")]

    Raises:
        SetupError: A text is empty.
    """

    sql: str
    message: str

    def __post_init__(self) -> None:
        for name in ("sql", "message"):
            text = getattr(self, name)
            if not isinstance(text, str) or not text.strip():
                raise SetupError(
                    f"Rule: {name} is {text!r}; it must be a text.",
                    hint='Write Rule("SELECT $price > 0", "the price must be above 0").',
                )


def marked(schema: Mapping[str, Any], markers: list[ValueMarker]) -> dict[str, Any]:
    """Return a schema with the markers' keyword, after those that it already has."""
    had = schema.get(GROUNDING_KEYWORD, [])
    said = [*(had if isinstance(had, list) else [had]), *(one.keyword() for one in markers)]
    return {**schema, GROUNDING_KEYWORD: said[0] if len(said) == 1 else said}


class _FrozenPairs(dict[str, str]):
    """Pairs with a hash, which types in `Annotated` need. Nobody changes them."""

    def __hash__(self) -> int:  # type: ignore[override]  # dict has none
        return hash(frozenset(self.items()))
