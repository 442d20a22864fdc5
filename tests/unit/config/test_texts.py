"""Configurations that no person writes: each is one message that names the place, never more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lakehouse.config.checks import listen_address
from lakehouse.config.load import load_config
from lakehouse.core.errors import SetupError
from lakehouse.core.integers import whole_number
from lakehouse.tracing.destination import find_destination
from support.forked_commands import run_command_bytes

DIGITS = "9" * 5_000
NOT_UTF8 = "a\udcffb"


def fault(tmp_path: Path, text: str, **environment: str) -> str:
    file = tmp_path / "lakehouse.toml"
    file.write_text(text)
    with pytest.raises(SetupError) as caught:
        load_config(file, environment)
    assert len(caught.value.public) < 1_000 + len(str(file))
    return caught.value.public


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a = " + "[" * 100_000 + "]" * 100_000, "nested too deeply"),
        ("a = " + "[" * 100_000, "nested too deeply"),
        ("a = " + "{b = " * 50_000 + "1" + "}" * 50_000, "nested too deeply"),
        (f"[session]\ndeadline_ms = {DIGITS}", "too many digits"),
        (f"[session]\ndeadline_ms = -{DIGITS}", "too many digits"),
        (f"[session]\ndeadline_ms = {'9' * 4_000}", "deadline_ms: is 999"),
        (f'[log]\ndurability = "{"x" * 100_000}"', "log.durability: is 'xxx"),
        ('[log]\npath = "a\\u0000b"', "line 2: log.path: is 'a\\x00b'; a NUL"),
        ('[tables.t]\npath = "a\\u0000b"', "line 2: tables.t.path"),
        ('[kinds.k]\nschema = "a\\u0000b"', "line 2: kinds.k.schema"),
        ('[kinds.k]\npython = "a\\u0000b:C"', "line 2: kinds.k.python"),
        ('[gateway]\nlisten = "local\\u0000host:1"', "line 2: gateway.listen"),
        ('[gateway]\nallowed_origins = ["\\u0000"]', "gateway.allowed_origins[0]"),
        ('[[kinds.k.rules]]\nsql = "SELECT \\u0000"\nmessage = ""', "kinds.k.rules[0].sql"),
        ('[log]\npath = "\\ud800"', "not valid TOML"),
        ('[log]\npath = "file:///tmp/log"', "line 2: log.path"),
        ('[log]\npath = "s3://bucket/log"', "line 2: log.path"),
        ('[log]\ntable = "file://host/table"', "line 2: log.table"),
        ('[log]\ntable = "file:table"', "line 2: log.table"),
        ('[tables.t]\npath = "file:///tmp/t.csv"', "line 2: tables.t.path"),
        ('[kinds.k]\nschema = "https://example.com/s.json"', "line 2: kinds.k.schema"),
        (
            '[models.m]\nprovider = "scripted"\nmodel = "m"\nscript = "file:/s.json"',
            "line 4: models.m.script",
        ),
    ],
)
def test_a_file_that_nobody_means_is_one_message(tmp_path: Path, text: str, told: str) -> None:
    """Where it can be said, with file, line and field."""
    message = fault(tmp_path, text)
    assert str(tmp_path / "lakehouse.toml") in message
    assert told in message


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("LAKEHOUSE_SESSION__DEADLINE_MS", DIGITS, "too many digits"),
        ("LAKEHOUSE_SESSION__DEADLINE_MS", "[" * 50_000, "nested too deeply"),
        ("LAKEHOUSE_SESSION__DEADLINE_MS", "٤٥", "session.deadline_ms: is '٤٥'"),
        ("LAKEHOUSE_LOG__PATH", NOT_UTF8, "log.path: is 'a\\udcffb', which is not valid UTF-8"),
        ("LAKEHOUSE_LOG__PATH", '"a\\u0000b"', "log.path"),
        ("LAKEHOUSE_MODELS__SMALL__MODEL", NOT_UTF8, "models.small.model"),
        ("LAKEHOUSE_GATEWAY__LISTEN", NOT_UTF8 + ":1", "gateway.listen"),
        ("LAKEHOUSE_KINDS__K__SYSTEM", NOT_UTF8, "kinds.k.system"),
        (f"LAKEHOUSE_MODELS__{NOT_UTF8}__MODEL", "m", "names are 1 to 64"),
        (f"LAKEHOUSE_{NOT_UTF8}__MODEL", "m", "unknown section"),
        (f"LAKEHOUSE_LOG__{NOT_UTF8}", "m", "unknown field"),
    ],
)
def test_a_variable_that_nobody_means_is_one_message(
    tmp_path: Path, variable: str, value: str, told: str
) -> None:
    """It names the variable."""
    message = fault(tmp_path, "", **{variable: value})
    assert variable in message
    assert told in message


@pytest.mark.parametrize(
    "listen",
    [
        "127.0.0.1:٤٥",
        "127.0.0.1:４５",
        "127.0.0.1:²",
        "127.0.0.1:+45",
        "127.0.0.1:-45",
        "127.0.0.1: 45",
        "127.0.0.1:45 ",
        "127.0.0.1:4_5",
        "127.0.0.1:0x45",
        "127.0.0.1:45.0",
        "127.0.0.1:65536",
        "127.0.0.1:" + DIGITS,
        "127.0.0.1:",
        "127.0.0.1",
        ":45",
        "[]:45",
        "[127.0.0.1]:45",
        "[[::1]]:45",
        "[::1:45",
        "::1]:45",
        "::1:45",
    ],
)
def test_an_address_to_listen_at_has_one_spelling(listen: str) -> None:
    """Digits of other scripts, signs and spaces are no port."""
    with pytest.raises(ValueError):
        listen_address(listen)


def test_addresses_to_listen_at() -> None:
    """Zeros before a number are no other number."""
    assert listen_address("127.0.0.1:45") == ("127.0.0.1", 45)
    assert listen_address("localhost:00045") == ("localhost", 45)
    assert listen_address("[::1]:0") == ("::1", 0)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("0", 0),
        ("200", 200),
        ("0000000200", 200),
        ("0" * 10_000, 0),
        ("201", None),
        ("0000000012" + "0" * 9_000, None),
        (DIGITS, None),
        ("", None),
        ("1_0", None),
        ("+1", None),
        ("-0", None),
        (" 1", None),
        ("1\n", None),
        ("1.0", None),
        ("1e1", None),
        ("٤٥", None),
        ("²", None),
        ("१", None),
        ("①", None),
    ],
)
def test_a_whole_number_is_ascii_digits(text: str, number: int | None) -> None:
    """However many, they cost nothing."""
    assert whole_number(text, 200) == number


@pytest.mark.parametrize("text", ["٤٥", "000000001" + "0" * 5_000, DIGITS, "-1", "1_0"])
def test_a_tracing_timeout_is_one_message(text: str) -> None:
    """The environment of another tool may hold anything."""
    with pytest.raises(SetupError, match="OTEL_EXPORTER_OTLP_TIMEOUT"):
        find_destination(
            {
                "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1",
                "OTEL_EXPORTER_OTLP_TIMEOUT": text,
            }
        )


@pytest.mark.parametrize(
    "arguments",
    [
        [b"show", b"\xff"],
        [b"sessions", b"--kind", b"\xff"],
        [b"iterate", b"--kind", b"a", b"--prompt", b"\xff"],
        [b"--config", b"\xff.toml", b"sessions"],
    ],
)
def test_an_argument_that_is_not_utf8_is_one_message(
    tmp_path: Path, arguments: list[bytes]
) -> None:
    """Exit code 2, and where it stands."""
    command = [os.fsencode(sys.executable), b"-m", b"lakehouse", *arguments]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: Argument ")
    assert done.stderr.count(b"\n") == 1


def test_a_directory_whose_name_is_not_utf8_is_one_message(tmp_path: Path) -> None:
    """A query names its paths to a process of its own."""
    place = tmp_path / "\udcff"
    (place / "lakehouse-data" / "sessions" / "active").mkdir(parents=True)
    done = run_command_bytes(["query", "SELECT 1"], cwd=place, timeout=60)
    assert done.returncode == 2
    assert b"is not valid UTF-8" in done.stderr
    assert b"Traceback" not in done.stderr


@pytest.mark.parametrize(
    "text",
    [
        ".".join("a" * 50_000) + " = 1",
        " . ".join("a" * 50_000) + " = 1",
        "[" + ".".join("a" * 50_000) + "]",
        "[[" + ".".join("a" * 50_000) + "]]",
        "log = {" + ".".join(["'b c'"] * 50_000) + " = 1}",
        ".".join(['"b"'] * 65) + " = 1",
    ],
)
def test_a_key_of_many_parts_is_refused_before_it_is_read(tmp_path: Path, text: str) -> None:
    assert "more than 64 dotted parts" in fault(tmp_path, text)


def test_a_key_of_64_parts_is_read(tmp_path: Path) -> None:
    assert "unknown section 'a'" in fault(tmp_path, ".".join("a" * 64) + " = 1")


def test_a_file_over_the_limit_is_refused_unread(tmp_path: Path) -> None:
    """At the limit it is read; beyond, whatever it holds, it is one message."""
    comment = "#" + "x" * (4 << 20)
    assert "is larger than 4 MiB" in fault(tmp_path, comment)
    (tmp_path / "lakehouse.toml").write_text(comment[: 4 << 20])
    assert load_config(tmp_path / "lakehouse.toml", {}).models


def test_a_file_without_an_end_is_refused() -> None:
    with pytest.raises(SetupError, match="is larger than 4 MiB"):
        load_config(Path("/dev/zero"), {})
