"""A configuration given in Python: checked as a file is, and enough for a stack."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from lakehouse.config.load import config_of_values
from lakehouse.core.context import call_context
from lakehouse.core.errors import SetupError
from lakehouse.core.session import IterateRequest, SessionReply
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.stack import Stack
from support.order_model import Order

MODELS = {"small": {"provider": "scripted", "model": "tiny", "script": "script.json"}}


def test_a_stack_runs_a_session_from_values_alone(tmp_path: Path) -> None:
    """No file of configuration, no environment, a kind that is a class, a sink that is given."""
    (tmp_path / "script.json").write_text(json.dumps(['{"total": 13}', '{"total": 12}']))
    sections: dict[str, Any] = {"models": MODELS, "kinds": {"order": {"python": Order}}}
    config, sink = config_of_values(sections, base=tmp_path), MemoryLog()
    assert sections["kinds"]["order"]["python"] is Order  # what was given stays as it is

    async def session() -> SessionReply:
        stack = Stack(config, {}, sink=sink)
        await stack.start()
        try:
            request = IterateRequest(kind="order", prompt="How much?")
            return await stack.validator.iterate(request, call_context((), ()))
        finally:
            await stack.drain(0)
            assert await stack.close()

    reply = asyncio.run(session())
    assert (reply.verdict, reply.iterations) == ("accepted", 2)
    assert "13 is not allowed" in reply.attempts[0].findings[0].message
    [row] = sink.rows
    assert (row.row_id, row.config_digest) == (reply.row_id, config.digest)


@pytest.mark.parametrize(
    ("sections", "message"),
    [
        ({"kinds": {"order": {"pyton": Order}}}, "kinds.order.pyton: unknown field"),
        ({"kinds": {"order": {"python": 5}}}, "kinds.order.python: is 5"),
        ({"kind": {}}, r"unknown section 'kind' \(did you mean 'kinds'\?\)"),
        ({"kinds": {"order": []}}, "kinds.order: is .* must be a table"),
        ({"session": {"deadline_ms": -1}}, "session.deadline_ms"),
        ({"models": {"small": {"provider": "scripted", "model": "t"}}}, "script"),
    ],
)
def test_what_a_file_may_not_say_values_may_not_either(
    sections: dict[str, Any], message: str
) -> None:
    with pytest.raises(SetupError, match=f"the given configuration: .*{message}"):
        config_of_values({"models": MODELS} | sections)


def test_a_class_that_nobody_can_import_is_refused() -> None:
    """Its validators could not run: they have a process of their own."""

    class Local(BaseModel):
        total: int

    with pytest.raises(SetupError, match="Local cannot be imported by its name"):
        config_of_values({"models": MODELS, "kinds": {"order": {"python": Local}}})
