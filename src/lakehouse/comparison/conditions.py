"""Conditions of the gate, such as `accepted >= baseline - 0.02`, parsed strictly."""

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
    "other measures, or a number in place of the baseline: 'accepted >= baseline - 0.02', "
    "'p50_latency_ms <= baseline * 1.2', 'checked_right >= 0.9'."
)


class Condition(msgspec.Struct, frozen=True):
    """A limit that the candidate has to reach.

    With `against_baseline`, the limit is the baseline's rate plus `amount`, or the baseline's value
    times `amount` for a measure that is not a rate. Otherwise it is `amount` itself.
    """

    text: str
    measure: str
    against_baseline: bool
    amount: float

    @property
    def measured(self) -> Measure:
        return MEASURES[self.measure]


def parse_conditions(texts: Sequence[str]) -> tuple[Condition, ...]:
    """Parse conditions from the command line.

    Raises:
        SetupError: A condition has the wrong form, names an unknown measure, compares the wrong
            way, has a number out of range, or repeats an earlier one. The message says what is
            allowed.
    """
    conditions = [_parse(text) for text in texts]
    for index, condition in enumerate(conditions):
        if any(_same(condition, before) for before in conditions[:index]):
            raise SetupError(
                f"--gate {condition.text!r} is given twice.",
                hint="Give it once: each further condition widens the margin of all conditions.",
            )
    return tuple(conditions)


def _same(one: Condition, other: Condition) -> bool:
    return msgspec.structs.astuple(one)[1:] == msgspec.structs.astuple(other)[1:]


def _parse(text: str) -> Condition:
    form = _FORM.fullmatch(text)
    if form is None:
        raise _wrong(text, "is not a condition", _EXAMPLE)
    name, operator, right = form.groups()
    measure = MEASURES.get(name)
    if measure is None:
        allowed = ", ".join(MEASURES)
        raise _wrong(text, f"names {name!r}, which is not a measure", f"Measures are {allowed}.")
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
        raise _wrong(text, f"has the limit {right!r}, which cannot be read", _EXAMPLE)
    if limit["baseline"] is None:
        return Condition(_tidy(text), name, False, _absolute(text, measure, limit["number"]))
    if not measure.paired:
        raise _wrong(
            text,
            "compares with the baseline",
            f"{name} compares the two sides, so it has no baseline: use a number, '{name} >= 0.9'.",
        )
    return Condition(_tidy(text), name, True, _relative(text, measure, limit))


def _absolute(text: str, measure: Measure, number: str) -> float:
    found = _number(text, number)
    if measure.unit == "rate" and found > 1:
        raise _wrong(text, f"has the rate {number}", "Rates are 0 to 1: 90 % is 0.9.")
    if measure.unit != "rate" and found == 0:
        raise _wrong(
            text, f"has the limit {number}", f"The limit of {measure.name} must be over 0."
        )
    return found


def _relative(text: str, measure: Measure, limit: "re.Match[str]") -> float:
    """Return the points to add for a rate, or the factor for any other measure."""
    sign = limit["sign"]
    if measure.unit == "rate":
        if sign is None:
            return 0.0
        if sign not in "+-":
            raise _wrong(
                text,
                f"has {sign!r} after the baseline",
                f"{measure.name} is a rate: add or subtract points, as in '"
                f"'{measure.name} >= baseline - 0.02'.",
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
            f"{measure.name} is not a rate: use a factor, '{measure.name} <= baseline * 1.2'.",
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
            f"has {number!r} instead of a number",
            "Write digits with at most one decimal point, such as 0.02 or 1.2.",
        )
    return float(number)


def _tidy(text: str) -> str:
    return " ".join(text.split())


def _wrong(text: str, what: str, hint: str) -> SetupError:
    return SetupError(f"--gate {text!r} {what}.", hint=hint)
