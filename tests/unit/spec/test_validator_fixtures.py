"""The required validator fixtures through our validator, as `POST /v1/validate` judges them."""

import asyncio
from collections.abc import Collection

import msgspec
import pytest

from lakehouse.core.ports import ValidateRequest
from lakehouse.core.row import Row, Started
from lakehouse.grounding.no_tables import NoTables
from lakehouse.validatord.service import ValidatorService
from support.sessions import ListedChat, catalog
from support.spec_files import fixtures, without_messages

FIXTURES = fixtures("validator")


class NoLog:
    """`/v1/validate` leaves no row: every call of this sink fails the test."""

    def check_writable(self) -> None:
        raise AssertionError("the log was asked for")

    def started(self, record: Started) -> None:
        raise AssertionError("a started line was written")

    async def append(self, row: Row) -> None:
        raise AssertionError("a row was written")


def judged(body: str) -> bytes:
    service = ValidatorService(catalog(), chat=ListedChat(), tables=NoTables(), sink=NoLog())
    request = msgspec.json.decode(body, type=ValidateRequest)
    return msgspec.json.encode(asyncio.run(service.validate(request)))


@pytest.mark.parametrize("name", FIXTURES)
def test_our_validator_answers_what_the_suite_holds(name: str) -> None:
    reply = judged(FIXTURES[name]["input"])
    expected = FIXTURES[name]["expected"].encode()
    assert without_messages(reply).decode() == without_messages(expected).decode()


@pytest.mark.parametrize("name", FIXTURES)
def test_every_finding_says_something_to_people(name: str) -> None:
    reply = msgspec.json.decode(judged(FIXTURES[name]["input"]))
    messages: Collection[str] = [finding["message"] for finding in reply["findings"]]
    assert all(messages)
