"""A session of a kind whose caller sent a schema: what judges, what is sent, what is logged."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from lakehouse.core.context import call_context
from lakehouse.core.errors import Refusal
from lakehouse.core.json_text import NULL
from lakehouse.core.limits import SCHEMA_BYTES_MAX
from lakehouse.core.session import IterateRequest
from lakehouse.engine.task import Catalog, SessionTask, plan
from support.joint import EVENT, kind_of, raw
from support.offers import CODE, Session
from support.sessions import catalog

KNOWN = catalog(event=kind_of(EVENT))


def task(output_schema: bytes, known: Catalog = KNOWN, **fields: Any) -> SessionTask:
    members = {"kind": "event", "prompt": "p", **fields}
    request = IterateRequest(output_schema=msgspec.Raw(output_schema), **members)
    return plan(request, call_context((), ()), known)


def test_the_task_keeps_the_kind_and_both_schemas() -> None:
    """White space between tokens goes; every other byte of the caller's schema stays."""
    found = task(b'{ "properties" : {"n":{"minimum":1.10}}, "required":["quote"] }')
    assert (
        bytes(found.inline_schema) == b'{"properties":{"n":{"minimum":1.10}},"required":["quote"]}'
    )
    assert found.kind is KNOWN.kinds["event"]
    assert found.schema.accepts({"code": "c", "quote": "q"})
    assert not found.schema.accepts({"code": "c"})
    assert b'"required":["code","quote"]' in bytes(found.schema.decoding)


def test_without_it_nothing_is_made() -> None:
    """The kind's compiled schema judges, and its own bytes are sent."""
    found = task(b"null")
    assert found.schema is KNOWN.schemas.of(KNOWN.kinds["event"])
    assert found.inline_schema == NULL
    assert found.schema.decoding == KNOWN.kinds["event"].schema


def test_a_schema_that_is_too_large_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("read before its size was looked at")

    monkeypatch.setattr("lakehouse.validation.schema.parse_bytes", never)
    with pytest.raises(Refusal, match=r"`output_schema`.* at most 65,536"):
        task(raw({"enum": [1] * SCHEMA_BYTES_MAX}))


def test_offers_are_kept_apart_for_each_callers_schema(tmp_path: Path) -> None:
    """One kind and one text: what is offered depends on the schema that is narrowed."""
    kept: dict[object, Any] = {}
    shorter = msgspec.Raw(b'{"properties":{"city":{"maxLength":3}}}')
    other = msgspec.Raw(b'{"properties":{"city":{"minLength":4}}}')
    text = "PHL is closed."
    alone = Session(tmp_path, text, CODE, kept=kept)
    first = Session(tmp_path, text, CODE, kept=kept, output_schema=shorter)
    again = Session(tmp_path, text, CODE, kept=kept, output_schema=shorter)
    last = Session(tmp_path, text, CODE, kept=kept, output_schema=other)

    assert alone.writable(airport="PHL", city="Rome")
    assert first.writable(airport="PHL", city="abc")
    assert not first.writable(airport="PHL", city="Rome")
    assert not first.writable(airport="JFK", city="abc")
    assert last.writable(airport="PHL", city="Rome")
    assert first.chat.requests[0].offer is again.chat.requests[0].offer
    assert len(kept) == 3


def test_what_is_kept_of_large_callers_schemas_is_nothing(tmp_path: Path) -> None:
    kept: dict[object, Any] = {}
    large = msgspec.Raw(raw({"properties": {"city": {"description": "d" * 9_000}}}))
    assert Session(tmp_path, "PHL is closed.", CODE, kept=kept, output_schema=large).decodes()
    assert not kept
