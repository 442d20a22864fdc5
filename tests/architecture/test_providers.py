"""A provider is one module and one line of a table: nothing else in the source knows its name."""

import ast
from pathlib import Path

import pytest

from lakehouse.providers.provider import ModelSettings, name_of
from lakehouse.providers.registry import PROVIDERS

SOURCE = Path(__file__).parents[2] / "src" / "lakehouse"
TABLE = SOURCE / "providers" / "registry.py"
MODULES = sorted(SOURCE.rglob("*.py"))
# `lakehouse.testing.scripted` is a function, whose name stands in its package's list of names.
LISTED = {SOURCE / "testing" / "__init__.py": {"scripted"}}


def names_in(text: str) -> set[str]:
    """Find the providers that a module speaks of: by their name as a text, or by their module."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            found.add(node.value)
        elif isinstance(node, ast.ImportFrom) and node.module == "lakehouse.providers":
            found |= {one.name for one in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").removeprefix("lakehouse.providers."))
        elif isinstance(node, ast.Import):
            found |= {one.name.removeprefix("lakehouse.providers.") for one in node.names}
    return found & set(PROVIDERS)


def test_the_search_finds_a_provider_s_name():
    """A search that finds nothing would let the check below pass."""
    assert names_in('if name == "ollama":\n    pass') == {"ollama"}
    assert names_in("from lakehouse.providers.openai import OpenAiProvider") == {"openai"}
    assert names_in("from lakehouse.providers import scripted") == {"scripted"}
    assert names_in(TABLE.read_text("utf-8")) == set(PROVIDERS)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_no_other_module_knows_a_provider(module: Path):
    """Its name, and what is special to it, stand in its own module; the table names it."""
    own = {module.stem} if module.parent == TABLE.parent else LISTED.get(module, set())
    found = names_in(module.read_text("utf-8")) if module != TABLE else set()
    assert found <= own


@pytest.mark.parametrize("name", PROVIDERS)
def test_a_line_of_the_table_leads_to_a_module_of_that_name(name: str):
    """Its settings carry the name, belong to the module, and say themselves what they are."""
    settings = PROVIDERS[name]
    assert issubclass(settings, ModelSettings)
    assert name_of(settings) == name
    assert settings.__module__ == f"lakehouse.providers.{name}"
    assert settings.__doc__ != ModelSettings.__doc__
    assert settings.open is not ModelSettings.open
