"""The plugin of pytest: the fixture `lakehouse_scripted`. Loads nothing else of Lakehouse."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from lakehouse.testing.clients import ScriptedLake

_RAISED = pytest.StashKey[bool]()


@pytest.fixture
def lakehouse_scripted(
    request: pytest.FixtureRequest,
) -> Iterator[Callable[..., "ScriptedLake"]]:
    """Open clients with given answers; takes the arguments of `lakehouse.testing.scripted`.

    They are closed when the test ends. Answers that are left over are an error then, unless the
    test failed.
    """
    from lakehouse.testing.openers import scripted  # noqa: PLC0415  only for tests that use it

    with ExitStack() as opened:

        def open_scripted(*answers: Any, **options: Any) -> "ScriptedLake":
            lake = opened.enter_context(scripted(*answers, **options))
            opened.callback(_forgive, lake, request.node)
            return lake

        yield open_scripted


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> None:
    """Note that a test failed; its reader needs no second error about answers."""
    if call.when == "call":
        item.stash[_RAISED] = call.excinfo is not None


def _forgive(lake: "ScriptedLake", test: pytest.Item) -> None:
    if test.stash.get(_RAISED, False):
        lake.given.forgive()
