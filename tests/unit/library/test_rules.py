"""SQL rules of a type: their names are those of its members in JSON."""

import asyncio
import dataclasses
from typing import Annotated, Any

import pydantic
import pytest

import lakehouse
from lakehouse import Rule
from lakehouse.config.rules import prepare
from lakehouse.testing import scripted, scripted_async


class Trip(pydantic.BaseModel):
    home_town: str = pydantic.Field(alias="homeTown")


class Open(pydantic.BaseModel, extra="allow"):
    day: str


@dataclasses.dataclass
class Stay:
    nights: int


@pytest.mark.parametrize(
    ("type_", "sql", "told"),
    [
        (Trip, "SELECT $home_town <> 'Boston'", "(did you mean 'homeTown'?)"),
        (Stay, "SELECT $night < 5", "(did you mean 'nights'?)"),
        (list[Stay], "SELECT len($results) < 5", "(did you mean 'result'?)"),
    ],
)
def test_a_rule_of_a_member_that_the_type_does_not_name_is_refused(type_: Any, sql: str, told: str):
    """It would be NULL in every answer, and the model would be told what it cannot correct."""
    rule: Any = Annotated[type_, Rule(sql, "not so")]
    with scripted([]) as lake, pytest.raises(lakehouse.SetupError) as caught:
        lake.create(rule, "Where?")
    assert told in str(caught.value)


def test_a_type_that_takes_other_members_may_have_rules_of_them():
    answers = [{"day": "today"}, {"day": "today", "hour": 5}]
    with scripted(answers) as lake:
        rule = Annotated[Open, Rule("SELECT $hour > 3", "too early")]
        assert lake.create(rule, "When?").model_extra == {"hour": 5}


def test_calls_that_begin_together_prepare_the_rules_of_their_type_once(monkeypatch):
    prepared: list[Any] = []

    def counted(rules: Any, *rest: Any, **how: Any) -> Any:
        prepared.append(rules)
        return prepare(rules, *rest, **how)

    monkeypatch.setattr("lakehouse.config.rules.prepare", counted)
    rule = Annotated[Stay, Rule("SELECT $nights < 5", "too long")]

    async def main() -> list[Stay]:
        async with scripted_async(lambda _: {"nights": 3}) as lake:
            return await asyncio.gather(*(lake.create(rule, "How long?") for _ in range(20)))

    assert asyncio.run(main()) == [Stay(3)] * 20
    assert len(prepared) == 1
