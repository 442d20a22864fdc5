"""The examples in the docstrings of the Python clients print what they say."""

import asyncio
import dataclasses
import doctest
import inspect
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pytest

import lakehouse
import lakehouse.testing
from lakehouse import Grounded, Quote, Rule, Within
from lakehouse.testing import scripted
from support.python_client import configured
from support.stack import running_stack

WRONG = '{"airport":"BCX","minutes":25}'
ANSWERS = {
    "matches": {
        "BOS: delayed": ['{"airport":"BOS","minutes":40}'],
        "BCN": [WRONG, '{"airport":"BCN","minutes":25}'],
    }
}
KIND = """
[kinds.event]
schema = "event.schema.json"
[[kinds.event.grounding]]
path = "/airport"
column = "airports.iata"
"""
# Every call and class with which a program begins has an example.
SHOWN = {
    *("open", "open_async", "connect", "connect_async"),
    *("Lake.create", "Lake.create_with_session", "Lake.stream", "Lake.create_many"),
    *("Lake.iterate", "Lake.check", "Lake.on"),
    *("Grounded", "Within", "Quote", "Rule", "Reject", "Exhausted", "scripted"),
}


@dataclasses.dataclass
class Event:
    """What the examples ask for."""

    airport: Annotated[str, Grounded("airports.iata")]
    minutes: int


@dataclasses.dataclass
class Late:
    """The same without a table."""

    airport: str
    minutes: int


def examples() -> dict[str, doctest.DocTest]:
    """Find every docstring with an example, by the name that a reader knows."""
    objects: dict[str, Any] = {name: getattr(lakehouse, name) for name in lakehouse.__all__}
    objects |= {name: getattr(lakehouse.testing, name) for name in lakehouse.testing.__all__}
    for name, found in tuple(objects.items()):
        if inspect.isclass(found):
            objects |= {
                f"{name}.{one}": method
                for one, method in vars(found).items()
                if inspect.isfunction(method) and not one.startswith("_")
            }
    parser = doctest.DocTestParser()
    names: dict[str, Any] = {"asyncio": asyncio, "msgspec": msgspec}
    names |= {"lakehouse": lakehouse, "scripted": scripted, "Annotated": Annotated}
    names |= {"Event": Event, "Late": Late, "Grounded": Grounded, "Quote": Quote}
    names |= {"Rule": Rule, "Within": Within}
    tests = {
        name: parser.get_doctest(inspect.getdoc(found) or "", dict(names), name, None, None)
        for name, found in objects.items()
    }
    return {name: test for name, test in tests.items() if test.examples}


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, int]]:
    """Give a project with a stack that is up, and its port."""
    directory = tmp_path_factory.mktemp("project")
    path = configured(directory, more=KIND)
    (directory / "script.json").write_text(json.dumps(ANSWERS))
    schema = msgspec.json.schema(Late)
    (directory / "event.schema.json").write_text(json.dumps(schema["$defs"]["Late"]))
    with running_stack(directory, path.read_text(), apart=False) as daemons:
        yield directory, daemons["gateway"].port


@pytest.mark.parametrize("name", sorted(examples()))
def test_an_example_prints_what_it_says(
    name: str, project: tuple[Path, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, port = project
    monkeypatch.chdir(directory)
    test = examples()[name]
    for one in test.examples:
        one.source = one.source.replace("http://127.0.0.1:4110", f"http://127.0.0.1:{port}")
        one.want = one.want.replace("…", "...")
        one.exc_msg = one.exc_msg and one.exc_msg.replace("…", "...")
    told: list[str] = []

    failed, tried = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(test, out=told.append)

    assert tried == len(test.examples)
    assert failed == 0, "".join(told)


def test_what_a_program_begins_with_has_an_example() -> None:
    assert sorted(SHOWN - set(examples())) == []
