"""`history` and `reprompt`: what the file may say, and what they do to a kind's digest."""

from pathlib import Path

import pytest

from lakehouse.config.kinds import load_kinds
from lakehouse.config.load import load_config
from lakehouse.core.errors import SetupError
from lakehouse.core.kind import Kind
from lakehouse.validation.schema import SchemaCache

MODEL = '[models.m]\nprovider = "scripted"\nmodel = "m"\nscript = "answers.json"\n'


def kind_of(directory: Path, line: str) -> Kind:
    (directory / "s.json").write_text('{"type": "object"}')
    file = directory / "lakehouse.toml"
    file.write_text(f'{MODEL}[kinds.k]\nschema = "s.json"\n{line}\n')
    return load_kinds(load_config(file, {}), SchemaCache())["k"]


def test_a_kind_s_digest_knows_how_it_asks_again(tmp_path: Path):
    """Each setting changes the digest; leaving it out keeps the digest of older kinds."""
    lines = ["", "repair = true", 'history = "full"', 'history = "findings"', 'reprompt = "Again."']
    kinds = [kind_of(tmp_path, line) for line in lines]

    assert len({kind.digest for kind in kinds}) == len(lines)
    assert (kinds[2].history, kinds[4].reprompt) == ("full", "Again.")


@pytest.mark.parametrize("section", ["models.m", "kinds.k"])
def test_an_unknown_history_is_refused(tmp_path: Path, section: str):
    (tmp_path / "s.json").write_text("{}")
    file = tmp_path / "lakehouse.toml"
    line = 'history = "everything"\n'
    model = MODEL + (line if section == "models.m" else "")
    kind = '[kinds.k]\nschema = "s.json"\n' + (line if section == "kinds.k" else "")
    file.write_text(model + kind)

    with pytest.raises(SetupError, match=rf"{section}\.history.*answer_and_findings"):
        load_config(file, {})
