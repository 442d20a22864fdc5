"""A session that goes on after an answer that checks in Python rejected."""

import pytest

from lakehouse.core.chat import Message
from lakehouse.core.context import call_context
from lakehouse.core.metadata import AFTER_MEMBER
from lakehouse.core.session import IterateRequest
from lakehouse.engine.task import plan
from support.sessions import CITY_SCHEMA, catalog

ASKED = Message("user", "Name the city.")
ANSWER = Message("assistant", '{"city":"Rom"}')
TOLD = Message("user", 'Findings: [{"path":"/city","message":"must be like Zürich"}]')


@pytest.mark.parametrize(
    ("messages", "metadata", "sources"),
    [
        ((ASKED, TOLD), {AFTER_MEMBER: "a" * 32}, (ASKED.content,)),
        ((ASKED, ANSWER, TOLD), {AFTER_MEMBER: "a" * 32}, (ASKED.content,)),
        ((ASKED, ASKED, TOLD), {AFTER_MEMBER: "a" * 32}, (ASKED.content,) * 2),
        ((ASKED, TOLD), {}, (ASKED.content, TOLD.content)),
        ((ASKED,), {AFTER_MEMBER: "a" * 32}, (ASKED.content,)),
    ],
)
def test_what_the_model_is_told_is_no_text_of_the_user(messages, metadata, sources):
    """It is sent, and it is in the row; it is not the prompt, and no quote may come from it."""
    request = IterateRequest(schema=CITY_SCHEMA, messages=messages, metadata=metadata)

    task = plan(request, call_context((), ()), catalog())

    assert task.sources == sources
    assert task.prompt == sources[-1]
    assert task.opening == messages
    assert [one.content for one in task.row_messages or ()] == [one.content for one in messages]
