"""One type, written as a kind in the configuration and given as a Python type: judged the same."""

import asyncio
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lakehouse.artifact_models.worker import find_model
from lakehouse.config.kind_text import toml_of
from lakehouse.config.kinds import load_kinds
from lakehouse.config.load import load_config
from lakehouse.config.rules import table_files
from lakehouse.core.errors import InfraError
from lakehouse.core.kind import Kind, ModelFault
from lakehouse.core.ports import ValidateRequest
from lakehouse.output_types.output_type import OutputType, output_type
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.validation.schema import SchemaCache
from lakehouse.validatord.service import ValidatorService
from support.sessions import ListedChat, catalog

MODULE = """
import dataclasses, datetime as dt, enum
from decimal import Decimal
from typing import Annotated, Any, ClassVar, Generic, Literal, NamedTuple, TypedDict, TypeVar
import msgspec, pydantic
from lakehouse.output_types.markers import Grounded, Quote, Rule, Within

T = TypeVar("T")
Iata = Annotated[str, Grounded("airports.iata", with_={"city": "airports.city"})]
Quoted = Annotated[str, Quote()]

class Model(pydantic.BaseModel):
    airport: Iata
    city: str
    minutes: int = pydantic.Field(default=1, gt=0)
    @pydantic.field_validator("city")
    @classmethod
    def no_capital(cls, city):
        if city == "Oslo":
            raise ValueError("not the capital")
        return city

class Models(pydantic.RootModel[list[Model]]):
    pass

class Priced(pydantic.BaseModel):
    price: Decimal = pydantic.Field(decimal_places=2)
    more: Any = None

@dataclasses.dataclass
class Data:
    airport: Iata
    city: str
    lakehouse_rules: ClassVar = [Rule("SELECT $city <> 'Bergen'", "not Bergen")]
    def __post_init__(self):
        if self.city == "Oslo":
            raise ValueError("not the capital")
        if self.city == "Bug":
            self.none.such

class Struct(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    iata_code: Annotated[str, Grounded("airports.iata"), Quote()]
    day: dt.date

class Row(TypedDict):
    airport: Iata
    city: str

class Way(enum.Enum):
    IN = "in"
    OUT = "out"

class Leg(NamedTuple):
    way: Way
    airport: Annotated[str, Grounded("airports.iata")]

@dataclasses.dataclass
class Box(Generic[T]):
    item: T
    more: list[T]

@dataclasses.dataclass
class Node:
    value: int
    inner: "list[Node]"

Rows = list[Row]
BoxOfQuotes = Box[Quoted]
Either = Model | Priced
Word = Literal["a", "b"]
Pair = tuple[Quoted, int] | None
Counts = dict[str, int]
Ruled = Annotated[list[int], Rule("SELECT len($result) > 1", "name two")]
Near = Annotated[float, Within("airports.gates", tolerance=0.5)]
"""
CONFIG = """
[models.m]
provider = "scripted"
model = "m"
script = "script.jsonl"
[tables.airports]
path = "airports.csv"
types = { gates = "number" }
"""
TEXT = "BGO Bergen and OSL Oslo"
PAIRS = ['{"airport":"BGO","city":"Bergen"}', '{"airport":"BGO","city":"Oslo"}',
         '{"airport":"OSL","city":"Oslo"}', '{"airport":"XXX","city":"Bug"}', '{"airport":1}',
         '{"airport":"TRD","city":"Trondheim"}', '{"airport":"TRD","city":"Trondheim","minutes":0}',
         '{"airport":"TRD","city":"Trondheim","minutes":"5"}']  # fmt: skip
