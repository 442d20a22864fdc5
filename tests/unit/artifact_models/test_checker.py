"""A Python model's own validators, in processes that may block or end without harm."""

import asyncio
import hashlib
import importlib
import inspect
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from lakehouse.artifact_models.checker import ModelChecker
from lakehouse.artifact_models.declared import declared_model
from lakehouse.core.errors import InfraError, SetupError
from lakehouse.core.json_text import pointer
from support.held_loop import watched_loop

MODELS = """
import os, re, time
from datetime import date
from decimal import Decimal
from typing import Annotated, Literal
from pydantic import (AliasPath, AfterValidator, BaseModel, Field, RootModel, field_validator,
    model_validator)

def no_bad(text):
    if text == "bad":
        raise ValueError("no bad")
    return text

class Line(BaseModel):
    sku: Annotated[str, AfterValidator(no_bad)] = "x"
    amount: Decimal = Field(default=Decimal(1), gt=0, max_digits=6, decimal_places=2)

class Cat(BaseModel):
    kind: Literal["cat"]
    lives: int = Field(gt=0)
    cat: dict[str, int] = {}

class Dog(BaseModel):
    kind: Literal["dog"]
    name: str

class Order(BaseModel):
    total: Decimal = Field(default=Decimal(1), gt=0)
    lines: list[Line] = []
    pet: Cat | Dog | None = Field(default=None, discriminator="kind")
    either: list[int] | Cat | None = None
    counts: dict[str, Annotated[int, Field(gt=0)]] = {}
    pair: tuple[int, Line] | None = None
    of: int = Field(default=1, alias="the of", lt=9)
    before: Decimal = Field(default=Decimal(1), decimal_places=2)
    deep: int = Field(default=1, validation_alias=AliasPath("far", 0), lt=9)
    mode: str = ""

    @field_validator("before", mode="before")
    @classmethod
    def compares_numbers(cls, value):
        if value < 0:
            raise ValueError("negative")
        return value

    @model_validator(mode="after")
    def check(self):
        if self.mode == "sum":
            raise ValueError("total is not the sum")
        if self.mode == "assert":
            assert False, "asserted"
        if self.mode == "bug":
            raise KeyError("a bug of mine")
        if self.mode == "type":
            len(None)
        if self.mode == "exit":
            raise SystemExit(3)
        if self.mode == "die":
            os._exit(4)
        if self.mode == "print":
            print("not an answer")
            os.write(1, b"nor this\\n")
        if self.mode == "block":
            time.sleep(60)
        if self.mode == "spin":
            re.match("(a+)+$", "a" * 60 + "b")  # holds the interpreter's lock
        return self

class Lines(RootModel[list[Line]]):
    pass
"""
Check = Callable[[str], list[tuple[str, str]]]


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A module of models that this process and its children can import."""
    folder = tmp_path_factory.mktemp("models")
    (folder / "models_under_test.py").write_text(textwrap.dedent(MODELS))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(folder))
        yield "models_under_test"


@pytest.fixture(scope="module")
def check(package: str) -> Iterator[Check]:
    checker = ModelChecker(f"{package}:Order")

    def run(artifact: str) -> list[tuple[str, str]]:
        faults = asyncio.run(checker.faults(artifact.encode()))
        return [(pointer(*fault.place), fault.message) for fault in faults]

    yield run
    checker.close()


@pytest.mark.parametrize(
    ("artifact", "path", "word"),
    [
        ('{"total":"-1"}', "/total", "greater than 0"),
        ('{"total":0}', "/total", "greater than 0"),
        ('{"lines":[{},{"amount":1.005}]}', "/lines/1/amount", "2 decimal places"),
        ('{"lines":[{"amount":"12345.67"}]}', "/lines/0/amount", "6 digits"),
        ('{"lines":[{"amount":1.0000000000000000001}]}', "/lines/0/amount", "digits"),
        ('{"before":1.0000000000000000001}', "", "too many digits"),
        ('{"before":1.001}', "/before", "decimal places"),
        ('{"lines":[{"sku":"bad"}]}', "/lines/0/sku", "no bad"),
        ('{"mode":"sum"}', "", "total is not the sum"),
        ('{"mode":"assert"}', "", "asserted"),
        ('{"pet":{"kind":"cat","lives":0}}', "/pet/lives", "greater than 0"),
        ('{"pet":{"kind":"cat","lives":0,"cat":{"lives":1}}}', "/pet/lives", "greater than 0"),
        ('{"pet":{"kind":"cat","lives":1,"cat":{"cat":"x"}}}', "/pet/cat/cat", "integer"),
        ('{"pet":{"kind":"dog"}}', "/pet", "required"),
        ('{"either":{"kind":"cat","lives":0}}', "/either/lives", "greater than 0"),
        ('{"either":[1,"x"]}', "/either/1", "integer"),
        ('{"counts":{"a/b":0}}', "/counts/a~1b", "greater than 0"),
        ('{"pair":[1,{"sku":"bad"}]}', "/pair/1/sku", "no bad"),
        ('{"pair":[1]}', "/pair", "required"),
        ('{"the of":9}', "/the of", "less than 9"),
        ('{"far":[9]}', "/far/0", "less than 9"),
    ],
)
def test_what_a_validator_rejects_is_a_fault_at_its_place(
    check: Check, artifact: str, path: str, word: str
) -> None:
    """Through lists, unions and their tags, aliases, keys and positions."""
    found = check(artifact)
    assert any(place == path and word in message for place, message in found), found


@pytest.mark.parametrize(
    "artifact",
    ["{}", '{"total":"1.10"}', '{"total":0.1,"lines":[{"amount":1.10}]}', '{"mode":"print"}'],
)
def test_what_the_model_takes_has_no_fault(check: Check, artifact: str) -> None:
    """What validators print reaches no answer."""
    assert check(artifact) == []


@pytest.mark.parametrize(
    ("mode", "word"),
    [
        ("bug", "KeyError: 'a bug of mine'"),
        ("type", "TypeError"),
        ("exit", "SystemExit: 3"),
        ("die", "ended their process"),
    ],
)
def test_an_error_of_the_validators_own_is_no_fault_of_the_answer(
    check: Check, mode: str, word: str
) -> None:
    """And the next answer is checked as ever."""
    with pytest.raises(InfraError) as caught:
        check(f'{{"mode":"{mode}"}}')
    assert caught.value.code == "rule_broken"
    assert not caught.value.retryable
    assert word in caught.value.public
    assert check('{"mode":"sum"}')[0][0] == ""


@pytest.mark.parametrize("mode", ["block", "spin"])
def test_a_validator_that_blocks_is_ended_and_stops_nobody(
    package: str, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that holds the interpreter's lock: the loop here goes on meanwhile."""
    checker = ModelChecker(f"{package}:Order", timeout_ms=60_000)

    async def run() -> tuple[InfraError, float]:
        await checker.faults(b"{}")
        with monkeypatch.context() as short:
            short.setattr(checker, "_timeout_ms", 1_000)
            async with watched_loop() as held:
                with pytest.raises(InfraError) as caught:
                    await checker.faults(f'{{"mode":"{mode}"}}'.encode())
        assert await checker.faults(b"{}") == []
        return caught.value, held.worst_s

    try:
        error, held_s = asyncio.run(run())
    finally:
        checker.close()
    assert error.code == "timeout"
    assert "1000 ms" in error.public
    assert held_s < 0.8


