"""What a later attempt sees of the earlier ones, by the setting of kind and model."""

import asyncio

import msgspec
import pytest

from lakehouse.core.chat import ChatReply, Message, ModelName
from lakehouse.core.context import call_context
from lakehouse.core.limits import ANSWER_SHOWN_BYTES_MAX
from lakehouse.core.session import Attempt, IterateRequest
from lakehouse.engine.inline_kind import inline_kind
from lakehouse.engine.iterate import iterate
from lakehouse.engine.prompt import REPROMPT
from lakehouse.engine.run import Run
from lakehouse.engine.task import SessionTask, plan
from lakehouse.grounding.no_tables import NoTables
from support.sessions import CITY_SCHEMA, ListedChat, answer, catalog, clock

ASKED = Message("user", "Name the city: Zürich.")
NOT_TEXT = f'{REPROMPT}\nFindings: [{{"path":"/city","expected":{{"type":"string"}}}}]'
MISSING = f'{REPROMPT}\nFindings: [{{"path":"","expected":{{"required":"city"}}}}]'


def task_with(history: str | None, *, model_history: str | None = None) -> SessionTask:
    kind = inline_kind(CITY_SCHEMA, system=None, max_iterations=3, model="small")
    offered = catalog(city=msgspec.structs.replace(kind, name="city", history=history))
    model = ModelName("small", "tiny-1b", "scripted", model_history)  # type: ignore[arg-type]
    offered = msgspec.structs.replace(offered, models={"small": model})
    request = IterateRequest(kind="city", prompt=ASKED.content)
    return plan(request, call_context((), ()), offered)


def third_call(task: SessionTask, *answers: str | ChatReply) -> tuple[Message, ...]:
    chat = ListedChat(*answers, '{"city":"Zürich"}')
    run(task, chat)
    return chat.requests[2].messages


def run(task: SessionTask, chat: ListedChat) -> list[Attempt]:
    progress = Run(task, clock())
    assert asyncio.run(iterate(progress, chat=chat, tables=NoTables())) == "accepted"
    return progress.attempts


def test_findings_alone_show_no_answer():
    """The default: the caller's text and the last findings."""
    assert third_call(task_with(None), '{"a":1}', '{"city": 5}') == (
        ASKED,
        Message("user", NOT_TEXT),
    )


def test_the_last_answer_goes_along():
    """`answer_and_findings`: one answer, as the model's own turn, before what was wrong with it."""
    assert third_call(task_with("answer_and_findings"), '{"a":1}', 'So: {"city": 5}!') == (
        ASKED,
        Message("assistant", '{"city":5}'),
        Message("user", NOT_TEXT),
    )


def test_the_full_history_has_every_answer_with_its_findings():
    """`full`: the whole conversation, in order, roles alternating."""
    assert third_call(task_with("full"), '{"a":1}', '{"city": 5}') == (
        ASKED,
        Message("assistant", '{"a":1}'),
        Message("user", MISSING),
        Message("assistant", '{"city":5}'),
        Message("user", NOT_TEXT),
    )


def test_an_answer_without_json_comes_back_as_it_was():
    """No artifact was taken: the model sees its own text."""
    messages = third_call(task_with("answer_and_findings"), '{"a":1}', " I would say Bern. ")

    assert messages[1] == Message("assistant", "I would say Bern.")


def test_an_empty_answer_leaves_no_turn():
    """Endpoints refuse an empty assistant turn."""
    messages = third_call(task_with("full"), "", answer("  "))

    assert [message.role for message in messages] == ["user", "user", "user"]


@pytest.mark.parametrize("text", ["x" * 1_000_000, "界" * 300_000, '{"city": "' + "y" * 900_000])
def test_an_answer_shown_is_cut(text: str):
    """A megabyte does not come back."""
    messages = third_call(task_with("answer_and_findings"), "first", text)

    shown = messages[1].content
    assert shown.endswith("…")
    assert len(shown.encode()) <= ANSWER_SHOWN_BYTES_MAX + len("…".encode())


def test_the_kind_decides_before_the_model():
    """The model's setting is for kinds that say nothing; the row says what was in force."""
    assert task_with(None, model_history="full").settings.history == "full"
    assert task_with("findings", model_history="full").settings.history is msgspec.UNSET
    assert task_with("full", model_history="findings").settings.history == "full"
    assert task_with(None).settings.history is msgspec.UNSET


def test_the_row_tells_what_was_added():
    """`told` is the text that was added; the answer is the attempt's `output` already."""
    chat = ListedChat('{"city": 5}', '{"city":"Zürich"}')

    [_, second] = run(task_with("full"), chat)

    assert second.told == NOT_TEXT
    assert task_with("full").kind.schema == CITY_SCHEMA
