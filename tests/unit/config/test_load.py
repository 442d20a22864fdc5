"""The configuration: what it means, and the one clear message when it is wrong."""

from pathlib import Path

import pytest

from lakehouse.config.lines import line_of
from lakehouse.config.load import load_config
from lakehouse.core.errors import SetupError

GOOD = """
[log]
path = "data"

[models.small]
provider = "scripted"
model = "tiny"
script = "s.json"

[tables.airports]
path = "airports.csv"

[kinds.event]
schema = "e.json"
model = "small"

[[kinds.event.grounding]]
path = "/airport"
column = "airports.iata"
with = { "/city" = "airports.city" }

[[kinds.event.grounding]]
path = "/quote"
match = "quote"
"""


def load(tmp_path: Path, text: str, **environment: str):
    file = tmp_path / "lakehouse.toml"
    file.write_text(text)
    return load_config(file, environment)


def test_a_good_file_is_read_whole(tmp_path):
    """Sections, names, nested rules, and paths relative to the file."""
    config = load(tmp_path, GOOD)

    assert config.models["small"].model == "tiny"
    assert config.kinds["event"].grounding[0].with_ == {"/city": "airports.city"}
    assert config.path(config.log.path) == tmp_path / "data"
    assert config.digest.startswith("sha256:")


def test_without_a_file_the_defaults_hold(tmp_path, monkeypatch):
    """The embedded model, a log below the working directory."""
    monkeypatch.chdir(tmp_path)
    config = load_config(None, {})

    assert config.source == "built-in defaults"
    assert config.models["small"].provider == "llama_cpp"
    assert config.log.path == "lakehouse-data/sessions"


def test_the_environment_names_the_file_and_overrides_fields(tmp_path, monkeypatch):
    """`LAKEHOUSE_CONFIG`, and `LAKEHOUSE_<SECTION>__<FIELD>` for plain and named sections."""
    monkeypatch.chdir(tmp_path.parent)
    file = tmp_path / "other.toml"
    file.write_text(GOOD)
    config = load_config(
        None,
        {
            "LAKEHOUSE_CONFIG": str(file),
            "LAKEHOUSE_LOG__PATH": "/elsewhere/log",
            "LAKEHOUSE_SESSION__DEADLINE_MS": "5000",
            "LAKEHOUSE_MODELS__SMALL__SLOTS": "3",
            "LAKEHOUSE_API_KEYS": "not a field",
        },
    )

    assert config.log.path == "/elsewhere/log"
    assert config.session.deadline_ms == 5000
    assert config.models["small"].slots == 3