def test_closing_ends_the_children(package: str) -> None:
    checker = ModelChecker(f"{package}:Order")

    asyncio.run(checker.faults(b"{}"))
    [worker] = checker._all
    assert worker.alive
    checker.close()
    assert not worker.alive


def test_a_root_model_is_checked_too(package: str) -> None:
    checker = ModelChecker(f"{package}:Lines")
    try:
        [fault] = asyncio.run(checker.faults(b'[{},{"sku":"bad"}]'))
    finally:
        checker.close()
    assert fault.place == (1, "sku")


@pytest.mark.parametrize("name", ["Order", "Lines", "Cat"])
def test_a_model_is_declared_as_pydantic_and_its_module_write_it(package: str, name: str) -> None:
    """Digests of kinds cover both: they outlive how types are read."""
    module = importlib.import_module(package)
    source = inspect.getsource(module).encode()
    found = declared_model(f"{package}:{name}")
    assert found.schema == msgspec.json.encode(getattr(module, name).model_json_schema())
    assert b'"title"' in found.schema
    assert found.source == "sha256:" + hashlib.sha256(source).hexdigest()


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("models_under_test", ["package.module:Model"]),
        ("models_under_test:Nothing", ["cannot be imported", "Nothing"]),
        ("no_such_module_at_all:Order", ["cannot be imported", "no_such_module_at_all"]),
        ("broken_under_test:Order", ["cannot be imported", "ZeroDivisionError"]),
        ("models_under_test:no_bad", ["no_bad is a callable", "cannot be a type of answers"]),
        ("io:BytesIO", ["BytesIO cannot be a type of answers"]),
        ("odd_under_test:Odd", ["Odd.f is a callable", "cannot be a type of answers"]),
    ],
)
def test_a_model_that_cannot_be_used_is_told_plainly(
    package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str, words: list[str]
) -> None:
    (tmp_path / "broken_under_test.py").write_text("1 / 0\n")
    (tmp_path / "odd_under_test.py").write_text(
        "from collections.abc import Callable\nfrom pydantic import BaseModel\n"
        "class Odd(BaseModel):\n    f: Callable[[], int]\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SetupError) as caught:
        declared_model(reference)
    for word in words:
        assert word in caught.value.public
    assert caught.value.hint
