"""Arguments that cannot be right: each is named, with its value, and with what to do."""

import dataclasses
from typing import Annotated, Any

import pydantic
import pytest

import lakehouse
from lakehouse.grounding import tables
from lakehouse.testing import scripted
from support.python_client import SCHEMA


@dataclasses.dataclass
class Event:
    """What an answer is read into."""

    airport: str


class Plain:
    """A class that no library reads."""

    airport: str


def a_check(event: Event) -> None:
    """Reject nothing."""


@pytest.mark.parametrize(
    ("arguments", "options", "told"),
    [
        ((Event("BCN"), "x"), {}, r"instance of Event and no type\. The type comes first"),
        (("x", Event), {}, r"'x', which is an instance of str and no type"),
        (([Event], "x"), {}, r"an instance of list and no type.*create\(list\[Event\]"),
        ((Plain, "x"), {}, r"Plain is a plain class.*Make it a dataclass"),
        ((Event, Event), {}, r"The prompt is .*must be a text, or a list of messages"),
        ((Event,), {}, r"The prompt is missing"),
        ((None, "x"), {}, r"Give the type of the answer once"),
        ((Event, "x"), {"response_model": Event}, r"Give the type of the answer once"),
        ((Event, "x"), {"messages": []}, r"exclude each other"),
        ((Event, "x"), {"modle": "a"}, r"'modle' \(did you mean 'model'\?\)"),
        ((Event, "x"), {"model": "smal"}, r"did you mean 'small'.*client's models\(\)"),
        ((Event, "x"), {"kind": "evnt"}, r"no kind is configured.*client's kinds\(\)"),
        ((Event, "x"), {"max_retries": 10}, r"`max_retries` is 10; allowed is 0 to 9"),
        ((Event, "x"), {"max_retries": True}, r"`max_retries` is True"),
        ((Event, "x"), {"deadline": 0}, r"`deadline` is 0; allowed is 0\.001"),
        ((Event, "x"), {"deadline": float("nan")}, r"`deadline` is nan"),
        ((Event, "x"), {"temperature": float("inf")}, r"`temperature` is inf"),
        ((Event, "x"), {"temperature": "hot"}, r"`temperature` is \"hot\"; it must be a number"),
        ((Event, "x"), {"seed": 1.5}, r"`seed` is 1\.5"),
        ((Event, "x"), {"metadata": ["a"]}, r"`metadata` is \['a'\]; it must map names to texts"),
        ((Event, "x"), {"metadata": {"a": 1}}, r"`metadata\.a` is 1; names and values must be"),
        ((Event, "x"), {"metadata": {"door": "a"}}, r"`metadata\.door` cannot be set"),
        ((Event, "x"), {"metadata": {"python_type": "a"}}, r"`metadata\.python_type` cannot be"),
        ((Event, "x"), {"session_id": "no such id!"}, r"`session_id` is 'no such id!'"),
        ((Event, "x"), {"context": 1, "validation_context": 2}, r"are the same"),
        ((Event, "x" * 2_000_000), {}, r"too_large: The request takes 2,?0"),
        ((Event, [{"role": "boss", "content": "x"}]), {}, r"messages\[0\]\.role` is 'boss'"),
        ((Event, "\ud800"), {}, r"`prompt` cannot be written as JSON"),
        ((SCHEMA | {"x-lakehouse": {"column": "a.b"}}, "x"), {}, r"The marker of the value"),
        (({"type": "objekt"}, "x"), {}, r"objekt"),
    ],
)
def test_an_argument_that_cannot_be_right_is_named(arguments: Any, options: Any, told: str):
    with (
        scripted([], unused_ok=True) as lake,
        pytest.raises((lakehouse.Refused, lakehouse.SetupError), match=told),
    ):
        lake.create(*arguments, **options)


@pytest.mark.parametrize(
    ("type_", "told"),
    [
        (a_check, r"the function .*:a_check', and must get the type that it checks"),
        (Event("BCN"), r"an instance of Event and no type"),
        ("Event", r"an instance of str and no type"),
        (5, r"an instance of int and no type"),
    ],
)
def test_a_check_of_no_type_is_refused(type_: Any, told: str):
    with (
        scripted([], unused_ok=True) as lake,
        pytest.raises(lakehouse.SetupError, match=told),
    ):
        lake.check(type_)


def test_arguments_that_are_none_are_as_if_they_were_left_out():
    nothing: dict[str, Any] = dict.fromkeys(lakehouse.CreateOptions.__annotations__)
    with scripted([{"airport": "BCN"}]) as lake:
        assert lake.create(Event, "x", **nothing) == Event("BCN")
        assert lake.rows()[0]["max_iterations"] == 3


def test_iterate_names_what_it_does_not_know():
    with (
        scripted([], unused_ok=True) as lake,
        pytest.raises(lakehouse.Refused, match=r"Unknown field 'promt' \(did you mean 'prompt'"),
    ):
        lake.iterate(promt="x")  # type: ignore[call-arg]


def test_texts_and_numbers_of_other_libraries_are_texts_and_numbers():
    """numpy.float64 is a float, and what a parser of HTML returns is a text."""

    class Text(str):
        __slots__ = ()

    class Number(float):
        pass

    class Count(int):
        pass

    with scripted(lambda _: {"airport": "BCN"}) as lake:
        lake.create(Event, [{"role": "user", "content": Text("a notice")}])
        lake.create(
            Event,
            Text("a notice"),
            temperature=Number(0.5),
            seed=Count(7),
            metadata={"source": Text("a page"), Text("name"): "b"},
        )
        asked, row = lake.requests[1], lake.rows()[1]
        assert lake.prompts == ["a notice"] * 2
    assert (asked.temperature, asked.seed) == (0.5, 7)
    assert (row["metadata"]["source"], row["metadata"]["name"]) == ("a page", "b")


def test_a_check_of_a_class_reads_what_is_derived_from_it():
    class Timed:
        """No type of answers itself."""

    @dataclasses.dataclass
    class Delay(Timed):
        minutes: int

    with scripted([Delay(5), Delay(4)]) as lake:

        @lake.check(Timed)
        def is_short(delay: Delay) -> None:
            if delay.minutes > 4:
                raise lakehouse.Reject("/minutes", "is over 4")

        assert lake.create(Delay, "x").minutes == 4


def test_the_class_of_a_client_is_not_how_to_open_one():
    with pytest.raises(lakehouse.SetupError, match=r"given 'lakehouse\.toml'.*lakehouse\.open"):
        lakehouse.Lake("lakehouse.toml")  # type: ignore[arg-type]


def test_a_number_that_no_double_holds_is_a_finding_at_its_place():
    class Part(pydantic.BaseModel):
        weight: float

    with scripted(['{"weight": 1e400}', {"weight": 1.5}]) as lake:
        part, session = lake.create_with_session(Part, "x")

    assert part == Part(weight=1.5)
    assert [str(one) for one in session.attempts[0].findings] == [
        "/weight: the number is too large to be read: at most 1.7e308"
    ]


def test_rules_of_many_types_are_forgotten_again(monkeypatch: pytest.MonkeyPatch):
    """Each call has a rule of its own; the first type comes again at last."""
    monkeypatch.setattr(tables, "_OWN_RULES_MAX", 8)

    def ruled(number: int) -> Any:
        return Annotated[Event, lakehouse.Rule(f"SELECT {number} >= 0", "never")]

    with scripted(lambda _: {"airport": "BCN"}) as lake:
        for number in [*range(20), 0]:
            assert lake.create(ruled(number), "x") == Event("BCN")
