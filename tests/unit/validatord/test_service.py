"""The owner of sessions: one row and one answer for each, whatever happens to it."""

import asyncio

import msgspec
import pytest

from lakehouse.core.chat import CallLimits, ChatReply, ChatRequest
from lakehouse.core.context import CallContext, call_context
from lakehouse.core.errors import InfraError, Refusal, TableUnavailable
from lakehouse.core.kind import Kind
from lakehouse.core.ports import RequestedRule, TableSnapshot, ValidateRequest
from lakehouse.core.session import IterateRequest, SessionReply
from lakehouse.grounding.no_tables import NoTables
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.validatord.service import ValidatorService
from support.sessions import CITY_SCHEMA, ListedChat, answer, catalog

GOOD = '{"city": "Zürich"}'
REQUEST = IterateRequest(schema=CITY_SCHEMA, prompt="Name the city.")


class WaitingChat(ListedChat):
    """Answers only once it is let."""

    def __init__(self, *answers: ChatReply | str | InfraError) -> None:
        super().__init__(*answers)
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def chat(
        self, request: ChatRequest, *, context: CallContext, limits: CallLimits
    ) -> ChatReply:
        self.asked.set()
        await self.let.wait()
        return await super().chat(request, context=context, limits=limits)


class LostTables(NoTables):
    """Tables that cannot be read."""

    async def snapshot(self, kind: Kind) -> TableSnapshot:
        raise TableUnavailable("airports", "gone")


def service(chat: ListedChat, log: MemoryLog, tables: NoTables | None = None) -> ValidatorService:
    return ValidatorService(catalog(), chat=chat, tables=tables or NoTables(), sink=log)


def ask(chat: ListedChat, log: MemoryLog, **fields: object) -> SessionReply:
    request = msgspec.structs.replace(REQUEST, **fields)
    return asyncio.run(service(chat, log).iterate(request, call_context((), ())))


def test_reply_row_and_started_line_tell_the_same():
    """One session, three views of it."""
    log = MemoryLog()

    reply = ask(ListedChat("prose", answer(GOOD, thinking="hm")), log, metadata={"b": "1"})

    [row], [started] = log.rows, log.started_records
    assert row.session_id == started.session_id == reply.session_id
    assert row.row_id == started.row_id == reply.row_id
    assert row.attempts == reply.attempts
    assert (row.verdict, row.iterations, row.accepted_iteration) == ("accepted", 2, 1)
    assert (row.usage.prompt_tokens, row.usage.completion_tokens) == (20, 10)
    assert row.attempts[1].thinking == "hm"
    assert row.metadata == {"b": "1"}
    assert bytes(row.inline_schema) == bytes(CITY_SCHEMA)
    assert (row.model, row.model_alias, row.provider) == ("tiny-1b", "small", "scripted")


def test_usage_is_unknown_when_any_part_is():
    """A provider that counts only sometimes does not make a small sum."""
    log = MemoryLog()
    unknown = msgspec.structs.replace(answer("prose"), usage=type(answer("").usage)(7, None))

    reply = ask(ListedChat(unknown, GOOD), log)

    assert (reply.usage.prompt_tokens, reply.usage.completion_tokens) == (17, None)


def test_a_log_that_cannot_be_written_refuses_before_a_token_is_bought():
    """No model call, no session."""
    chat, log = ListedChat(GOOD), MemoryLog()
    log.trouble = "the disk is full"

    with pytest.raises(Refusal) as caught:
        ask(chat, log)

    assert (caught.value.code, caught.value.status) == ("log_unavailable", 503)
    assert chat.requests == []


def test_a_row_that_is_not_durable_turns_the_reply():
    """The caller may not act on a verdict that a power cut can undo."""
    log = MemoryLog()
    log.appends_to_fail = 1

    reply = ask(ListedChat(GOOD), log)

    assert reply.verdict == "infra_error"
    assert reply.error is not None
    assert reply.error.code == "log_unavailable"
    assert reply.accepted_iteration is None
    assert log.rows == []


def test_a_bug_of_ours_still_leaves_a_row(caplog):
    """`crashed`, told in full to our own log and to nobody else."""

    def explode(_: int) -> None:
        raise ZeroDivisionError("secret detail")

    log = MemoryLog()
    reply = ask(ListedChat(GOOD, before=explode), log)

    assert reply.error is not None
    assert reply.error.code == "crashed"
    assert "secret" not in msgspec.json.encode(reply).decode()
    assert [row.verdict for row in log.rows] == ["infra_error"]
    assert "secret detail" in caplog.text


