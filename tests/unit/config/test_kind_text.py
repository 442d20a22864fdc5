"""The TOML of a type is a kind as the configuration reads it, and says what the type says."""

import dataclasses
import datetime as dt
import json
import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lakehouse.config.kind_text import toml_of, toml_of_kind
from lakehouse.config.kinds import load_kinds
from lakehouse.config.load import load_config
from lakehouse.config.settings import KindSettings
from lakehouse.core.errors import SetupError
from lakehouse.core.kind import Kind
from lakehouse.output_types.markers import Grounded, Quote, Rule, Within
from lakehouse.output_types.output_type import output_type
from lakehouse.validation.schema import SchemaCache


class Event(pydantic.BaseModel):
    airport: Annotated[
        str, Grounded("airports.iata", with_={"city": "airports.city"}, candidates="hint")
    ]
    city: str
    quote: Annotated[str, Quote()]


class Day(pydantic.BaseModel):
    events: list[Event]
    price: Annotated[float, Within("prices.eur", tolerance=0.5)]


RULED = Annotated[Day, Rule("SELECT len($events) > 0", 'name an "event"\nof the day')]


DAY = {"type": "string", "format": "date"}


@dataclasses.dataclass
class Checked:
    a: int

    def __post_init__(self) -> None:
        pass


def below(text: str) -> str:
    lines = text.partition(".schema.json:\n")[2].split("\n")
    return "\n".join(line.removeprefix("# ") for line in lines)


def read(text: str, name: str) -> KindSettings:
    return msgspec.convert(tomllib.loads(text)["kinds"][name], KindSettings)


def test_the_text_is_a_kind():
    assert toml_of(output_type(RULED), "day").startswith(
        f"""# The kind that {Day.__module__}:Day means.

[kinds.day]
schema = "day.schema.json"

[[kinds.day.grounding]]
path = "/events/*/airport"
column = "airports.iata"
with = {{ "/events/*/city" = "airports.city" }}
candidates = "hint"

[[kinds.day.grounding]]
path = "/events/*/quote"
match = "quote"

[[kinds.day.grounding]]
path = "/price"
match = "within"
column = "prices.eur"
tolerance = 0.5

[[kinds.day.rules]]
sql = "SELECT len($events) > 0"
message = "name an \\"event\\"\\nof the day"

# day.schema.json:
# {{
"""
    )


@pytest.mark.parametrize("type_", [RULED, Event, list[Event], int, {"type": "object"}])
def test_the_configuration_reads_the_same_rules(type_: Any):
    made = output_type(type_)
    kind = read(toml_of(made, "a-kind"), "a-kind")
    assert kind.schema == "a-kind.schema.json"
    assert kind.grounding == made.grounding
    assert kind.rules == made.rules


def test_the_schema_below_is_the_type_s_without_markers():
    """They stand above, as entries."""
    text = toml_of(output_type(list[Event]), "events")
    lines = text.partition("# events.schema.json:\n")[2].splitlines()
    assert msgspec.json.decode("\n".join(line.removeprefix("# ") for line in lines)) == {
        "type": "object",
        "properties": {"result": {"type": "array", "items": {"$ref": "#/$defs/Event"}}},
        "required": ["result"],
        "additionalProperties": False,
        "$defs": {
            "Event": {
                "type": "object",
                "properties": {name: {"type": "string"} for name in ("airport", "city", "quote")},
                "required": ["airport", "city", "quote"],
            }
        },
    }
    assert "# Its value is the member 'result'" in text


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
@example("\x7f", "\x7f\x00", "\\\"'\r\n\u2028")
def test_every_text_comes_back(member: str, sql: str, message: str):
    assume(member != "at" and member[0] != "/" and sql.strip() and message.strip())
    marked: Any = Annotated[str, Grounded("a.b", with_={member: "a." + sql})]
    beside: Any = pydantic.Field(alias=member)
    type_ = pydantic.create_model("Event", at=(marked, ...), beside=(str, beside))
    made = output_type(Annotated[type_, Rule(sql, message)])
    kind = read(toml_of(made, "x"), "x")
    assert kind.grounding == made.grounding
    assert list(kind.grounding[0].with_.values()) == ["a." + sql]
    assert [(rule.sql, rule.message) for rule in kind.rules] == [(sql, message)]


@pytest.mark.parametrize("name", ["", "Event", "a b", "a]", "-a", "a" * 65])
def test_a_name_that_no_kind_can_have(name: str):
    with pytest.raises(SetupError, match="The name of the kind"):
        toml_of(output_type(Event), name)


def test_a_type_s_name_cannot_leave_its_comment():
    odd = dataclasses.make_dataclass("Event", [("a", int)])
    odd.__qualname__ = "Event\n[kinds.other]"
    assert set(tomllib.loads(toml_of(output_type(odd), "x"))["kinds"]) == {"x"}


WHOLE = """
[models.m]
provider = "scripted"
model = "m"
script = "script.jsonl"
[tables.t]
path = "t.csv"
[kinds.order]
schema = "order.json"
system = "Say \\"all\\"."
repair = true
assert_formats = true
history = "full"
temperature = 0.25
max_iterations = 4
stop = ["a\\n", "b"]
[[kinds.order.grounding]]
path = "/id"
column = "t.id"
candidates_required = true
"""


def test_a_configured_kind_is_printed_as_the_same_kind(tmp_path: Path):
    """With what its schema carries as entries; its digest says that it is the same."""
    nothing = {"type": ["string", "null"]}
    quote = {"type": "string", "x-lakehouse": {"match": "quote"}, "maxLength": 10}
    carried = [{"sql": "SELECT $id <> 'x'", "message": "no x"}]
    schema = {"type": "object", "properties": {"id": nothing, "note": quote, "d": DAY}}
    (tmp_path / "order.json").write_text(json.dumps({**schema, "x-lakehouse-rules": carried}))

    def load(text: str) -> tuple[Kind, str]:
        (tmp_path / "lakehouse.toml").write_text(text)
        config = load_config(tmp_path / "lakehouse.toml", {})
        kind = load_kinds(config, SchemaCache())["order"]
        return kind, toml_of_kind(kind, config.kinds["order"])

    kind, text = load(WHOLE)
    assert len(kind.grounding) == 2
    assert len(kind.rules) == 1
    (tmp_path / "order.schema.json").write_text(below(text))
    again, same = load(WHOLE.partition("[kinds")[0] + text)
    assert same == text
    assert (again.grounding, again.rules) == (kind.grounding, kind.rules)
    assert again.formats == "all"
    del quote["x-lakehouse"]  # without what it carries, the kind has the digest of the printed one
    (tmp_path / "order.json").write_text(json.dumps(schema))
    said = text.partition("[[kinds.order.grounding]]")
    entries = said[1] + said[2].partition("\n# order.schema.json:")[0]
    declared, _ = load(WHOLE.partition("[[kinds.order.grounding]]")[0] + entries)
    assert again.digest == declared.digest


def test_formats_that_cannot_be_asserted_are_left_out():
    """A kind that asserts formats may not have them."""
    made: Any = output_type(dataclasses.make_dataclass("Sum", [("at", dt.date), ("sum", Decimal)]))
    text = toml_of(made, "sum")
    assert read(text, "sum").assert_formats
    assert msgspec.json.decode(below(text))["properties"] == {"at": DAY, "sum": {"type": "string"}}
    assert not read(toml_of(output_type(Event), "event"), "event").assert_formats


def test_what_code_checks_is_told():
    assert "own code checks is not in it" in toml_of(output_type(Checked), "checked")
    assert "own code" not in toml_of(output_type(Event), "event")
