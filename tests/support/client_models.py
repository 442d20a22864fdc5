"""Pydantic models as clients have them, each with an answer that is right."""

import datetime as dt
import decimal
import enum
import ipaddress
import re
import uuid
from typing import Annotated, Any, Literal

import pydantic
from pydantic import BaseModel, ConfigDict, Field, create_model

STAMP = "2026-03-01T08:15:30Z"
UUID = "019ab3c4-d5e7-7a1c-8d3e-4f5061728394"
UUID_4 = "019ab3c4-d5e7-4a1c-8d3e-4f5061728394"


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Size(enum.IntEnum):
    SMALL = 1
    LARGE = 2


class Mixed(enum.Enum):
    HALF = 0.5
    NAME = "name"


class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int


class Dog(BaseModel):
    kind: Literal["dog"]
    born: dt.date


class Numbered(BaseModel):
    version: Literal[1]
    id: uuid.UUID


class Named(BaseModel):
    version: Literal[2]
    name: str


class Tree(BaseModel):
    value: int
    children: list["Tree"]


class Forbidding(BaseModel):
    model_config = ConfigDict(extra="forbid")
    a: int


class Allowing(BaseModel):
    model_config = ConfigDict(extra="allow")
    a: int


class Aliased(BaseModel):
    at: dt.datetime = Field(alias="createdAt")
    name: str = Field(validation_alias="full/name~")


class Defaulted(BaseModel):
    day: dt.date | None = None
    count: int = 3
    tags: list[str] = Field(default_factory=list)
    pet: Cat | None = None


class Inner(BaseModel):
    when: dt.time


class Described(BaseModel):
    one: Inner = Field(description="A reference with something beside it.")
    other: Inner


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    at: dt.datetime
    id: uuid.UUID
    share: float
    size: Size
    parts: tuple[float, str]
    codes: set[str]


def _mail(text: str) -> str:
    name, at, host = text.rpartition("@")
    if not (
        at and re.fullmatch(r"[^\s\"@]+", name) and re.fullmatch(r"[\w.-]+\.[\w-]*[a-zA-Z]", host)
    ):
        raise ValueError("no address of mail")
    return text


# What `EmailStr` writes, without its library.
Mail = Annotated[str, pydantic.AfterValidator(_mail), Field(json_schema_extra={"format": "email"})]


def _with(given: Any) -> type[BaseModel]:
    return create_model("Holder", x=(given, ...))


def _one(given: Any, *right: str) -> tuple[type[BaseModel], tuple[str, ...]]:
    return _with(given), tuple(f'{{"x":{each}}}' for each in right)


