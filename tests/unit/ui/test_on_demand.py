"""The pages of a daemon are built for the first request, once, and no failure of that is hidden."""

import asyncio
import gc
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lakehouse.core.errors import SetupError
from lakehouse.transport.asgi import Message
from lakehouse.ui.application import Pages
from lakehouse.ui.on_demand import PagesOnDemand
from lakehouse.ui.reading import LogReadings
from lakehouse.ui.sources import PageSources
from support.ui_pages import write_log


class Built:
    """A builder of pages that counts, and waits until it is let go."""

    def __init__(self, root: Path) -> None:
        self.times = 0
        self.threads: set[int] = set()
        self.fault: Exception | None = None
        self.reached = threading.Event()
        self.go = threading.Event()
        self.go.set()
        self.pages: list[Pages] = []
        self._root = root

    def __call__(self) -> Pages:
        self.times += 1
        self.threads.add(threading.get_ident())
        self.reached.set()
        assert self.go.wait(60)
        if self.fault is not None:
            raise self.fault
        self.pages.append(Pages(PageSources(log=self._root, readings=LogReadings(self._root))))
        return self.pages[-1]


@pytest.fixture
def built(tmp_path: Path) -> Iterator[Built]:
    built = Built(write_log(tmp_path / "log", ()))
    yield built
    for pages in built.pages:
        pages.close()


async def status_of(pages: PagesOnDemand, path: str) -> int:
    scope: dict[str, Any] = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "root_path": "",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(b"host", b"localhost")],
        "state": {},
    }
    sent: list[Any] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    await pages.app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


async def reached(built: Built) -> None:
    assert await asyncio.to_thread(built.reached.wait, 60)


def test_many_first_requests_build_once_and_off_the_loop(built: Built) -> None:
    async def case() -> list[int]:
        pages = PagesOnDemand(built)
        assert built.times == 0
        statuses = await asyncio.gather(*(status_of(pages, "/ui/") for _ in range(8)))
        statuses.append(await status_of(pages, "/ui/nowhere"))
        await pages.close()
        return statuses

    assert asyncio.run(case()) == [308] * 8 + [404]
    assert built.times == 1
    assert threading.get_ident() not in built.threads


def test_what_cannot_be_built_is_told_to_every_caller_and_tried_again(built: Built) -> None:
    built.fault = ImportError("no such module")
    built.go.clear()

    async def case() -> int:
        pages = PagesOnDemand(built)
        callers = [asyncio.create_task(status_of(pages, "/ui/")) for _ in range(3)]
        await reached(built)
        built.go.set()
        found = await asyncio.gather(*callers, return_exceptions=True)
        assert found == [built.fault] * 3
        built.fault = None
        status = await status_of(pages, "/ui/")
        await pages.close()
        return status

    assert asyncio.run(case()) == 308
    assert built.times == 2


def test_a_caller_that_goes_takes_nothing_from_the_next(built: Built) -> None:
    built.go.clear()

    async def case() -> int:
        pages = PagesOnDemand(built)
        gone = asyncio.create_task(status_of(pages, "/ui/"))
        await reached(built)
        gone.cancel()
        await asyncio.wait({gone})
        assert gone.cancelled()
        stays = asyncio.create_task(status_of(pages, "/ui/"))
        built.go.set()
        status = await stays
        await pages.close()
        return status

    assert asyncio.run(case()) == 308
    assert built.times == 1


def test_an_end_amid_the_building_waits_for_it_and_stops_the_pages(built: Built) -> None:
    built.go.clear()

    async def case() -> None:
        pages = PagesOnDemand(built)
        asked = asyncio.create_task(status_of(pages, "/ui/findings"))
        await reached(built)
        pages.stop()
        closing = asyncio.create_task(pages.close())
        built.go.set()
        await closing
        assert await asked == 503  # `shutdown`: the question about the log was not begun

    asyncio.run(case())
    assert len(built.pages) == 1


def test_an_end_without_a_request_builds_nothing(built: Built) -> None:
    asyncio.run(PagesOnDemand(built).close())

    assert built.times == 0


@pytest.mark.parametrize("freezes", [True, False])
def test_pages_are_kept_from_collections_where_the_start_is(
    built: Built, freezes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen: list[bool] = []
    monkeypatch.setattr(gc, "get_freeze_count", lambda: 1_000 if freezes else 0)
    monkeypatch.setattr(gc, "freeze", lambda: frozen.append(bool(built.pages)))

    async def case() -> None:
        pages = PagesOnDemand(built)
        await status_of(pages, "/ui/")
        await pages.close()

    asyncio.run(case())
    assert frozen == ([True] if freezes else [])


def test_a_missing_package_is_told_at_start(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)  # as Python finds what is not installed

    with pytest.raises(SetupError, match=r"The browser's pages need the package 'jinja2'"):
        PagesOnDemand(built)
