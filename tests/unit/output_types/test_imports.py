"""What is imported with the library: counted in modules, which do not depend on the machine."""

import json
import subprocess
import sys

import pytest

PROGRAM = """
import json, sys
before = set(sys.modules)
import {module}
json.dump(sorted(set(sys.modules) - before), sys.stdout)
"""


def imported(module: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(module=module)], capture_output=True, check=True
    )
    names: list[str] = json.loads(done.stdout)
    return names


def foreign(names: list[str]) -> set[str]:
    """The packages beside the standard library."""
    return {name.partition(".")[0] for name in names} - set(sys.stdlib_module_names)


def test_the_package_alone_is_one_module():
    assert imported("lakehouse") == ["lakehouse"]


def test_markers_need_few_modules():
    names = imported("lakehouse.output_types.markers")
    ours = {name.split(".")[1] for name in names if name.startswith("lakehouse.")}
    assert ours == {"core", "grounding", "output_types"}
    assert len(names) < 120  # with those of the standard library
    assert foreign(names) <= {"lakehouse", "msgspec", "rfc8785", "typing_extensions"}
    assert not {"asyncio", "ssl", "socket", "concurrent"} & set(names)


@pytest.mark.parametrize("module", ["output_types.output_type", "config.kind_text"])
def test_types_need_no_pydantic_and_no_server(module: str):
    names = imported(f"lakehouse.{module}")
    assert "msgspec" in foreign(names)
    assert not foreign(names) & {"pydantic", "httptools", "duckdb", "pyarrow"}
    assert not [name for name in names if name.startswith("lakehouse.transport")]


def test_a_dataclass_is_read_without_pydantic():
    """Not even where it is installed."""
    program = """
import dataclasses, sys
from lakehouse.output_types.output_type import output_type
@dataclasses.dataclass
class Event:
    airport: str
print(output_type(list[Event]).read(b'{"result": [{"airport": "BCN"}]}'), "pydantic" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout.decode().split("\n")[0] == "[Event(airport='BCN')] False"


def test_without_pydantic_what_only_it_knows_is_refused():
    """Its absence is told, with msgspec's reason."""
    program = """
import dataclasses, sys
sys.modules["pydantic"] = None  # an import of it fails, as where it is not installed
from lakehouse.core.errors import SetupError
from lakehouse.output_types.output_type import output_type
@dataclasses.dataclass
class Flight:
    airport: str
@dataclasses.dataclass
class Train:
    number: str
try:
    output_type(Flight | Train)
except SetupError as error:
    print(error, error.hint)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    told = done.stdout.decode()
    assert told.startswith(
        "Flight | Train cannot be a type of answers: Type unions may not contain"
    )
    assert "install pydantic" in told
