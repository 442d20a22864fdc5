"""Clients with given answers: in order, once each, judged as in production, nothing left behind."""

import asyncio
import dataclasses
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import msgspec
import pydantic
import pytest

import lakehouse
from lakehouse import Exhausted, Grounded, InfraError, Reject, SetupError
from lakehouse.testing import ModelCall, Outage, ScriptError, scripted, scripted_async
from support.python_client import BAD, GOOD, PROMPT, SCHEMA, configured, started_in

TABLES = '[kinds.event]\nschema = "event.json"\nsystem = "Read notices."\ntemperature = 0.3\n'


class Late(pydantic.BaseModel):
    airport: str
    minutes: int = pydantic.Field(ge=0, alias="late_min")


@dataclasses.dataclass
class Flight:
    number: str


class Gate(msgspec.Struct, rename="camel"):
    gate_number: int


def project(directory: Path, more: str = "") -> Path:
    """A project with a kind that is grounded in a table."""
    (directory / "event.json").write_text(
        msgspec.json.encode(
            {
                **SCHEMA,
                "properties": {
                    "airport": {"type": "string", "x-lakehouse": {"column": "airports.iata"}},
                    "city": {"type": "string"},
                },
            }
        ).decode()
    )
    return configured(directory, more=TABLES + more)


@pytest.mark.parametrize(
    ("answer", "output_type", "text"),
    [
        ('{"number": "VY1"}', Flight, '{"number": "VY1"}'),
        ({"number": "VÝ1"}, Flight, '{"number": "VÝ1"}'),
        (Flight("VY1"), Flight, '{"number": "VY1"}'),
        (Gate(7), Gate, '{"gateNumber": 7}'),
        (Late(airport="BCN", late_min=3), Late, '{"airport": "BCN", "late_min": 3}'),
        ({"result": [Flight("VY1")]}, list[Flight], '{"result": [{"number": "VY1"}]}'),
        (lambda call: Flight(call.prompt), Flight, '{"number": "x"}'),
    ],
)
def test_an_answer_is_a_text_or_is_written_as_json(answer, output_type, text):
    """By the names that members have in JSON."""
    with scripted([answer]) as lake:
        _, session = lake.create_with_session(output_type, "x")
    assert session.attempts[0].output == text


def test_the_answers_come_in_order_and_the_questions_are_kept():
    """Also what the model was told was wrong, and under which schema it decoded."""
    with scripted([{"airport": "BCN", "late_min": -1}, {"airport": "BCN", "late_min": 1}]) as lake:
        late = lake.create(Late, "How late?", temperature=0.5, seed=7)
        assert late == Late(airport="BCN", late_min=1)
        assert lake.unused == ()
        first, second = lake.requests
        assert lake.prompts == ["How late?", second.prompt]
        assert "/late_min" in second.prompt
        assert (first.temperature, first.seed, first.max_tokens) == (0.5, 7, None)
        assert first.schema["required"] == ["airport", "late_min"]
        [row] = lake.rows()
    assert (row["verdict"], row["iterations"], row["provider"]) == ("accepted", 2, "given")


def test_a_kind_of_a_file_is_judged_as_in_production(tmp_path: Path):
    """Its schema, tables, system text and sampling; only the models and the log are others."""
    other = '[models.big]\nprovider = "openai"\nmodel = "m"\nbase_url = "http://127.0.0.1:9/v1"\n'
    more = other + 'api_key_env = "NOT_SET"\n[chatd]\nurl = "http://127.0.0.1:9"\n'
    config = project(tmp_path, more)
    with scripted([BAD, GOOD, GOOD], config=config) as lake:
        session = lake.iterate(kind="event", prompt=PROMPT)
        assert lake.iterate(kind="event", model="big", prompt=PROMPT).verdict == "accepted"
        assert [call.model for call in lake.requests] == ["small", "small", "big"]
        assert lake.requests[0].messages[0].content == "Read notices."
        assert lake.requests[0].temperature == 0.3
        assert [row["kind"] for row in lake.rows()] == ["event", "event"]
    assert (session.verdict, session.iterations, session.grounded) == ("accepted", 2, True)
    assert session.attempts[0].findings[0].code == "ungrounded"
    assert started_in(tmp_path) == 0  # the log of the file is not touched


