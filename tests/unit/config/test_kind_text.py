"""The TOML of a type is a kind as the configuration reads it, and says what the type says."""

import dataclasses
import tomllib
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lakehouse.config.kind_text import toml_of
from lakehouse.config.settings import KindSettings
from lakehouse.core.errors import SetupError
from lakehouse.output_types.markers import Grounded, Quote, Rule, Within
from lakehouse.output_types.output_type import output_type


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