_STAMPS = (f'"{STAMP}"', '"2024-02-29t23:59:59.123456+23:59"')
MODELS: dict[str, tuple[type[BaseModel], tuple[str, ...]]] = {
    "date": _one(dt.date, '"2026-03-01"', '"2024-02-29"'),
    "datetime": _one(dt.datetime, *_STAMPS),
    "aware_datetime": _one(pydantic.AwareDatetime, *_STAMPS),
    "time": _one(dt.time, '"08:15:30Z"', '"23:59:59.5+02:00"'),
    "timedelta": _one(dt.timedelta, '"PT1H25M"', '"P999999999D"', '"P1Y2M3DT4H5M6S"'),
    "uuid": _one(uuid.UUID, f'"{UUID}"'),
    "uuid4": _one(pydantic.UUID4, f'"{UUID_4}"'),
    "uuid7": _one(pydantic.UUID7, f'"{UUID}"'),
    "ipv4": _one(ipaddress.IPv4Address, '"192.0.2.1"', '"255.255.255.255"'),
    "ipv6": _one(ipaddress.IPv6Address, '"2001:db8::1"', '"::ffff:192.0.2.1"'),
    "ipv4_network": _one(ipaddress.IPv4Network, '"192.0.2.0/24"', '"10.0.0.0/255.0.0.0"'),
    "ipv6_network": _one(ipaddress.IPv6Network, '"2001:db8::/32"'),
    "ipv4_interface": _one(ipaddress.IPv4Interface, '"192.0.2.1/24"'),
    "ipv6_interface": _one(ipaddress.IPv6Interface, '"2001:db8::1/64"'),
    "ip_any": _one(pydantic.IPvAnyAddress, '"192.0.2.1"', '"::1"'),
    "ip_any_network": _one(pydantic.IPvAnyNetwork, '"192.0.2.0/24"', '"::/0"'),
    "url": _one(
        pydantic.AnyUrl,
        '"https://user:p@example.org:8443/a?b#c"',
        '"http://[::1]:80/"',
        '"redis://a:6379/0"',
        '"file:///a"',
        '"urn:a:b"',
    ),
    "email": _one(Mail, '"ann.b+c@mail.example.org"'),
    "bytes": _one(bytes, '"YWJj"', '"\\u00e9"'),
    "base64": _one(pydantic.Base64Bytes, '"YWJj"', '"+/8="', '"YQ=="'),
    "base64url": _one(pydantic.Base64UrlBytes, '"YWJj"', '"-_8="'),
    "secret": _one(pydantic.SecretStr, '"a"'),
    "int": _one(int, "1", "1.0", "2e2", "123456789012345678901234567890", "-0"),
    "float": _one(float, "1", "1.5", "1e-3", "1e400", "123456789012345678901234567890.5"),
    "bool": _one(bool, "true"),
    "null": _one(None, "null"),
    "anything": _one(Any, '{"a":[1,"b",null]}', "1e400"),
    "positive": _one(pydantic.PositiveInt, "1", "2.0"),
    "bounded": _one(Annotated[float, Field(ge=-1.5, lt=2)], "-1.5", "1.75"),
    "multiple_int": _one(Annotated[int, Field(multiple_of=3)], "3", "-9", "0"),
    "multiple_float": _one(Annotated[float, Field(multiple_of=0.1)], "0.3", "1.7", "1000000.1"),
    "pattern": _one(Annotated[str, Field(pattern=r"^\d{3}-[A-Z]\w+$")], '"123-Ab"', '"000-Z_9"'),
    "spaces": _one(Annotated[str, Field(pattern=r"^\S+\s\S.*\b$")], '"a b"', '"é x"'),
    "lengths": _one(
        Annotated[str, Field(min_length=2, max_length=4)], '"ab"', '"é😀"', '"e\\u0301"'
    ),
    "literal": _one(Literal["a", 1, True], '"a"', "1", "true"),
    "literal_int": _one(Literal[1, 2], "1", "2", "2.0"),
    "enum": _one(Colour, '"red"'),
    "int_enum": _one(Size, "1", "2.0"),
    "mixed_enum": _one(Mixed, "0.5", '"name"'),
    "set": _one(set[int], "[1,2]", "[]", "[1.0,3]"),
    "few": _one(Annotated[frozenset[str], Field(min_length=2)], '["a","b"]', '["a","\\u0061b"]'),
    "tuple": _one(tuple[int, str, dt.date], '[1,"a","2026-03-01"]'),
    "tuple_of": _one(tuple[int, ...], "[1,2]", "[]"),
    "list": _one(Annotated[list[uuid.UUID], Field(max_length=2)], f'["{UUID}"]', "[]"),
    "dict": _one(dict[str, int], '{"a":1,"":2}', "{}"),
    "dict_of_uuid": _one(dict[uuid.UUID, int], f'{{"{UUID}":1}}'),
    "dict_of_date": _one(dict[dt.date, list[int]], '{"2026-03-01":[1]}'),
    "dict_of_pattern": _one(dict[Annotated[str, Field(pattern="^a+$")], int], '{"a":1,"aa":2}'),
    "optional": _one(dt.datetime | None, "null", f'"{STAMP}"'),
    "union": _one(int | dt.date | Cat, "1", '"2026-03-01"', '{"kind":"cat","lives":9}'),
    "tagged": _one(
        Annotated[Cat | Dog, Field(discriminator="kind")],
        '{"kind":"cat","lives":9}',
        '{"kind":"dog","born":"2026-03-01"}',
    ),
    "tagged_by_number": _one(
        Annotated[Numbered | Named, Field(discriminator="version")],
        f'{{"version":1,"id":"{UUID}"}}',
        '{"version":2,"name":"a"}',
    ),
    "recursive": (Tree, ('{"value":1,"children":[{"value":2,"children":[]}]}',)),
    "forbidding": (Forbidding, ('{"a":1}',)),
    "allowing": (Allowing, ('{"a":1}', '{"a":1,"b":[2]}')),
    "aliased": (Aliased, (f'{{"createdAt":"{STAMP}","full/name~":"a"}}',)),
    "defaulted": (
        Defaulted,
        (
            '{"day":null,"count":1,"tags":["a"],"pet":null}',
            '{"day":"2026-03-01","count":1,"tags":[],"pet":{"kind":"cat","lives":1}}',
        ),
    ),
    "described": (Described, ('{"one":{"when":"08:15:30Z"},"other":{"when":"08:15:30Z"}}',)),
    "strict": (
        Strict,
        (f'{{"at":"{STAMP}","id":"{UUID}","share":1,"size":1,"parts":[1.5,"a"],"codes":["a"]}}',),
    ),
    "decimal_as_number": _one(
        Annotated[decimal.Decimal, pydantic.WithJsonSchema({"type": "number"})],
        "1.10",
        "123456789012345678901234567890.5",
    ),
    "decimal_of_cents": _one(
        Annotated[
            decimal.Decimal,
            Field(max_digits=5, decimal_places=2),
            pydantic.WithJsonSchema(
                {"type": "number", "multipleOf": 0.01, "minimum": 0, "maximum": 999.99}
            ),
        ],
        "1.10",
        "999.99",
    ),
    "http_url": _one(
        Annotated[
            pydantic.HttpUrl,
            pydantic.WithJsonSchema({"type": "string", "format": "uri", "pattern": "^https?:"}),
        ],
        '"https://example.org/a"',
        '"http://[::1]:80"',
    ),
}
