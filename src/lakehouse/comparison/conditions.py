"""Conditions of the gate: `accepted >= baseline - 0.02`, read strictly."""

import re
from collections.abc import Sequence
from typing import Final

import msgspec

from lakehouse.comparison.sample import MEASURES, Measure
from lakehouse.core.errors import SetupError

_FORM: Final = re.compile(r"\s*(\w+)\s*(>=|<=|==|!=|>|<|=)\s*(.*?)\s*", re.ASCII)
_LIMIT: Final = re.compile(
    r"(?:(?P<baseline>baseline)(?:\s*(?P<sign>[-+*/])\s*(?P<amount>\S+))?|(?P<number>\S+))",
    re.ASCII,
)
_NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?", re.ASCII)
_FACTOR_MAX: Final = 1_000
_EXAMPLE: Final = (
    "A condition is `MEASURE >= baseline - POINTS` for a rate, `MEASURE <= baseline * FACTOR` for "
    "the rest, or a number in place of the baseline: 'accepted >= baseline - 0.02', "
    "'p50_latency_ms <= baseline * 1.2', 'checked_right >= 0.9'."
)


class Condition(msgspec.Struct, frozen=True):
    """What the candidate has to reach.

    The limit is `amount` added to the baseline's rate, or times the baseline's value for what is no
    rate, or `amount` itself when not `against_baseline`.
    """

    text: str
    measure: str
    against_baseline: bool
    amount: float

    @property
    def measured(self) -> Measure:
        """What the condition is about."""
        return MEASURES[self.measure]


def parse_conditions(texts: Sequence[str]) -> tuple[Condition, ...]:
    """Read conditions as they stand on a command line.

    Raises:
        SetupError: One is not of the form, names no measure, compares the wrong way, has a number
            out of range, or says the same as one before; the message shows what is allowed.
    """
    conditions = [_parse(text) for text in texts]
    for index, condition in enumerate(conditions):
        if any(_same(condition, before) for before in conditions[:index]):
            raise SetupError(
                f"--gate {condition.text!r} is given twice.",
                hint="Each condition makes the others harder to fail: give it once.",
            )
    return tuple(conditions)


def _same(one: Condition, other: Condition) -> bool:
    return msgspec.structs.astuple(one)[1:] == msgspec.structs.astuple(other)[1:]


def _parse(text: str) -> Condition:
    form = _FORM.fullmatch(text)
    if form is None:
        raise _wrong(text, "is no condition", _EXAMPLE)
    name, operator, right = form.groups()
    measure = MEASURES.get(name)
    if measure is None:
        allowed = ", ".join(MEASURES)
        raise _wrong(text, f"names {name!r}, which is no measure", f"Measures are {allowed}.")
    expected = ">=" if measure.higher_is_better else "<="
    if operator != expected:
        better = "higher" if measure.higher_is_better else "lower"
        raise _wrong(
            text,
            f"compares by {operator!r}",
            f"{name} is better when {better}: write '{name} {expected} …'.",
        )
    limit = _LIMIT.fullmatch(right)
    if limit is None:
        raise _wrong(text, f"has {right!r} for a limit", _EXAMPLE)
    if limit["baseline"] is None:
        return Condition(_tidy(text), name, False, _absolute(text, measure, limit["number"]))
    if not measure.paired:
        raise _wrong(
            text,
            "compares with the baseline",
            f"{name} is of the pair and has no baseline: give a number, '{name} >= 0.9'.",
        )
    return Condition(_tidy(text), name, True, _relative(text, measure, limit))


def _absolute(text: str, measure: Measure, number: str) -> float:
    found = _number(text, number)
    if measure.unit == "rate" and found > 1:
        raise _wrong(text, f"has the rate {number}", "Rates are 0 to 1: 90 % is 0.9.")
    if measure.unit != "rate" and found == 0:
        raise _wrong(text, f"has the limit {number}", f"{measure.name} takes a limit over 0.")
    return found


def _relative(text: str, measure: Measure, limit: "re.Match[str]") -> float:
    """Give the points to add for a rate, the factor for anything else."""
    sign = limit["sign"]
    if measure.unit == "rate":
        if sign is None:
            return 0.0
        if sign not in "+-":
            raise _wrong(
                text,
                f"has {sign!r} after the baseline",
                f"{measure.name} is a rate and takes points: '{measure.name} >= baseline - 0.02'.",
            )
        points = _number(text, limit["amount"])
        if points >= 1:
            raise _wrong(
                text,
                f"has {limit['amount']} points",
                "Rates are 0 to 1: two points are 0.02.",
            )
        return 0.0 - points if sign == "-" else points
    if sign is None:
        return 1.0
    if sign != "*":
        raise _wrong(
            text,
            f"has {sign!r} after the baseline",
            f"{measure.name} takes a factor: '{measure.name} <= baseline * 1.2'.",
        )
    factor = _number(text, limit["amount"])
    if not 0 < factor <= _FACTOR_MAX:
        raise _wrong(
            text,
            f"has the factor {limit['amount']}",
            f"Factors are over 0 and at most {_FACTOR_MAX}.",
        )
    return factor


def _number(text: str, number: str) -> float:
    if _NUMBER.fullmatch(number) is None:
        raise _wrong(
            text,
            f"has {number!r} where a number belongs",
            "Numbers are digits with at most one point, such as 0.02 or 1.2.",
        )
    return float(number)


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _wrong(text: str, what: str, hint: str) -> SetupError:
    return SetupError(f"--gate {text!r} {what}.", hint=hint)
