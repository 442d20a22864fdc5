"""What `model` may name."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from lakehouse.core.errors import InfraError, Refusal
from lakehouse.core.ports import ChatModel, KindInfo, Validator
from lakehouse.openai_api.model_names import ModelNames
from lakehouse.openai_api.request import AskedModel

EVENT = KindInfo("event", "small", 3, None, msgspec.Raw(b"{}"), (), (), "sha256:00")


class Configured:
    """One kind, and models of which one never says how it is."""

    def __init__(self) -> None:
        self.event = EVENT

    async def kinds(self) -> tuple[KindInfo, ...]:
        return (self.event,)

    async def models(self) -> tuple[Any, ...]:
        await asyncio.Event().wait()
        raise AssertionError


def names_of(there: Configured) -> ModelNames:
    return ModelNames(cast("Validator", there), cast("ChatModel", there), ("small",))


def names() -> ModelNames:
    return names_of(Configured())


def test_a_kind_is_found_by_its_name_with_or_without_a_model():
    """Whether the model is there is the session's to say; no model is asked how it is."""
    for text in ("event", "event@small", "event@gone"):
        assert asyncio.run(names().kind(AskedModel.of(text))) == EVENT


@pytest.mark.parametrize("text", ["event@", "@small", "events"])
def test_a_name_that_is_cut_short_is_not_served_as_another(
    text: str, monkeypatch: pytest.MonkeyPatch
):
    there = Configured()
    monkeypatch.setattr(there, "models", there.kinds)

    with pytest.raises(Refusal) as caught:
        asyncio.run(names_of(there).kind(AskedModel.of(text)))
    assert caught.value.code == "unknown_model"


def test_a_kind_whose_text_is_used_is_looked_at_again(monkeypatch: pytest.MonkeyPatch):
    """The validator was restarted with another text since."""
    moment = 100.0
    monkeypatch.setattr("lakehouse.openai_api.model_names.time.monotonic", lambda: moment)
    there, asked = Configured(), AskedModel.of("event@small")
    known = names_of(there)
    assert asyncio.run(known.kind(asked, current=True)) == EVENT

    there.event = changed = msgspec.structs.replace(EVENT, system="Extract.")
    moment += 1
    assert asyncio.run(known.kind(asked)) == EVENT
    assert asyncio.run(known.kind(asked, current=True)) == changed

    async def unreachable() -> tuple[KindInfo, ...]:
        raise InfraError("connect", "The validator cannot be reached.")

    monkeypatch.setattr(there, "kinds", unreachable)
    moment += 1
    assert asyncio.run(known.kind(asked, current=True)) == changed


def test_a_long_name_is_not_repeated_whole(monkeypatch: pytest.MonkeyPatch):
    there = Configured()
    monkeypatch.setattr(there, "models", there.kinds)

    with pytest.raises(Refusal) as caught:
        asyncio.run(names_of(there).kind(AskedModel.of("x" * 100_000)))
    assert len(caught.value.public) < 1_000
