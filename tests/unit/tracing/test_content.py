"""The texts of a model call, as its span tells them: what the model really read."""

from typing import Any

import msgspec
import pytest

from lakehouse.core.row import Row
from lakehouse.tracing.content import messages
from support.rows import SETTINGS, make_attempt, make_row, rejected_attempt

SHOWN = b'{"airport":"QQQ"}'
TOLD = 'Findings: [{"path":"/airport","message":"not good"}]'


def row_with(history: str | None) -> Row:
    settings = SETTINGS
    if history is not None:
        settings = msgspec.structs.replace(SETTINGS, history=history)
    attempts = (
        rejected_attempt(0, output="no JSON", artifact=msgspec.Raw(b"null")),
        rejected_attempt(
            1,
            told="first",
            output='{"airport":"QQQ"} there',
            artifact=msgspec.Raw(b'{"airport":"QQQ"}'),
        ),
        make_attempt(2, told=TOLD),
    )
    return make_row(settings=settings, attempts=attempts)


def read_by_the_model(row: Row, iteration: int) -> list[tuple[str, str]]:
    told: list[dict[str, Any]] = msgspec.json.decode(
        str(messages(row, row.attempts[iteration])["gen_ai.input.messages"])
    )
    return [(turn["role"], turn["parts"][0]["content"]) for turn in told]


@pytest.mark.parametrize(
    ("history", "later"),
    [
        (None, []),
        ("answer_and_findings", [("assistant", '{"airport":"QQQ"}')]),
        (
            "full",
            [("assistant", "no JSON"), ("user", "first"), ("assistant", '{"airport":"QQQ"}')],
        ),
    ],
)
def test_the_span_tells_the_history_that_the_model_read(
    history: str | None, later: list[tuple[str, str]]
):
    row = row_with(history)

    assert read_by_the_model(row, 2) == [("user", row.prompt), *later, ("user", TOLD)]
    assert read_by_the_model(row, 0) == [("user", row.prompt)]
