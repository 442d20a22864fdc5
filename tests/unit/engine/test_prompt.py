"""What the next attempt is told: findings as data, within a limit whatever is in them."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.core.finding import Finding
from lakehouse.core.limits import TOLD_BYTES_MAX
from lakehouse.engine.prompt import OPENING, REPROMPT, told_after

HUGE = 900_000


def finding(path: str = "", message: str = "wrong", **evidence: object) -> Finding:
    raw: dict[str, Any] = {
        name: msgspec.Raw(msgspec.json.encode(value)) for name, value in evidence.items()
    }
    return Finding(code="schema", path=path, message=message, **raw)


def told_list(told: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(
        told.removeprefix(f"{REPROMPT}\n{OPENING}").partition("\n")[0]
    )
    return found


def test_a_flood_of_findings_is_capped():
    """The re-prompt stays small, and says how much it leaves out."""
    findings = [finding(f"/{n}", expected={"type": "string"}) for n in range(500)]

    told = told_after(findings * 2)

    assert len(told.encode()) <= TOLD_BYTES_MAX
    assert "(480 more findings are not shown.)" in told


@pytest.mark.parametrize(
    "huge",
    [
        finding("/" + "n" * HUGE, expected={"type": "string"}),
        finding("/" + "\x01" * HUGE, expected={"type": "string"}),
        finding("/" + "界" * HUGE, expected={"type": "string"}),
        finding("/" + '"' * HUGE, expected={"type": "string"}),
        finding("/a", message="m" * HUGE),
        finding("/a", expected={"enum": ["v" * HUGE]}),
        finding("/a", expected={"enum": list(range(50_000))}),
        finding("/a", nearest=["v" * HUGE, "w"]),
        finding("/" + "n" * HUGE, "m" * HUGE, expected={"const": "e" * HUGE}),
    ],
    ids=lambda f: f.path[:3] + f.message[:1],
)
def test_one_finding_of_any_size_stays_within_the_limit(huge: Finding):
    """A name that the model invented, an enum or a message cannot blow the re-prompt up."""
    told = told_after([huge, *(finding(f"/{n}", "x" * 500) for n in range(30))])

    assert len(told.encode()) <= TOLD_BYTES_MAX
    first = told_list(told)[0]
    assert str(first["path"])[:2] == huge.path[:2]
    assert first.keys() & {"message", "expected", "nearest"}


def test_a_long_path_keeps_both_of_its_ends():
    """What is cut is the middle: the member at the end still names the place."""
    [told] = told_list(told_after([finding("/items/" + "x" * 5_000 + "/price", "wrong")]))

    assert str(told["path"]).startswith("/items/x")
    assert str(told["path"]).endswith("x/price")
    assert "…" in str(told["path"])


@given(st.text(max_size=80))
def test_a_message_travels_as_json_data(text: str):
    """Whatever a finding says, the re-prompt stays one JSON list after its opening."""
    told = told_after([finding("", text)])

    assert told_list(told) == [{"path": "", "message": text}]


@given(st.lists(st.tuples(st.text(), st.text()), min_size=1, max_size=40))
def test_the_limit_holds_for_any_findings(pairs: list[tuple[str, str]]):
    """Whatever the model wrote: at most the limit, at least one finding, valid JSON."""
    told = told_after([finding("/" + path * 50, message * 50) for path, message in pairs])

    assert len(told.encode()) <= TOLD_BYTES_MAX
    assert told_list(told)


def test_the_kind_s_own_text_stands_before_the_findings():
    """`reprompt` is put first; the findings follow as they always do."""
    told = told_after([finding("/a", "wrong")], "That was rejected. Correct it:\n")

    assert told == 'That was rejected. Correct it:\nFindings: [{"path":"/a","message":"wrong"}]'
    assert told_after([finding("/a", "wrong")], "") == told.partition("\n")[2]