def test_without_a_configuration_no_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Nor is anything written where the test runs."""
    (tmp_path / "lakehouse.toml").write_text("broken")
    monkeypatch.chdir(tmp_path)
    with scripted([]) as lake:
        assert lake.kinds() == ()
    assert list(tmp_path.iterdir()) == [tmp_path / "lakehouse.toml"]


def test_sections_are_a_configuration_too(tmp_path: Path):
    """As for `lakehouse.open`; the type is grounded in their table."""
    (tmp_path / "airports.csv").write_text("iata\nBCN\n")
    tables = {"airports": {"path": str(tmp_path / "airports.csv")}}

    class Place(pydantic.BaseModel):
        airport: Annotated[str, Grounded("airports.iata")]

    answers = [{"airport": "BCX"}]
    with scripted(answers, config={"tables": tables}) as lake, pytest.raises(Exhausted) as failed:
        lake.create(Place, "BCN", max_retries=0)
    assert failed.value.findings[0].nearest == ("BCN",)


def test_the_log_is_gone_at_the_end():
    with scripted([GOOD]) as lake:
        lake.iterate(schema=SCHEMA, prompt="x")
        log = lake._log
        assert log.is_dir()
    assert not log.exists()


def test_a_tester_s_receiver_of_traces_gets_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """Here it is only named half, which `lakehouse.open` refuses."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LANGFUSE_URL", "http://127.0.0.1:9")
    with pytest.raises(SetupError, match="LANGFUSE"), lakehouse.open({}):
        pass
    with scripted([GOOD]) as lake:
        assert lake.iterate(schema=SCHEMA, prompt="x").verdict == "accepted"


def test_one_more_call_than_answers_fails_at_once():
    """In the call itself, with what was asked; no retry. Caught, it is raised at the end again."""
    asks = ExitStack()
    lake = asks.enter_context(scripted(["{}"]))
    with pytest.raises(ScriptError) as failed:
        lake.create(Flight, "Which flight?")
    assert len(lake.requests) == 2
    assert lake.rows()[0]["error"]["code"] == "upstream_malformed"
    with pytest.raises(ScriptError) as again:
        asks.close()
    assert again.value is failed.value
    text = str(failed.value)
    assert "called 2 times, but the test gives 1 answer" in text
    assert '"expected":{"required":"number"}' in text


def test_answers_left_over_are_an_error():
    """Unless it is said that they may be, or another exception is under way."""
    message = pytest.raises(ScriptError, match=r"1 of 2 answers left over.*\n.*'two'")
    with message, scripted([GOOD, "two"]) as lake:
        lake.iterate(schema=SCHEMA, prompt="x")
    with scripted([GOOD], unused_ok=True) as lake:
        assert lake.unused == (GOOD,)
    with pytest.raises(ZeroDivisionError), scripted([GOOD]):
        raise ZeroDivisionError


@pytest.mark.parametrize("code", ["connect", "overloaded", "timeout", "model_missing"])
def test_an_outage_ends_the_session_without_a_retry(code):
    """It takes one answer, and later calls are not held back."""
    with scripted([Outage(code, retry_after_s=30), GOOD]) as lake:
        with pytest.raises(InfraError) as failed:
            lake.create(Flight, "x")
        assert len(lake.requests) == 1
        assert lake.iterate(schema=SCHEMA, prompt="x").verdict == "accepted"
    assert (failed.value.code, failed.value.retry_after_s) == (code, 30.0)


def test_a_function_in_place_of_the_list_answers_every_call():
    """Concurrent calls too, whatever their order; it may be asynchronous."""

    async def answer(call: ModelCall) -> object:
        await asyncio.sleep(0)
        return Flight(call.prompt)

    async def main() -> list[Flight]:
        async with scripted_async(answer) as lake:
            flights = await asyncio.gather(*(lake.create(Flight, str(n)) for n in range(9)))
            assert len(lake.rows()) == 9
            assert {call.prompt for call in lake.requests} == {str(n) for n in range(9)}
            return flights

    assert asyncio.run(main()) == [Flight(str(n)) for n in range(9)]