def test_the_digest_follows_meaning_and_nothing_else(tmp_path):
    """Comments and the place of the file do not count; a value does."""
    first = load(tmp_path, GOOD).digest
    (tmp_path / "b").mkdir()

    assert load(tmp_path / "b", "# a comment\n" + GOOD).digest == first
    assert load(tmp_path, GOOD.replace('"tiny"', '"tiny2"')).digest != first


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (('path = "data"', 'pth = "data"'), ["line 3", "log.pth", "durability, path"]),
        (('path = "data"', "path = 7"), ["line 3", "log.path: is 7; allowed: text."]),
        (
            ('path = "data"', 'durability = "all"'),
            ["durability: is 'all'; allowed: `commit`, `os`"],
        ),
        (("[log]", "[logs]"), ["line 2", "logs", "log", "gateway"]),
        (('"scripted"', '"gpt"'), ["line 6", "models.small.provider: is 'gpt'", "`openai`"]),
        (('provider = "scripted"', ""), ["models.small.provider: is missing", "`scripted`"]),
        (('match = "quote"', 'mtch = "quote"'), ["grounding[1].mtch: unknown field", "match,"]),
        (('path = "/quote"', ""), ["kinds.event.grounding[1].path: is missing"]),
        (('model = "small"', 'model = "big"'), ["line 15", "kinds.event.model", "'big'", "small"]),
        (('"/airport"', '"airport"'), ["line 17", "kinds.event.grounding[0]", "'airport'"]),
        (
            ("[tables.airports]", "[tables.ports]"),
            ["line 19", "'airports'", "configured tables: ports"],
        ),
        (('"airports.iata"', '"iata"'), ["grounding[0]", "table.column"]),
        (('match = "quote"', 'match = "near"'), ["kinds.event.grounding[1].match", "'near'"]),
        (("[models.small]", "[models.Small]"), ["models.Small", "lowercase"]),
        (('schema = "e.json"', ""), ["kinds.event.schema", "python"]),
        (("[log]", "[log"), ["TOML", "line 2"]),
        *(
            (
                ('provider = "scripted"', f'provider = "scripted"\nreasoning_marks = {marks}'),
                ["models.small.reasoning_marks", *said],
            )
            for marks, said in [
                ("['<a>']", ["reasoning_marks[0]: is '<a>'", "text pair"]),
                ("[['<a>']]", ["is ['<a>']", "text pair"]),
                ("[['<a>', 7]]", ["is 7; allowed: text"]),
                ("[['<a>', '</a>'], ['<b>', '']]", ["pair 2", "'' has 0 characters", "3 to 64"]),
                ("[['{{{', '}}}']]", ["pair 1", "'{{{' must not begin with"]),
                ("[['<a>', '<A>']]", ["must differ"]),
                (f"[['<a>', '{'b' * 65}']]", ["has 65 characters"]),
            ]
        ),
    ],
)
def test_a_bad_file_is_one_message_with_its_place(tmp_path, change, expected):
    """File, line, field, value, and what is allowed."""
    with pytest.raises(SetupError) as caught:
        load(tmp_path, GOOD.replace(change[0], change[1], 1))

    assert "lakehouse.toml" in caught.value.public
    for part in expected:
        assert part in caught.value.public


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[gateway]\nlisten = "0.0.0.0:4110"', ["gateway.listen", "API keys"]),
        ('[chatd]\nlisten = "10.0.0.1:4111"', ["chatd.listen", "API keys"]),
        ('[gateway]\nlisten = "here"', ["gateway.listen", "host:port"]),
        ("[session]\ndeadline_ms = 700000", ["session.deadline_ms", "700000", "600000"]),
        ('[models.a]\nprovider = "openai"\nmodel = "m"', ["models.a.base_url", "missing"]),
        (
            '[models.a]\nprovider = "openai"\nmodel = "m"\nbase_url = "http://x"',
            ["base_url", "/v1"],
        ),
    ],
)
def test_what_must_hold_between_fields(tmp_path, text, expected):
    """Off loopback needs keys; providers need what they need; bounds are told."""
    with pytest.raises(SetupError) as caught:
        load(tmp_path, text)

    for part in expected:
        assert part in caught.value.public


def test_a_missing_file_names_the_command_that_writes_one(tmp_path):
    """Only a file that was asked for has to be there."""
    with pytest.raises(SetupError) as caught:
        load_config(tmp_path / "none.toml", {})

    assert "none.toml" in caught.value.public
    assert "lakehouse init" in caught.value.hint


def test_an_unknown_override_is_refused(tmp_path):
    """A typo in the environment does not pass in silence."""
    with pytest.raises(SetupError, match="unknown field"):
        load(tmp_path, GOOD, LAKEHOUSE_LOG__PAHT="x")


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("LAKEHOUSE_SESSION__DEADLINE_MS", "abc", "is 'abc'; allowed: integer"),
        ("LAKEHOUSE_SESSION__DEADLINE_MS", "700000", "is 700000; allowed is 1 to 600000"),
        (
            "LAKEHOUSE_LOG__PATHH",
            "x",
            "unknown field (did you mean 'path'?); allowed are durability, path, table",
        ),
        ("LAKEHOUSE_LOGS__PATH", "x", "unknown section 'logs'"),
        ("LAKEHOUSE_MODELS__BIG__MODEL", "m", "models.big.provider: is missing"),
        ("LAKEHOUSE_KINDS__EVENT__MODEL", "big", "is 'big'; configured models: small"),
    ],
)
def test_a_bad_override_is_laid_to_its_variable(tmp_path, variable, value, expected):
    """The variable is named as the place, not the file, which is right."""
    with pytest.raises(SetupError) as caught:
        load(tmp_path, GOOD, **{variable: value})

    assert caught.value.public.startswith(f"{variable}: ")
    assert expected in caught.value.public


def test_lines_are_found_in_array_tables():
    """The second entry of an array of tables has lines of its own."""
    assert line_of(GOOD, "kinds.event.grounding[1].match") == 24
    assert line_of(GOOD, "kinds.event.grounding[0].with") == 20
    assert line_of(GOOD, "nothing.here") is None
