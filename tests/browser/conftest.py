"""The browser, the stacks it visits, and the check that holds for every visit.

A test that took a `visit` fails if any page of it had an error on the console, broke its content
policy, asked another host, or asked for something in vain, unless the test expected just that.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, sync_playwright

from support.person import Person
from support.used_log import UsedLog, running_used_log
from support.visited_stacks import running_cities
from support.watched_browser import CHROMIUM, Visitor, Watch, launch, visiting

Visit = Callable[..., Visitor]


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    if not Path(CHROMIUM).exists():
        pytest.fail("Chromium is not here: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def visit(chromium: Browser, watch: Watch) -> Iterator[Visit]:
    """Give `visit(address, width=…, scheme=…, javascript=…)`, and hold all that it opened."""
    with ExitStack() as opened:

        def open_context(address: str, **wanted: Any) -> Visitor:
            context: AbstractContextManager[Visitor] = visiting(chromium, address, watch, **wanted)
            return opened.enter_context(context)

        yield open_context
    assert watch.left() == [], "\n".join(watch.left())


@pytest.fixture(scope="session")
def cities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a stack that has run sessions of every verdict."""
    with running_cities(tmp_path_factory.mktemp("cities") / "stack") as port:
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="session")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[UsedLog]:
    """Give a stack whose log has what people look for."""
    with running_used_log(tmp_path_factory.mktemp("uses") / "stack") as used:
        yield used


@pytest.fixture(params=["mouse", "keys", "no-script"])
def person(visit: Visit, used: UsedLog, request: pytest.FixtureRequest) -> Person:
    """Give somebody at the start page of that stack: each test runs once in each way."""
    way = request.param
    return Person(visit(used.address, javascript=way != "no-script"), way)
