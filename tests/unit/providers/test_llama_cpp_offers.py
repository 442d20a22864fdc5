"""Values of tables and the embedded model: what it decodes under, and what it is told instead."""

import json
import logging

import msgspec
import pytest

from lakehouse.core.chat import Offer
from lakehouse.providers.llama_cpp import LlamaCppProvider
from support.embedded import SCHEMA, ask, with_model


def offering(schema: bytes, hint: str = "Codes that the text names: DEN.") -> Offer:
    return Offer(msgspec.Raw(schema), hint)


UNUSABLE = b'{"$ref": "#/$defs/none", "enum": ["a", "b", "c"]}'


@pytest.mark.model
def test_it_decodes_under_the_values_of_a_table() -> None:
    """Its own schema would let it write the code that the text names last."""
    narrowed = SCHEMA.replace(b'"maxLength": 3', b'"enum": ["QXZ", "JFK"]')

    async def work(provider: LlamaCppProvider) -> None:
        text = "DEN has a delay."
        reply = await ask(provider, text, schema=SCHEMA, max_tokens=64, offer=offering(narrowed))
        assert reply.offered == "decode"
        artifact = json.loads(reply.text.strip().removeprefix("```json").removesuffix("```"))
        assert artifact["iata"] in {"QXZ", "JFK"}
        plain = await ask(provider, text, schema=SCHEMA, max_tokens=64)
        assert plain.offered is None
        assert plain.usage.prompt_tokens == reply.usage.prompt_tokens, "no hint beside it"

    with_model(work)


@pytest.mark.model
def test_values_that_the_engine_refuses_go_into_the_prompt(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Under the own schema, or without one if that is refused too; told once, with the number."""
    caplog.set_level(logging.WARNING)

    async def work(provider: LlamaCppProvider) -> None:
        text = "DEN has a delay."
        plain = await ask(provider, text, schema=SCHEMA, max_tokens=64)
        for offer in (offering(UNUSABLE), offering(SCHEMA.replace(b"20]", b"20, 30]"))):
            reply = await ask(provider, text, schema=SCHEMA, max_tokens=64, offer=offer)
            assert reply.offered == "hint", "three values are too many from now on"
            artifact = json.loads(reply.text.strip().removeprefix("```json").removesuffix("```"))
            assert artifact["delay"] in {10, 20}
            assert (reply.usage.prompt_tokens or 0) > (plain.usage.prompt_tokens or 0)
        fewer = await ask(provider, text, schema=SCHEMA, offer=offering(SCHEMA))
        assert fewer.offered == "decode"
        unnamed = await ask(provider, text, schema=SCHEMA, offer=offering(UNUSABLE, ""))
        assert unnamed.offered is None
        assert not provider._schemas_refused
        without = await ask(provider, text, schema=b'{"enum": []}', offer=offering(UNUSABLE))
        assert without.offered == "hint"
        assert list(provider._schemas_refused) == [b'{"enum": []}']

    with_model(work)
    told = [one.getMessage() for one in caplog.records if "enum_values_max" in one.getMessage()]
    assert len(told) == 1
    assert "'small'" in told[0]
    assert "with 3 values" in told[0]


@pytest.mark.model
def test_a_hint_that_is_too_long_for_the_context_is_left_out() -> None:
    """It was added by us, so that it ends no call."""

    async def work(provider: LlamaCppProvider) -> None:
        offer = offering(UNUSABLE, "DEN " * 1_000)
        reply = await ask(provider, "DEN has a delay.", schema=SCHEMA, offer=offer)
        assert (reply.offered, bool(reply.text)) == (None, True)

    with_model(work, context_tokens=512)