def test_many_calls_at_a_time_fail_as_one_does():
    """An answer that is missing is no outcome of an item: the test is wrong."""
    with scripted(lambda call: Flight(call.prompt)) as lake:
        many = lake.create_many(Flight, map(str, range(9)), concurrency=3)
        assert [outcome.value for outcome in many] == [Flight(str(n)) for n in range(9)]
    answers = [Flight("1"), Flight("2")]
    with pytest.raises(ScriptError, match="gives 2 answers"), scripted(answers) as lake:
        list(lake.create_many(Flight, ["a", "b", "c"], concurrency=1))


@pytest.mark.parametrize("raised", [AssertionError("not asked"), pytest.fail.Exception("no")])
def test_what_a_function_raises_fails_the_call(raised):
    """A test may assert on the question."""

    def answer(call: ModelCall) -> object:
        raise raised

    with pytest.raises(type(raised)), scripted([answer]) as lake:
        lake.create(Flight, "x")


@pytest.mark.parametrize("said", [object(), lambda call: "{}"])
def test_a_function_must_return_an_answer(said):
    message = pytest.raises(SetupError, match=r"The function's answer is <.* no form in JSON")
    with message, scripted([lambda call: said]) as lake:
        lake.create(Flight, "x")


def test_a_slow_answer_ends_the_session_by_its_deadline():
    """As a slow model does."""
    cancelled = []

    async def answer(call: ModelCall) -> object:
        try:
            return await asyncio.Event().wait()
        finally:
            cancelled.append(call.prompt)

    with scripted([answer]) as lake, pytest.raises(InfraError) as failed:
        lake.create(Flight, "x", deadline=0.3)
    assert (failed.value.code, cancelled) == ("timeout", ["x"])


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ("{}", "they must be a list, or a function"),
        ({"a": 1}, "they must be a list, or a function"),
        (3, "they must be a list, or a function"),
        (["{}", object()], r"answers\[1\] is <object .* object has no form in JSON"),
        ([Flight], r"answers\[0\] is <class .*Flight"),
        ([{"a": float("nan")}], r"answers\[0\] .*JSON compliant"),
    ],
)
def test_an_answer_that_cannot_be_written_is_refused(answers, message):
    """Before anything starts, by its place."""
    with pytest.raises(SetupError, match=message), scripted(answers):
        pass


def test_an_unknown_outage_is_refused():
    with pytest.raises(SetupError, match=r"did you mean 'overloaded'\?"):
        Outage("overload")  # type: ignore[arg-type]


def test_answers_are_judged_without_a_script(tmp_path: Path):
    """A type with its checks, or a kind by its name; none of the listed answers is used."""
    with scripted([GOOD], config=project(tmp_path)) as lake:

        @lake.check(Late)
        def in_bounds(late: Late, context: object) -> None:
            if late.minutes > 600:
                raise Reject("/late_min", f"is over a day of {context}")

        assert lake.judge(Late, {"airport": "BCN", "late_min": 3}) == ()
        [finding] = lake.judge(Late, {"airport": "BCN", "late_min": 900}, context="work")
        assert (finding.path, finding.message) == ("/late_min", "is over a day of work")
        assert lake.judge("event", GOOD, PROMPT) == ()
        assert [one.code for one in lake.judge("event", BAD, PROMPT)] == ["ungrounded"]
        with pytest.raises(InfraError, match="connect"):
            lake.judge("event", Outage("connect"))
        assert lake.unused == (GOOD,)
        assert lake.iterate(kind="event", prompt=PROMPT).verdict == "accepted"


def test_answers_are_judged_with_asyncio():
    async def main() -> None:
        async with scripted_async([]) as lake:

            @lake.check(Late)
            async def in_bounds(late: Late) -> None:
                if late.minutes > 600:
                    raise Reject("/late_min", "is over ten hours")

            assert await lake.judge(Late, Late(airport="BCN", late_min=3)) == ()
            [finding] = await lake.judge(Late, Late(airport="BCN", late_min=900))
            assert finding.code == "rule"

    asyncio.run(main())
