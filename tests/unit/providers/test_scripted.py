"""The scripted provider: its answers in order or by match, its delays and its faults."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from lakehouse.core.chat import ChatRequest, Message, ModelState, Usage
from lakehouse.core.errors import SetupError
from lakehouse.core.ids import new_id, new_span_id
from lakehouse.providers.provider import ProviderFault
from lakehouse.providers.scripted import Script, ScriptedProvider, Step
from support.chat import SCRIPTED, question


def header(trace_id: str) -> str:
    return f"00-{trace_id}-{new_span_id()}-01"


def texts(provider: ScriptedProvider, *calls: tuple[ChatRequest, str | None]) -> list[str]:
    async def run() -> list[str]:
        return [
            (
                await provider.complete(
                    request,
                    trace={} if parent is None else {"traceparent": parent},
                    deadline_ms=60_000,
                )
            ).text
            for request, parent in calls
        ]

    return asyncio.run(run())


def from_file(tmp_path: Path, text: str) -> ScriptedProvider:
    path = tmp_path / "script.json"
    path.write_text(text)
    return ScriptedProvider("small", msgspec.structs.replace(SCRIPTED, script=str(path)))


def test_every_session_goes_through_the_steps_by_itself() -> None:
    """Two sessions with the same prompt, interleaved, each see both answers."""
    provider = ScriptedProvider("small", SCRIPTED, ["one", "two"])
    here, there = new_id(), new_id()
    calls = [(question(), header(trace_id)) for trace_id in (here, there, here, there, here)]
    assert texts(provider, *calls) == ["one", "one", "two", "two", "two"]
    assert len(provider.requests) == 5


def test_two_calls_of_one_workflow_are_told_apart_by_their_prompt() -> None:
    """One trace, two prompts: each begins at the first step."""
    provider = ScriptedProvider("small", SCRIPTED, ["one", "two"])
    trace_id = new_id()
    calls = [(question(text), header(trace_id)) for text in ("a", "b", "a", "b")]
    assert texts(provider, *calls) == ["one", "one", "two", "two"]


def test_without_a_trace_the_assistant_turns_are_counted() -> None:
    """No memory at all: the conversation itself says how far it is."""
    provider = ScriptedProvider("small", SCRIPTED, ["one", "two"])
    later = ChatRequest(model="small", messages=(Message("user", "a"), Message("assistant", "one")))
    assert texts(provider, (question("a"), None), (later, None), (question("a"), None)) == [
        "one",
        "two",
        "one",
    ]


def test_matches_are_searched_in_all_user_turns(tmp_path: Path) -> None:
    """A re-prompt keeps the script of its prompt; what matches nothing gets the steps."""
    provider = from_file(
        tmp_path, '{"steps": ["else"], "matches": {"flight \\\\d+": ["flying", "landed"]}}'
    )
    trace_id = new_id()
    again = ChatRequest(
        model="small", messages=(Message("user", "flight 17"), Message("user", "wrong"))
    )
    calls = [
        (question("flight 17"), header(trace_id)),
        (again, header(trace_id)),
        (question("x"), header(trace_id)),
    ]
    assert texts(provider, *calls) == ["flying", "landed", "else"]


def test_a_step_tells_everything_of_a_reply(tmp_path: Path) -> None:
    """Every member of a step arrives."""
    provider = from_file(
        tmp_path,
        '[{"text": "t", "thinking": "hm", "finish_reason": "length", '
        '"usage": {"prompt_tokens": 3, "completion_tokens": 4}}]',
    )
    reply = asyncio.run(provider.complete(question(), trace={}, deadline_ms=1))
    assert (reply.text, reply.thinking, reply.finish_reason) == ("t", "hm", "length")
    assert reply.usage == Usage(3, 4)
    assert (reply.model, reply.provider) == ("script-1", "scripted")


def test_an_error_step_fails_once_and_the_next_call_goes_on() -> None:
    """A failed call is a step of its session."""
    provider = ScriptedProvider("small", SCRIPTED, [Step(error="connect"), "hi"])
    parent = header(new_id())
    with pytest.raises(ProviderFault) as raised:
        texts(provider, (question(), parent))
    assert (raised.value.code, raised.value.again, raised.value.transport) == (
        "connect",
        True,
        True,
    )
    assert texts(provider, (question(), parent)) == ["hi"]


def test_a_delay_beyond_the_deadline_is_a_timeout_at_the_deadline() -> None:
    """It ends when the caller's time ends, not when the script would."""
    provider = ScriptedProvider("small", SCRIPTED, [Step(text="late", delay_ms=60_000)])
    with pytest.raises(ProviderFault) as raised:
        asyncio.run(provider.complete(question(), trace={}, deadline_ms=20))
    assert raised.value.code == "timeout"


def test_a_cold_start_takes_its_time_once() -> None:
    """`loading` while it lasts, then never again."""
    provider = ScriptedProvider("small", SCRIPTED, Script(load_ms=100, steps=("hi",)))

    async def run() -> list[ModelState]:
        load = asyncio.create_task(provider.load())
        await asyncio.sleep(0)
        states = [(await provider.state())[0]]
        await load
        states.append((await provider.state())[0])
        await provider.load()
        return states

    assert asyncio.run(run()) == ["loading", "ready"]
    assert provider.loads == 1


def test_a_script_without_steps_answers_nothing() -> None:
    """Which the loop calls `empty`."""
    provider = ScriptedProvider("small", SCRIPTED, [])
    assert texts(provider, (question(), None)) == [""]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{"steps": 3}', "$.steps"),
        ('{"stesp": []}', "stesp"),
        ('[{"txt": "a"}]', "txt"),
        ('{"matches": {"(": ["a"]}}', "regular expression"),
        ("hello", "not a script"),
        ('[{"error": "nonsense"}]', "nonsense"),
    ],
)
def test_a_bad_script_is_one_clear_message(tmp_path: Path, text: str, told: str) -> None:
    """It names the field of the configuration and what is wrong."""
    with pytest.raises(SetupError) as raised:
        from_file(tmp_path, text)
    assert "models.small.script" in raised.value.public
    assert told in raised.value.public


def test_a_missing_script_is_one_clear_message(tmp_path: Path) -> None:
    """It names the path."""
    settings = msgspec.structs.replace(SCRIPTED, script=str(tmp_path / "none.json"))
    with pytest.raises(SetupError, match=r"none\.json cannot be read: No such file"):
        ScriptedProvider("small", settings)


def test_the_counts_of_old_conversations_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Memory is bounded: after too many others, a session begins anew."""
    monkeypatch.setattr("lakehouse.providers.scripted._CONVERSATIONS_MAX", 2)
    provider = ScriptedProvider("small", SCRIPTED, ["one", "two"])
    first = header(new_id())
    others = [(question(), header(new_id())) for _ in range(2)]
    assert texts(provider, (question(), first), *others, (question(), first))[-1] == "one"


def test_the_hint_shows_a_form_that_works(tmp_path: Path) -> None:
    """The list that the hint writes is a script."""
    with pytest.raises(SetupError) as raised:
        from_file(tmp_path, "hello")
    example = raised.value.hint.partition("such as ")[2].partition(", or {")[0]
    provider = from_file(tmp_path, example)
    assert texts(provider, (question(), None)) == ["{}"]
