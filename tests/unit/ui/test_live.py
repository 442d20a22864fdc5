"""What runs now, as browsers see it live."""

import asyncio
from types import SimpleNamespace

import msgspec
import pytest

from lakehouse.core.chat import ModelStatus
from lakehouse.core.errors import Refusal
from lakehouse.transport.asgi import HALF_CLOSED_STATE
from lakehouse.ui.live import LiveFeed
from lakehouse.ui.reading import LogReadings
from lakehouse.ui.sources import PageSources
from support.sessions import catalog
from support.ui_pages import stack_view

READY = ModelStatus("small", "tiny", "scripted", "ready")


class SlowModels:
    """Tells its models when it may, and counts how often it was asked."""

    def __init__(self):
        self.asked = 0
        self.may = asyncio.Event()

    async def models(self):
        self.asked += 1
        await self.may.wait()
        return (READY,)


def feed_of(log, chat):
    stack = msgspec.structs.replace(stack_view(catalog()), chat=chat)
    return LiveFeed(PageSources(log=log, readings=LogReadings(log), served=lambda: stack))


def test_who_comes_while_the_models_are_asked_sees_them_too(tmp_path):
    async def both():
        chat = SlowModels()
        feed = feed_of(tmp_path, chat)
        views = [asyncio.create_task(feed.now()) for _ in range(2)]
        await asyncio.sleep(0)
        chat.may.set()
        assert [(await view).models for view in views] == [(READY,), (READY,)]
        assert chat.asked == 1

    asyncio.run(both())


def test_a_viewer_who_is_gone_makes_room_for_the_next(tmp_path):
    async def view():
        chat = SlowModels()
        chat.may.set()
        feed = feed_of(tmp_path, chat)
        state: dict[str, object] = {}
        views = [feed.events(state) for _ in range(64)]
        for one in views:
            feed.admit()
            assert (await anext(one)).startswith(b"event: now\n")
        with pytest.raises(Refusal, match="64 live views are open"):
            feed.admit()
        state[HALF_CLOSED_STATE] = True
        ends = (anext(one, b"ended") for one in views)
        assert set(await asyncio.gather(*ends)) == {b"ended"}
        feed.admit()

    asyncio.run(asyncio.wait_for(view(), 120))


def test_all_viewers_get_the_panel_that_was_made_once(tmp_path, monkeypatch):
    made: list[str] = []
    now_s = [0.0]

    def fragment(*_):
        made.append(f"panel {len(made)}")
        return made[-1]

    monkeypatch.setattr("lakehouse.ui.live.fragment", fragment)
    monkeypatch.setattr("lakehouse.ui.live.time", SimpleNamespace(monotonic=lambda: now_s[0]))

    async def view():
        chat = SlowModels()
        chat.may.set()
        feed = feed_of(tmp_path, chat)
        views = [feed.events({}) for _ in range(5)]
        first = [await anext(one) for one in views]
        assert set(first) == {b"event: now\ndata: panel 0\n\n"}
        now_s[0] = 1.0
        later = await asyncio.gather(*map(anext, views))
        assert set(later) == {b"event: now\ndata: panel 1\n\n"}
        assert made == ["panel 0", "panel 1"]

    asyncio.run(asyncio.wait_for(view(), 120))