def test_a_missing_table_is_no_rejection():
    """`table_unavailable`, no attempt spent."""
    log = MemoryLog()
    chat = ListedChat(GOOD)

    reply = asyncio.run(service(chat, log, LostTables()).iterate(REQUEST, call_context((), ())))

    assert reply.error is not None
    assert (reply.error.code, reply.iterations) == ("table_unavailable", 0)
    assert chat.requests == []
    assert len(log.rows) == 1


def test_a_caller_who_leaves_does_not_end_the_session():
    """The caller's task is cancelled; the row comes all the same."""

    async def case() -> MemoryLog:
        log, chat = MemoryLog(), WaitingChat(GOOD)
        validator = service(chat, log)
        caller = asyncio.create_task(validator.iterate(REQUEST, call_context((), ())))
        await chat.asked.wait()
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller
        chat.let.set()
        await validator.drain(patience_ms=60_000)
        assert validator.rows_written == validator.sessions_taken == 1
        return log

    assert [row.verdict for row in asyncio.run(case()).rows] == ["accepted"]


def test_a_drain_waits_and_then_writes_what_is_left_as_shutdown():
    """Attempts already judged stay in the row; sessions that come later end at once."""

    async def case() -> tuple[MemoryLog, SessionReply, SessionReply]:
        log, chat = MemoryLog(), WaitingChat(GOOD)
        validator = service(chat, log)
        first = asyncio.create_task(validator.iterate(REQUEST, call_context((), ())))
        await chat.asked.wait()
        await validator.drain(patience_ms=10)
        late = await validator.iterate(REQUEST, call_context((), ()))
        assert validator.rows_written == validator.sessions_taken == 2
        return log, await first, late

    log, first, late = asyncio.run(case())
    for reply in (first, late):
        assert reply.error is not None
        assert (reply.verdict, reply.error.code) == ("infra_error", "shutdown")
    assert len(log.rows) == 2


def test_a_request_that_a_drain_cancels_is_answered_as_the_session_it_became():
    """The daemon cancels requests last; one that came in meanwhile was taken on all the same."""

    async def case() -> tuple[MemoryLog, SessionReply]:
        log = MemoryLog()
        validator = service(WaitingChat(GOOD), log)
        await validator.drain(patience_ms=0)
        late = asyncio.create_task(validator.iterate(REQUEST, call_context((), ())))
        await asyncio.sleep(0)  # it is taken on, and has not ended
        late.cancel()
        return log, await late

    log, late = asyncio.run(case())
    assert late.error is not None
    assert late.error.code == "shutdown"
    assert [row.row_id for row in log.rows] == [late.row_id]


def test_an_outer_daemons_deadline_is_kept():
    """What is left at the gateway bounds the session here."""
    chat, log = ListedChat(GOOD), MemoryLog()
    context = call_context((), (), deadline_ms=100_000)

    asyncio.run(service(chat, log).iterate(REQUEST, context))

    assert chat.limits[0].deadline_ms <= 100_000
    assert log.rows[0].settings.deadline_ms == 120_000


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        (RequestedRule(path="/cty", column="t.c"), ["grounding[0].path", "'/city'"]),
        (RequestedRule(path="/city/name", match="quote"), ["grounding[0].path", "'/city'"]),
        (
            RequestedRule(path="/city", column="t.c", with_={"/land": "t.d"}),
            ["grounding[0].with", "'/land'"],
        ),
        (
            RequestedRule(path="/city", column="t.c", with_={"/stops/*": "t.d"}),
            ["grounding[0].with", "'*' of '/stops/*'", "make '/stops/*' the path"],
        ),
    ],
)
def test_inline_grounding_that_never_applies_is_a_bad_request(rule, words):
    """A pointer that the inline schema rules out would check nothing."""
    schema = msgspec.Raw(
        b'{"type":"object","properties":{"city":{"type":"string"},'
        b'"stops":{"type":"array","items":{"type":"string"}}},"additionalProperties":false}'
    )
    request = ValidateRequest(output=GOOD, schema=schema, grounding=(rule,), tables={"t": []})
    with pytest.raises(Refusal) as caught:
        asyncio.run(service(ListedChat(), MemoryLog()).validate(request))
    assert caught.value.code == "invalid_request"
    for word in words:
        assert word in caught.value.public