PRICES = ['{"price":1.10}', '{"price":"1.105"}', '{"price":1.0000000000000000001}', '{"price":[]}']
# Answers to each type; those of a list are the elements, those of a wrapped type what is in it.
ANSWERS = {
    "Model": PAIRS,
    "Models": [f"[{one}]" for one in PAIRS] + [PAIRS[0]],
    "Priced": PRICES,
    "Data": PAIRS,
    "Struct": ['{"iataCode":"BGO","day":"2026-01-01"}', '{"iataCode":"TRD","day":"2026-01-01"}',
               '{"iataCode":"X","day":"2026-02-30"}', '{"iataCode":"BGO"}',
               '{"iataCode":"BGO","day":"2026-01-01","more":1}'],
    "Row": PAIRS,
    "Way": ['{"result":"in"}', '{"result":"up"}', '"in"', "{}"],
    "Leg": ['{"result":["in","BGO"]}', '{"result":["in","X"]}', '{"result":["up","BGO"]}',
            '{"result":["in"]}'],
    "Rows": [f'{{"result":[{one}]}}' for one in PAIRS] + ["[]", '{"result":[]}'],
    "BoxOfQuotes": ['{"item":"BGO","more":["Oslo"]}', '{"item":"TRD","more":["Oslo","x"]}',
                    '{"item":"BGO","more":[1]}'],
    "Node": ['{"value":1,"inner":[{"value":2,"inner":[]}]}', '{"value":1,"inner":[{"value":"2"}]}'],
    "Either": [f'{{"result":{one}}}' for one in (PAIRS[0], *PRICES)],
    "Pair": ['{"result":["Oslo",1]}', '{"result":["Rome",1]}', '{"result":null}',
             '{"result":["Oslo"]}', '{"result":["Oslo","1"]}'],
    "Word": ['{"result":"a"}', '{"result":"c"}', '{"result":null}'],
    "Counts": ['{"a":1}', '{"a":1.5}', '{"a":"1"}', "{}", "[]"],
    "Ruled": ['{"result":[1,2]}', '{"result":[1]}', '{"result":["1"]}'],
    "Near": ['{"result":33.4}', '{"result":34}', '{"result":"33"}'],
}  # fmt: skip


class InHere:
    """The check of a type by itself, in this process."""

    def __init__(self, type_: OutputType[Any]) -> None:
        self._type = type_

    async def faults(self, artifact: bytes) -> list[ModelFault]:
        try:
            return self._type.faults(artifact)
        except AttributeError as error:
            raise InfraError("rule_broken", str(error)) from error

    def close(self) -> None:
        pass


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("types")
    (folder / "types_as_kinds.py").write_text(textwrap.dedent(MODULE))
    (folder / "airports.csv").write_text(
        "iata,city,gates\nOSL,Oslo,98\nBGO,Bergen,33\nTRD,Trondheim,21\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield folder


def kind_of(made: OutputType[Any], like: Kind) -> Kind:
    return msgspec.structs.replace(
        like,
        name="here",
        schema=msgspec.Raw(made.schema),
        grounding=made.grounding,
        rules=made.rules,
        model_check=InHere(made),
    )


def printed(folder: Path, made: OutputType[Any]) -> Kind:
    """Load what is printed of a type."""
    text = toml_of(made, "printed")
    (folder / "lakehouse.toml").write_text(CONFIG + text)
    (folder / "printed.schema.json").write_text(schema_below(text))
    schemas = SchemaCache()
    kind = load_kinds(load_config(folder / "lakehouse.toml", {}), schemas)["printed"]
    assert b"x-lakehouse" not in bytes(kind.schema)
    return kind


def schema_below(text: str) -> str:
    lines = text.partition(".schema.json:\n")[2].splitlines()
    return "\n".join(line.removeprefix("# ") for line in lines)


@pytest.mark.parametrize("name", ANSWERS)
def test_a_type_judges_the_same_as_a_kind_and_by_itself(folder: Path, name: str) -> None:
    reference = f"types_as_kinds:{name}"
    text = f'{CONFIG}[kinds.there]\npython = "{reference}"\n'
    (folder / "lakehouse.toml").write_text(text)
    config, schemas = load_config(folder / "lakehouse.toml", {}), SchemaCache()
    there = load_kinds(config, schemas)["there"]
    made = output_type(find_model(reference))
    here = kind_of(made, there)
    # What the code of a type checks cannot be printed; all else is.
    toml = msgspec.structs.replace(printed(folder, made), model_check=InHere(made))
    kinds = {"there": there, "here": here, "printed": toml}
    config = msgspec.structs.replace(config, kinds=dict.fromkeys(kinds, config.kinds["there"]))
    tables = table_files(kinds, schemas, config)
    service = ValidatorService(catalog(**kinds), chat=ListedChat(), tables=tables, sink=MemoryLog())

    async def told(kind: str, output: str) -> Any:
        request = ValidateRequest(output=output, kind=kind, source=TEXT)
        try:
            reply = await service.validate(request)
        except InfraError as error:
            return "broken", error.code
        findings = [(one.code, one.path, bytes(one.got or b"")) for one in reply.findings]
        return reply.verdict, reply.grounded, findings

    try:
        all_three = [
            [asyncio.run(told(kind, output)) for output in ANSWERS[name]] for kind in kinds
        ]
    finally:
        tables.close()
        assert there.model_check is not None
        there.model_check.close()
    assert all_three[0] == all_three[1] == all_three[2]
    assert {"accepted", "rejected"} <= {one[0] for one in all_three[0]}
    # Its own code has an error.
    assert (("broken", "rule_broken") in all_three[0]) == (name == "Data")
