"""What the schema of an official client takes, the client's own `parse()` takes, too."""

import datetime as dt
import decimal
import fractions
import json
import random
import re
from typing import Annotated, Any

import msgspec
import pydantic
import pytest
from openai.lib._pydantic import to_strict_json_schema
from pydantic import BaseModel, Field, ValidationError, create_model

from lakehouse.core.json_text import JsonError, compact, parse_bytes, parses
from lakehouse.openai_api.chat_request import read_chat_request
from lakehouse.validation.schema import CompiledSchema, compile_schema
from support.client_models import MODELS, STAMP, UUID, UUID_4

ROUNDS = 1_500
# Values near those of all models at once; what a model of it makes wrong comes from its schema.
POOL = (
    *("null", "true", "false", "0", "1", "-1", "2", "1.0", "1.5", "-0.0", "1e2", "0.30000000001"),
    *("9223372036854775808", "12345678901234567890123", "NaN", "Infinity", "01", "1."),
    *("[]", "{}", "[1,1.0]", '["a","a"]', '{"a":1,"a":1}', '{"kind":"dog","lives":1}', "[[1]]"),
    *('""', '"a"', '"1"', '"red"', '"\\ud800"', '"\\u0000"', '"é😀"', '"2026-03-01"', '"tomorrow"'),
    *(f'"{STAMP}"', '"2026-12-31T23:59:60Z"', '"2026-03-01T08:15:30"', '"0000-01-01"', '"24:00Z"'),
    *('"P1000000000D"', '"PT1S"', f'"{UUID}"', f'"{UUID_4}"', f'"{{{UUID}}}"', '"10.0.0.1/8"'),
    *('"http://"', '"http://a:99999"', '"http://[::g]"', '"http://xn--a"', '"YWI"', '"1,5"'),
)
MARKS = "0123456789abcdefTtZz:+-./@%[]{} #_=é\n"


def contract(model: type[BaseModel]) -> CompiledSchema:
    """Compile the schema that the official package sends for a model, as the door reads it."""
    body = {
        "model": "k",
        "messages": [{"role": "user", "content": "x"}],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "x", "strict": True, "schema": to_strict_json_schema(model)},
        },
    }
    schema = read_chat_request(json.dumps(body).encode()).contract.schema
    return compile_schema(bytes(schema), "known")


def accepted(schema: CompiledSchema, text: str) -> bytes | None:
    """Return the artifact of a model's text; None if it is rejected."""
    try:
        value = parse_bytes(text.encode())
    except JsonError:
        return None
    artifact = compact(text)
    return None if schema.findings(value, artifact) else artifact


def parsed(model: type[BaseModel], artifact: bytes) -> str | None:
    """Parse an answer as the client does; return what it says against it."""
    try:
        model.model_validate_json(artifact.decode())
    except ValidationError as error:
        return str(error)
    return None


