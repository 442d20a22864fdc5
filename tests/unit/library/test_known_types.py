"""Types are kept between calls, each as it was written."""

from typing import Any

import pydantic
import pytest

from lakehouse.library.known_types import type_of


class Arrival(pydantic.BaseModel):
    airport: str


class Departure(pydantic.BaseModel):
    airport: str


@pytest.mark.parametrize(
    ("one", "other", "answer"),
    [
        (Arrival | Departure, Departure | Arrival, b'{"result":{"airport":"BCN"}}'),
        (list[Arrival | Departure], list[Departure | Arrival], b'{"result":[{"airport":"BCN"}]}'),
    ],
)
def test_a_union_is_read_in_its_own_order_whatever_was_asked_before(
    one: Any, other: Any, answer: bytes
):
    assert one == other  # so that a cache would take them for one

    first, second = (type_of(each).read(answer) for each in (one, other))

    assert first in (Arrival(airport="BCN"), [Arrival(airport="BCN")])
    assert second in (Departure(airport="BCN"), [Departure(airport="BCN")])


def test_a_type_is_made_once():
    assert type_of(Arrival) is type_of(Arrival)
    assert type_of(list[Arrival]) is type_of(list[Arrival])
    assert type_of({"type": "object"}) is type_of({"type": "object"})
