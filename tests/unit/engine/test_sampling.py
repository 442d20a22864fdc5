"""`top_p` and `stop` of a request: above the kind's and model's, checked, and told in the row."""

import asyncio

import msgspec
import pytest

from lakehouse.core.chat import ChatRequest, ModelName, Sampling
from lakehouse.core.context import call_context
from lakehouse.core.errors import Refusal
from lakehouse.core.kind import Kind
from lakehouse.core.session import IterateRequest, SessionReply
from lakehouse.engine.iterate import iterate
from lakehouse.engine.run import Run, session_reply
from lakehouse.engine.task import SessionTask, plan
from lakehouse.grounding.no_tables import NoTables
from support.sessions import CITY_SCHEMA, ListedChat, catalog, clock, task_of

MODEL = ModelName(
    "small", "tiny-1b", "scripted", sampling=Sampling(top_p=0.1, stop=("model",), seed=1)
)
KIND = Kind(
    name="city",
    schema=CITY_SCHEMA,
    system=None,
    grounding=(),
    rules=(),
    max_iterations=2,
    model="small",
    digest="sha256:" + "5" * 64,
    sampling=Sampling(top_p=0.2, stop=("kind",)),
)


def planned(**fields: object) -> SessionTask:
    """Plan a session of the kind, whose model has a sampling of its own."""
    request = IterateRequest(kind="city", prompt="x", **fields)  # type: ignore[arg-type]
    offered = msgspec.structs.replace(catalog(city=KIND), models={"small": MODEL})
    return plan(request, call_context((), ()), offered)


def asked(task: SessionTask) -> list[ChatRequest]:
    chat = ListedChat("no", '{"city":"Bergen"}')
    asyncio.run(iterate(Run(task, clock()), chat=chat, tables=NoTables()))
    return chat.requests


@pytest.mark.parametrize(
    ("fields", "sent"),
    [
        ({}, (0.2, ("kind",))),
        ({"top_p": 0.9}, (0.9, ("kind",))),
        ({"top_p": 0.0}, (0.0, ("kind",))),
        ({"stop": ("END", "STOP")}, (0.2, ("END", "STOP"))),
        ({"top_p": 1, "stop": ()}, (1.0, ())),
    ],
)
def test_a_request_wins_over_its_kind_and_model_in_every_attempt(
    fields: dict[str, object], sent: tuple[float, tuple[str, ...]]
) -> None:
    requests = asked(planned(**fields))
    assert len(requests) == 2
    assert [(each.top_p, each.stop) for each in requests] == [sent, sent]


def test_no_text_ends_an_answer_is_sent_as_nothing() -> None:
    """An endpoint may refuse an empty list."""
    first = asked(planned(stop=()))[0]
    assert first.with_defaults(MODEL.sampling).sampling.members("max_tokens") == {
        "top_p": 0.2,
        "seed": 1,
    }


@pytest.mark.parametrize(
    ("fields", "end"),
    [
        ({}, b'"deadline_ms":120000}'),
        ({"top_p": 0.9}, b'"deadline_ms":120000,"top_p":0.9}'),
        ({"stop": ()}, b'"deadline_ms":120000,"stop":[]}'),
        (
            {"candidates": "off", "top_p": 0.25, "stop": ("a", "\n")},
            b'"deadline_ms":120000,"candidates":"off","top_p":0.25,"stop":["a","\\n"]}',
        ),
    ],
)
def test_the_row_tells_what_the_request_set(fields: dict[str, object], end: bytes) -> None:
    assert msgspec.json.encode(planned(**fields).settings).endswith(end)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"top_p": 1.5}, "`top_p` is 1.5; allowed is 0 to 1."),
        ({"top_p": -0.1}, "`top_p` is -0.1; allowed is 0 to 1."),
        ({"top_p": float("nan")}, "`top_p` is nan; allowed is 0 to 1."),
        ({"top_p": 1.0000000000000002}, "`top_p` is 1.0000000000000002; allowed is 0 to 1."),
        ({"stop": ("a",) * 17}, "`stop` has 17 texts; allowed are at most 16."),
        ({"stop": ("a", "")}, "`stop[1]` is ''; allowed are texts of at least 1 character."),
    ],
)
def test_a_value_that_is_not_allowed_is_named(fields: dict[str, object], says: str) -> None:
    with pytest.raises(Refusal) as refused:
        task_of(**fields)
    assert (refused.value.code, refused.value.public) == ("invalid_request", says)


def test_sixteen_texts_are_allowed() -> None:
    stop = tuple(str(number) for number in range(16))
    assert task_of(stop=stop).sampling.stop == stop


def test_the_reply_has_the_kinds_digest_of_the_row() -> None:
    run = Run(planned(), clock())
    run.end("max_iter_exhausted")
    row = run.row(daemon="validatord")
    reply = session_reply(row, None)
    assert reply.kind_digest == row.kind_digest == KIND.digest


def test_a_reply_of_an_older_daemon_has_no_kinds_digest() -> None:
    run = Run(planned(), clock())
    run.end("max_iter_exhausted")
    reply = session_reply(run.row(daemon="validatord"), None)
    members = msgspec.json.decode(msgspec.json.encode(reply), type=dict[str, msgspec.Raw])
    del members["kind_digest"]
    found = msgspec.json.decode(msgspec.json.encode(members), type=SessionReply)
    assert found == msgspec.structs.replace(reply, kind_digest="")
