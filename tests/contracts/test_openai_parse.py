"""OpenAI's own package, its `parse()` and streams, and a model that answers wrongly 1,000 times.

What a 200 has is judged here by other code than the daemon's: a second validator of JSON Schema,
and plain comparisons with the table.
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import jsonschema  # type: ignore[import-untyped]
import openai
import pydantic
import pytest

from support.stack import running_stack
from support.wrong_answers import (
    CITIES,
    CLIENT_SCHEMA,
    KIND_SCHEMA,
    MINUTES_MAX,
    notice,
    right_answer,
    wrong_answers,
)

WRONG = 1_000
RIGHT = 60
CORRECTED = 60
CALLERS = 4
CONFIG = """
[log]
path = "log"
durability = "os"
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
slots = 8
[tables.airports]
path = "airports.csv"
[kinds.event]
schema = "event.schema.json"
model = "small"
max_iterations = 2
[[kinds.event.grounding]]
path = "/code"
column = "airports.iata"
with = { "/city" = "airports.city" }
[[kinds.event.grounding]]
path = "/quote"
match = "quote"
"""
KIND, CLIENT = (jsonschema.Draft202012Validator(schema) for schema in (KIND_SCHEMA, CLIENT_SCHEMA))


class Event(pydantic.BaseModel):
    """What the client wants; its schema is `CLIENT_SCHEMA`, as OpenAI's package sends it."""

    code: str
    city: str
    quote: str
    minutes: Annotated[int, pydantic.Field(ge=0, le=MINUTES_MAX)]


class Case(NamedTuple):
    """One session: what the model answers, attempt by attempt, and what must come of it."""

    number: int
    code: str
    reason: str
    steps: list[str]
    outcome: str  # accepted, refused, or either

    @property
    def prompt(self) -> str:
        return f"Case {self.number:04}. {notice(self.code)}"


def made_cases() -> list[Case]:
    """Make the wrong answers, and right ones among them: refusing everything is no way out."""
    chance = random.Random(2026)
    codes = list(CITIES)
    cases: list[Case] = []
    makers = {code: wrong_answers(chance, code) for code in codes}
    for number in range(WRONG):
        code = chance.choice(codes)
        wrong = next(makers[code])
        outcome = "refused" if wrong.surely else "either"
        cases.append(Case(number, code, wrong.reason, [wrong.text], outcome))
    for number in range(WRONG, WRONG + RIGHT + CORRECTED):
        code = chance.choice(codes)
        right = json.dumps(right_answer(code), ensure_ascii=number % 2 == 0)
        if number < WRONG + RIGHT:
            cases.append(Case(number, code, "right", [right], "accepted"))
            continue
        wrong = next(one for one in islice(makers[code], 40) if one.surely)
        cases.append(
            Case(number, code, f"{wrong.reason}, then right", [wrong.text, right], "accepted")
        )
    return cases


CASES = made_cases()


@pytest.fixture(scope="module", params=["in_process", "apart"])
def base_url(request, tmp_path_factory) -> Iterator[str]:
    directory: Path = tmp_path_factory.mktemp(request.param)
    matches = {f"Case {case.number:04}\\.": case.steps for case in CASES}
    (directory / "script.json").write_text(json.dumps({"matches": matches}))
    (directory / "event.schema.json").write_text(json.dumps(KIND_SCHEMA))
    lines = ["iata,city", *(f"{code},{city}" for code, city in CITIES.items())]
    (directory / "airports.csv").write_text("\n".join(lines) + "\n")
    with running_stack(directory, CONFIG, apart=request.param == "apart") as processes:
        yield f"{processes['gateway'].url}/v1"


def outcome(client: openai.OpenAI, case: Case) -> str:
    """Ask as one of four ways of the package does; give the answer's text, or the error's code."""
    turns: Any = [{"role": "user", "content": case.prompt}]
    try:
        match case.number % 4:
            case 0:
                parsed = client.chat.completions.parse(
                    model="event", messages=turns, response_format=Event
                )
                told, text = parsed.choices[0].message.parsed, parsed.choices[0].message.content
            case 1:
                reply = client.responses.parse(model="event", input=case.prompt, text_format=Event)
                told, text = reply.output_parsed, reply.output_text
            case 2:
                with client.chat.completions.stream(
                    model="event", messages=turns, response_format=Event
                ) as stream:
                    final = stream.get_final_completion()
                told, text = final.choices[0].message.parsed, final.choices[0].message.content
            case _:
                with client.responses.stream(
                    model="event", input=case.prompt, text_format=Event
                ) as events:
                    response = events.get_final_response()
                told, text = response.output_parsed, response.output_text
    except openai.BadRequestError as refused:
        return f"refused: {refused.code}"
    assert isinstance(told, Event)
    assert text is not None
    return str(text)


def fault(case: Case, text: str) -> str | None:
    """Say what is wrong with an answer that was told as a success."""

    def strict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len({name for name, _ in pairs}) == len(pairs), "a member stands there twice"
        return dict(pairs)

    def constant(name: str) -> Any:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads(text, object_pairs_hook=strict, parse_constant=constant)
    for validator in (KIND, CLIENT):
        for error in validator.iter_errors(found):
            return str(error.message)
    if CITIES.get(found["code"]) != found["city"]:
        return f"{found['code']!r} and {found['city']!r} are in no row"
    if " ".join(found["quote"].split()) not in case.prompt:
        return f"{found['quote']!r} is no quote"
    return None


def test_no_200_fails_any_part_of_the_contract(base_url):
    """1,000 wrong answers and 120 right ones, four ways of asking."""
    with (
        openai.OpenAI(base_url=base_url, api_key="none", max_retries=0, timeout=60) as client,
        ThreadPoolExecutor(CALLERS) as pool,
    ):
        outcomes = list(pool.map(lambda case: outcome(client, case), CASES))

    surprises: list[tuple[str, str, str]] = []
    seen: Counter[str] = Counter()
    for case, told in zip(CASES, outcomes, strict=True):
        refused = told.startswith("refused: ")
        assert not refused or told == "refused: max_iter_exhausted", (case, told)
        seen["refused" if refused else "accepted"] += 1
        if not refused and (wrong := fault(case, told)) is not None:
            surprises.append((case.reason, case.steps[-1], f"{told}: {wrong}"))
        if case.outcome != "either" and refused != (case.outcome == "refused"):
            surprises.append((case.reason, case.steps[-1], f"{told}, not {case.outcome}"))
    assert surprises == []
    surely = sum(case.outcome == "refused" for case in CASES)
    assert surely > 700
    assert seen["refused"] >= surely
    assert seen["accepted"] >= RIGHT + CORRECTED


@pytest.mark.parametrize("sent", [Event, CLIENT_SCHEMA])
def test_the_clients_schema_is_the_one_that_is_judged_by(sent):
    """What the package sends for `Event` says the same as the schema here."""
    if sent is Event:
        sent = openai.lib._pydantic.to_strict_json_schema(Event)
    validator = jsonschema.Draft202012Validator(sent)
    good = right_answer("OSL")
    assert validator.is_valid(good)
    for change in ({"minutes": MINUTES_MAX + 1}, {"minutes": -1}, {"more": 1}, {"code": 1}):
        assert not validator.is_valid(good | change)
    for name in good:
        assert not validator.is_valid({key: good[key] for key in good if key != name})
