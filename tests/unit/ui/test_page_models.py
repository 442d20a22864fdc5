"""A page shows nothing that its model lacks: templates read members that the `.json` has too."""

import inspect
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, get_args, get_type_hints

import msgspec
import pytest
from jinja2 import nodes

from lakehouse.ui import rendering, replay_answers, replays, story
from lakehouse.ui.application import Pages
from lakehouse.ui.page import Shown
from lakehouse.ui.reading import LogReadings
from lakehouse.ui.sources import PageSources

_NOT_MODELS = {"here", "site", "loop", "charts", "grouping", "result_charts", "drawn", "tick"}
"""What templates read beside models: addresses, what all pages share, drawings."""


def _structs(kind: Any, seen: set[type]) -> Iterator[type]:
    """Give the structs that a type holds, at any depth."""
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct) and kind not in seen:
        seen.add(kind)
        yield kind
        for hint in get_type_hints(kind).values():
            yield from _structs(hint, seen)
    for part in get_args(kind):
        yield from _structs(part, seen)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> set[type]:
    root: Path = tmp_path_factory.mktemp("log")
    pages = Pages(PageSources(log=root, readings=LogReadings(root)))
    found: set[type] = set()
    for page in pages.all:
        list(_structs(get_type_hints(page.model)["return"], found))
    pages.close()
    assert {replays.ReplayPage, replay_answers.ReplayState, story.SessionStory} <= found
    return found - {Shown}


def _unwritten(kind: type) -> set[str]:
    """Name the properties of a struct, which its JSON lacks."""
    return {
        name
        for name, member in inspect.getmembers_static(kind)
        if isinstance(member, property | cached_property) and not name.startswith("_")
    }


def _read(template: str) -> set[tuple[str, str]]:
    """Give the names that a template reads of a value, with the variable that they begin at."""
    environment = rendering.environment()
    assert environment.loader is not None
    text, _, _ = environment.loader.get_source(environment, template)
    found = set()
    for one in environment.parse(text).find_all(nodes.Getattr):
        begin: nodes.Node = one.node
        while isinstance(begin, nodes.Getattr | nodes.Getitem):
            begin = begin.node
        found.add((begin.name if isinstance(begin, nodes.Name) else "", one.attr))
    return found


@pytest.mark.parametrize("template", rendering.environment().list_templates())
def test_a_template_reads_only_what_the_json_has(models: set[type], template: str):
    beside = {name for kind in models for name in _unwritten(kind)}
    assert "complete" in beside  # such names are found
    told = {(begin, name) for begin, name in _read(template) if begin not in _NOT_MODELS}
    assert [f"{begin}.{name}" for begin, name in sorted(told) if name in beside] == []
