"""A stack as pages see it that show kinds: a real catalog, and nothing that runs."""

from pathlib import Path
from typing import Any

from lakehouse.config.catalog import catalog
from lakehouse.config.kind_text import toml_of_kind
from lakehouse.config.load import load_config
from lakehouse.ui.sources import StackView

CONFIG = """
[log]
path = "log"
[models.small]
provider = "scripted"
model = "tiny"
script = "script.json"
[tables.places]
path = "places.csv"
[kinds.visit]
schema = "visit.json"
system = "Say where & when."
[[kinds.visit.grounding]]
path = "/city"
column = "places.city"
[[kinds.visit.rules]]
sql = "SELECT length($city) < 40"
message = "A city's name is short"
"""
SCHEMA = '{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}'


def stack_of(folder: Path) -> StackView:
    """Give what pages see of a stack with the kind `visit`, which does not run."""
    (folder / "lakehouse.toml").write_text(CONFIG)
    (folder / "visit.json").write_text(SCHEMA)
    (folder / "places.csv").write_text("city\nOslo\n")
    config = load_config(folder / "lakehouse.toml", {})
    kinds = catalog(config)
    unasked: Any = None
    return StackView(
        chat=unasked,
        under_way=unasked,
        catalog=kinds,
        sink=unasked,
        kind_text=lambda name: toml_of_kind(kinds.kinds[name], config.kinds[name]),
    )
