"""Unknown names on the command line and in the file: the message names what was meant."""

import asyncio
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from lakehouse.config.lines import line_of
from lakehouse.config.load import load_config
from lakehouse.core.errors import SetupError
from lakehouse.core.wording import counted
from lakehouse.sessionlog.writing.writer import SessionLogWriter
from lakehouse.validation.schema import SchemaCache
from support.forked_commands import run_command
from support.rows import make_row
from support.stack import SCRIPTED

GROUNDING = "[[kinds.k.grounding]]\npath = '/a'\ncolumn = 'airport.iata'"
KIND = '[kinds.invoice]\nschema = "invoice.schema.json"\n'


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with a kind `invoice`, and a log with one session of `airport_event`."""
    directory = tmp_path_factory.mktemp("project")
    (directory / "lakehouse.toml").write_text(SCRIPTED + KIND)
    (directory / "invoice.schema.json").write_text('{"type": "object"}')
    (directory / "script.json").write_text('["{}"]')
    writer = SessionLogWriter.open(directory / "log", daemon="validatord")
    asyncio.run(writer.append(make_row()))
    writer.close()
    return directory


def lakehouse(
    project: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    return run_command(arguments, cwd=project, env={**os.environ, **environment}, timeout=60)


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (("stats", "--kind", "invoce"), "no such kind (did you mean 'invoice'?)"),
        (("stats", "--kind", "airport_evnt"), "no such kind (did you mean 'airport_event'?)"),
        (("sessions", "--kind", "Invoices"), "no such kind (did you mean 'invoice'?)"),
        (("sessions", "--model", "smal"), "no such model (did you mean 'small'?)"),
        (("stats", "--daemon", "reply"), "no such daemon (did you mean 'replay'?)"),
        (("stats", "--by", "knd"), "is 'knd' (did you mean 'kind'?)"),
        (("sesions",), "No such command 'sesions' (did you mean 'sessions'"),
        (
            ("run", "--kind", "invoce", "--input", "x.csv", "--column", "a", "--output", "o"),
            "x.csv",
        ),
        (("doctor", "kindz"), "(did you mean 'kinds'?)"),
        (("models", "pull", "smolm2"), "(did you mean 'smollm2'?)"),
    ],
)
def test_an_unknown_name_is_refused_with_the_nearest(project: Path, arguments, meant: str):
    """Exit code 2 and no traceback: an empty result would look like an empty log."""
    done = lakehouse(project, *arguments)

    assert done.returncode == 2, done
    assert meant in done.stderr
    assert "Traceback" not in done.stderr


def test_a_configured_kind_without_sessions_counts_none(project: Path):
    done = lakehouse(project, "stats", "--kind", "invoice", "--json")

    assert (done.returncode, json.loads(done.stdout)["sessions"]) == (0, 0)


def test_kinds_and_models_are_listed(project: Path):
    """What the configuration offers, as a table and as JSON."""
    kinds = json.loads(lakehouse(project, "kinds", "--json").stdout)["kinds"]
    models = json.loads(lakehouse(project, "models", "list", "--json").stdout)["models"]

    assert [kind["name"] for kind in kinds] == ["invoice"]
    assert [(one["name"], one["state"]) for one in models] == [("small", "ready")]
    assert "invoice" in lakehouse(project, "kinds").stdout
    assert "scripted" in lakehouse(project, "models", "list").stdout


def test_a_shell_completes_commands(project: Path):
    """The variables that the installed completion sets."""
    done = lakehouse(
        project,
        _LAKEHOUSE_COMPLETE="complete_bash",
        COMP_WORDS="lakehouse sess",
        COMP_CWORD="1",
    )

    assert done.stdout.split() == ["sessions"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '\n[table.a]\npath = "x"',
            "line 2: table: unknown section 'table' (did you mean 'tables'?)",
        ),
        ("[gatway]", "line 1: gatway: unknown section 'gatway' (did you mean 'gateway'?)"),
        ('\n\n[log]\npth = "x"', "line 4: log.pth: unknown field (did you mean 'path'?)"),
        (
            f"{SCRIPTED}[kinds.k]\nschema = 's'\n[[kinds.k.grounding]]\npath = '/a'\ncolum = 'a.b'",
            "(did you mean 'column'?)",
        ),
        (f"{SCRIPTED}[kinds.k]\nschema = 's'\nmodel = 'smal'", "is 'smal' (did you mean 'small'?)"),
        (
            f"{SCRIPTED}[tables.airports]\npath = 'a'\n[kinds.k]\nschema = 's'\n{GROUNDING}",
            "'airport' is not configured (did you mean 'airports'?)",
        ),
    ],
)
def test_a_slip_in_the_file_is_named_with_its_line(tmp_path: Path, text: str, message: str):
    file = tmp_path / "lakehouse.toml"
    file.write_text(text)

    with pytest.raises(SetupError) as caught:
        load_config(file, {})

    assert message in caught.value.public


def test_a_section_stands_where_its_first_part_does():
    assert line_of("\n[table.a]\n[table.b]\n", "table") == 2
    assert line_of("\n[[table.a.b]]\n", "table") == 2
    assert line_of("[tables.a]\n", "table") is None


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "objct"}, ["keyword 'type' of the schema itself", "did you mean 'object'"]),
        ({"properties": {"a": {"type": "str"}}}, ["keyword 'type' of property 'a'", "'string'"]),
        ({"properties": {"a": {"minimum": "3"}}}, ["keyword 'minimum' of property 'a'", "number"]),
        ({"$defs": {"x": {"multipleOf": 0}}}, ["keyword 'multipleOf' of definition 'x'"]),
        ({"properties": {"a": 5}}, ["the schema of property 'a'", "boolean"]),
        ({"required": "a"}, ["keyword 'required' of the schema itself", "array"]),
        ({"allOf": [{"required": [1]}]}, ["at '/allOf/0/required/0'"]),
    ],
)
def test_a_schema_error_names_keyword_and_place(schema: dict[str, Any], words: list[str]):
    with pytest.raises(Exception, match="The schema is not accepted") as caught:
        SchemaCache().get(json.dumps(schema).encode())

    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("count", "told"), [(0, "0 kinds"), (1, "1 kind"), (2, "2 kinds"), (1_000, "1,000 kinds")]
)
def test_counts_agree_with_their_nouns(count: int, told: str):
    assert counted(count, "kind") == told