class Neighbours:
    """JSON texts near others."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)

    def near(self, text: str) -> str:
        """Change one value at some depth, or one place of an object or list."""
        chance = self._chance
        if not parses(text):
            return text
        if text.startswith("{"):
            members = msgspec.json.decode(text, type=dict[str, msgspec.Raw])
            return self._object({name: bytes(one).decode() for name, one in members.items()})
        if text.startswith("["):
            items = [
                bytes(one).decode() for one in msgspec.json.decode(text, type=list[msgspec.Raw])
            ]
            return self._list(items)
        if text.startswith('"') and chance.random() < 0.7:
            return json.dumps(self._word(json.loads(text)), ensure_ascii=chance.random() < 0.5)
        return chance.choice(POOL)

    def _object(self, members: dict[str, str]) -> str:
        chance, names = self._chance, list(members)
        act = chance.random()
        if names and act < 0.7:
            name = chance.choice(names)
            members[name] = self.near(members[name])
        elif names and act < 0.78:
            del members[chance.choice(names)]
        elif names and act < 0.86:
            name = chance.choice(names)
            members[self._word(name)] = members.pop(name)
        else:
            members[chance.choice(("extra", "", "b"))] = chance.choice(POOL)
        pairs = (f"{json.dumps(name)}:{one}" for name, one in members.items())
        return f"{{{','.join(pairs)}}}"

    def _list(self, items: list[str]) -> str:
        chance, act = self._chance, self._chance.random()
        if items and act < 0.6:
            at = chance.randrange(len(items))
            items[at] = self.near(items[at])
        elif items and act < 0.7:
            items.pop()
        elif items and act < 0.85:
            items.append(chance.choice(items))
        else:
            items.append(chance.choice(POOL))
        return f"[{','.join(items)}]"

    def _word(self, word: str) -> str:
        chance = self._chance
        at, act = chance.randrange(len(word) + 1), chance.random()
        if act < 0.3:
            return word[:at] + chance.choice(MARKS) + word[at:]
        if act < 0.5:
            return word[:at] + word[at + 1 :]
        if act < 0.9:
            return word[:at] + chance.choice(MARKS) + word[at + 1 :]
        return word[at:] + word[:at]


@pytest.mark.parametrize("name", sorted(MODELS))
def test_what_the_schema_takes_parses(name: str) -> None:
    model, right = MODELS[name]
    schema, neighbours = contract(model), Neighbours(seed=1)
    took = 0
    for number in range(ROUNDS):
        text = right[number % len(right)]
        for _ in range(min(number // len(right), number % 4)):
            text = neighbours.near(text)
        artifact = accepted(schema, text)
        took += artifact is not None
        if artifact is not None:
            assert parsed(model, artifact) is None, text
        else:
            assert number >= len(right), text  # what is right is taken
    assert took > 20
    assert took < ROUNDS or name == "anything"


# What the client's type refuses and its schema does not say: the reference lists all of these.
LIMITS: dict[str, tuple[Any, str]] = {
    "decimal": (decimal.Decimal, '"1,234.50"'),
    "digits": (Annotated[decimal.Decimal, Field(max_digits=3)], "1234"),
    "naive": (pydantic.NaiveDatetime, f'"{STAMP}"'),
    "past": (pydantic.PastDate, '"9999-01-01"'),
    "scheme": (pydantic.HttpUrl, '"ftp://example.org"'),
    "several_hosts": (pydantic.PostgresDsn, '"a"'),
    "key": (dict[int, str], '{"a":"b"}'),
    "json": (pydantic.Json[list[int]], '"no"'),
    "size": (pydantic.ByteSize, '"5 apples"'),
    "complex": (complex, '"a"'),
    "fraction": (fractions.Fraction, '"a"'),
    "regex": (re.Pattern, '"(?<name>a)"'),
    "file": (pydantic.FilePath, '"/no/such/file"'),
    "text_in_base64": (pydantic.Base64Str, '"/w=="'),
    "stripped": (
        Annotated[str, pydantic.StringConstraints(strip_whitespace=True, min_length=1)],
        '" "',
    ),
    "strict": (Annotated[int, Field(strict=True)], "1.0"),
    "large_int": (int, "1e19"),
    "finite": (pydantic.FiniteFloat, "1e400"),
    "nearly": (Annotated[float, Field(lt=1)], "0.99999999999999999999"),
    "items": (
        Annotated[set[dt.datetime], Field(min_length=2)],
        f'["{STAMP}","{STAMP[:-1]}+00:00"]',
    ),
}


@pytest.mark.parametrize("name", sorted(LIMITS))
def test_what_no_schema_says_may_fail(name: str) -> None:
    """Were one of these to be caught, the reference would promise less than there is."""
    given, value = LIMITS[name]
    model = create_model("Holder", x=(given, ...))
    artifact = accepted(contract(model), f'{{"x":{value}}}')
    assert artifact is not None
    assert parsed(model, artifact) is not None
