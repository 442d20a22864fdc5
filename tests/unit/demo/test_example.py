"""The example configuration is the kind that `lakehouse init` writes, with rules added."""

from importlib.resources import files
from pathlib import Path

from lakehouse.config.kinds import load_kinds
from lakehouse.config.load import load_config
from lakehouse.validation.schema import SchemaCache

EXAMPLE = Path(__file__).parents[3] / "examples" / "airport_event" / "lakehouse.toml"


def test_the_example_is_the_shipped_kind_and_stricter(tmp_path):
    """Same schema, system text and grounding, so that nothing is loosened in one place only."""
    demo = files("lakehouse.demo")
    for name in ("lakehouse.toml", "airport_event.schema.json"):
        (tmp_path / name).write_bytes(demo.joinpath("init", name).read_bytes())
    shipped = load_kinds(load_config(tmp_path / "lakehouse.toml", {}), SchemaCache())
    example_config = load_config(EXAMPLE, {})
    example = load_kinds(example_config, SchemaCache())["airport_event"]

    kind = shipped["airport_event"]
    assert (example.schema, example.system) == (kind.schema, kind.system)
    assert example.grounding == kind.grounding
    assert set(example.rules) > set(kind.rules)
    assert example_config.path(example_config.tables["airports"].path).is_file()
