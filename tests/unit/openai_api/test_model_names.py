"""What `model` may name."""

import asyncio
from typing import Any, cast

import msgspec
import pytest

from lakehouse.core.errors import Refusal
from lakehouse.core.ports import ChatModel, KindInfo, Validator
from lakehouse.openai_api.model_names import ModelNames
from lakehouse.openai_api.request import AskedModel

EVENT = KindInfo("event", "small", 3, None, msgspec.Raw(b"{}"), (), (), "sha256:00")


class Configured:
    """One kind and no model."""

    async def kinds(self) -> tuple[KindInfo, ...]:
        return (EVENT,)

    async def models(self) -> tuple[Any, ...]:
        return ()


def names() -> ModelNames:
    there = Configured()
    return ModelNames(cast("Validator", there), cast("ChatModel", there), ("small",))


def test_a_kind_is_found_by_its_name_with_or_without_a_model():
    """Whether the model is there is the session's to say."""
    for text in ("event", "event@small", "event@gone"):
        assert asyncio.run(names().kind(AskedModel.of(text))) == EVENT


@pytest.mark.parametrize("text", ["event@", "@small", "events"])
def test_a_name_that_is_cut_short_is_not_served_as_another(text: str):
    with pytest.raises(Refusal) as caught:
        asyncio.run(names().kind(AskedModel.of(text)))
    assert caught.value.code == "unknown_model"
