"""What became of each text, counted: rates with their intervals, and differences of paired arms."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from lakehouse.comparison.bootstrap import change, draw, value
from lakehouse.comparison.intervals import SHOWN_TAIL, wilson
from lakehouse.comparison.sample import Measure, Sample
from quality.cases import ARMS, BASELINE, SEED, Case, CaseSet


class Outcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How one text ended in one arm: a line of the raw results.

    `kind` is the digest of the kind that was asked. `wrong` holds, for an accepted answer, the
    members that are not as the known answer has them; all of them where there is none. `offered`
    says what the first attempt was offered: by place the mode and the number of values.
    """

    arm: str
    id: str
    kind: str
    accepted: bool
    calls: int
    tokens: int
    duration_ms: int
    wrong: dict[str, Any] = {}
    offered: dict[str, str] = {}


class Judged(msgspec.Struct, frozen=True):
    """One text's outcome beside what is known of the text."""

    case: Case
    outcome: Outcome
    grounded: bool
    """Accepted, and the members that tables judge are right."""
    whole: bool
    """Accepted, and all members are right."""

    @property
    def wrong(self) -> bool:
        return self.outcome.accepted and not self.grounded


def judged(case: Case, outcome: Outcome, members: Sequence[str]) -> Judged:
    right = outcome.accepted and case.answer is not None
    grounded = right and not any(member in outcome.wrong for member in members)
    return Judged(case, outcome, grounded, right and not outcome.wrong)


_RATES: Final = ("accepted", "grounded_right", "all_right", "wrongly_accepted")
_MEASURES: Final = (
    *(Measure(name, name, "rate") for name in _RATES),
    Measure("calls", "calls", "attempts"),
    Measure("tokens", "tokens", "tokens"),
)


def _numbers(one: Judged) -> tuple[float, ...]:
    outcome = one.outcome
    return (
        outcome.accepted,
        one.grounded,
        one.whole,
        one.wrong,
        outcome.calls,
        outcome.tokens,
    )


def report(cases: CaseSet, arms: Mapping[str, Sequence[Judged]]) -> dict[str, Any]:
    """Count every arm, and compare each to the arm that only grounds.

    Rates have 95 % intervals (Wilson's, with the texts of one answer as a cluster); differences are
    of the same texts in both arms (cluster bootstrap).
    """
    base = arms.get(BASELINE)
    return {
        "arms": {arm: _counts(rows) for arm, rows in arms.items()},
        "against_grounding": {
            arm: _against(base, rows)
            for arm, rows in arms.items()
            if base is not None and arm != BASELINE
        },
        "accepted_without_an_answer": {
            arm: [one.case.id for one in rows if _let_through(one)] for arm, rows in arms.items()
        },
        "accepted_because_of_narrowing": {
            arm: sorted(
                {one.case.id for one in arms[arm] if _let_through(one)}
                - {one.case.id for one in base if _let_through(one)}
            )
            for arm in arms
            if base is not None and ARMS[arm].candidates not in {None, "off"}
        },
        "known_holes_of_the_checks": [case.id for case in cases.cases if case.checks_allow],
    }


def _let_through(one: Judged) -> bool:
    return one.case.answer is None and one.outcome.accepted


def _counts(rows: Sequence[Judged]) -> dict[str, Any]:
    clusters = [one.case.cluster for one in rows]
    accepted = [one.outcome.accepted for one in rows]
    found: dict[str, Any] = {"texts": len(rows)}
    for index, name in enumerate(_RATES):
        hits = [_numbers(one)[index] for one in rows]
        found[name] = {
            "count": int(sum(hits)),
            "of_texts": _rate(hits, accepted, clusters, of_accepted=False),
        }
        if name != "accepted":
            found[name]["of_accepted"] = _rate(hits, accepted, clusters, of_accepted=True)
    total = sum(accepted)
    unsaid = [one for one in rows if one.case.unsaid]
    found["calls_per_accepted"] = _quotient(sum(one.outcome.calls for one in rows), total)
    found["tokens_per_accepted"] = _quotient(sum(one.outcome.tokens for one in rows), total)
    found["texts_offered"] = {
        mode: sum(any(mode in said for said in one.outcome.offered.values()) for one in rows)
        for mode in ("hint", "decode")
    }
    found["near_unsaid"] = {
        "texts": len(unsaid),
        "accepted": sum(one.outcome.accepted for one in unsaid),
        "accepted_with_null": sum(
            one.outcome.accepted and one.outcome.wrong.get("near", "") is None for one in unsaid
        ),
        "grounded_right": sum(one.grounded for one in unsaid),
    }
    return found


def _quotient(amount: int, count: int) -> float | None:
    return round(amount / count, 3) if count else None


def _rate(
    hits: Sequence[float], accepted: Sequence[bool], clusters: Sequence[str], *, of_accepted: bool
) -> list[float] | None:
    """Return rate, lower and upper bound; None where there is nothing to count among."""
    sums: dict[str, list[float]] = {}
    for hit, taken, cluster in zip(hits, accepted, clusters, strict=True):
        if taken or not of_accepted:
            of = sums.setdefault(cluster, [0, 0])
            of[0] += hit
            of[1] += 1
    if not sums:
        return None
    gained, asked = zip(*sums.values(), strict=True)
    return [round(number, 4) for number in (sum(gained) / sum(asked), *wilson(gained, asked))]


def _against(base: Sequence[Judged], rows: Sequence[Judged]) -> dict[str, Any]:
    """Compare an arm with the baseline over the texts that both have."""
    before = {one.case.id: one for one in base}
    pairs = [(before[one.case.id], one) for one in rows if one.case.id in before]
    names: dict[str, int] = {}
    cluster = [names.setdefault(one.case.cluster, len(names)) for _, one in pairs]
    sides = [
        {
            measure.column: np.array([_numbers(pair[side])[index] for pair in pairs], np.float64)
            for index, measure in enumerate(_MEASURES)
        }
        for side in (0, 1)
    ]
    sample = Sample(np.array(cluster, np.int64), sides[0], sides[1])
    found: dict[str, Any] = {"texts": len(pairs)}
    for name, drawn in draw(sample, _MEASURES, seed=SEED).items():
        measure = next(one for one in _MEASURES if one.name == name)
        levels = (np.array(value(sample, columns, measure)) for columns in sides)
        assert drawn.change is not None
        bounds = drawn.bounds(drawn.change, SHOWN_TAIL) or (math.nan, math.nan)
        numbers = (float(change(measure, *levels)), *bounds)
        found[name] = [round(n, 4) if math.isfinite(n) else None for n in numbers]
    return found


def tables(cases: CaseSet, found: Mapping[str, Any]) -> list[str]:
    """Lay the arms side by side."""
    lines = [
        f"Grounded members: {' and '.join(cases.grounded)}.",
        "",
        *_head(
            "arm, texts, accepted, grounded members right, of what is accepted, all members right, "
            "wrongly accepted, calls per accepted, tokens per accepted"
        ),
    ]
    for arm, row in found["arms"].items():
        right = row["grounded_right"]
        cells = [
            arm,
            row["texts"],
            *(f"{row[name]['count']} ({_of(row[name]['of_texts'])})" for name in _RATES[:2]),
            _of(right["of_accepted"]),
            *(f"{row[name]['count']} ({_of(row[name]['of_texts'])})" for name in _RATES[2:]),
            _shown(row["calls_per_accepted"], ".2f"),
            _shown(row["tokens_per_accepted"], ".0f"),
        ]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    if found["against_grounding"]:
        lines += [
            "",
            f"The same texts, arm minus `{BASELINE}` (calls and tokens: arm divided by it):",
            "",
            *_head(
                "arm, accepted, grounded members right, all members right, wrongly accepted, "
                "calls, tokens"
            ),
        ]
    for arm, row in found["against_grounding"].items():
        cells = [arm, *(_change(row[m.name], rate=m.unit == "rate") for m in _MEASURES)]
        lines.append("| " + " | ".join(cells) + " |")
    return [*lines, "", *_remarks(cases, found)]


def _head(columns: str) -> tuple[str, str]:
    names = columns.split(", ")
    return f"| {' | '.join(names)} |", "| --- " * len(names) + "|"


def _remarks(cases: CaseSet, found: Mapping[str, Any]) -> list[str]:
    lines = []
    for arm, row in found["arms"].items():
        if ARMS[arm].candidates not in {None, "off"}:
            offered = row["texts_offered"]
            lines.append(
                f"- `{arm}`: values were offered in the schema for {offered['decode']} of "
                f"{row['texts']} texts, in the prompt for {offered['hint']}."
            )
        unsaid = row["near_unsaid"]
        if unsaid["texts"]:
            lines.append(
                f"- `{arm}`: {unsaid['texts']} sentences do not contain the `near` of their "
                f"answer; {unsaid['accepted']} accepted, of these {unsaid['accepted_with_null']} "
                f"with null and {unsaid['grounded_right']} as the data set has it."
            )
    if all(case.answer is not None for case in cases.cases):
        return lines
    without = sum(case.answer is None for case in cases.cases)
    holes = found["known_holes_of_the_checks"]
    lines.append(
        f"- {without} texts have no right answer. The kind's own checks accept a wrong one for "
        f"{len(holes)} of them: {_listed(holes)}."
    )
    for arm, ids in found["accepted_without_an_answer"].items():
        lines.append(f"- `{arm}` accepted {len(ids)} of them: {_listed(ids)}.")
    for arm, ids in found["accepted_because_of_narrowing"].items():
        lines.append(f"- `{arm}` and not `{BASELINE}`: {_listed(ids)}.")
    return lines


def _listed(ids: Sequence[str]) -> str:
    return ", ".join(ids) or "none"


def _of(rate: Sequence[float] | None) -> str:
    if rate is None:
        return "-"
    return f"{rate[0]:.1%}, {rate[1]:.1%} to {rate[2]:.1%}"


def _shown(number: float | None, form: str) -> str:
    return "-" if number is None else format(number, form)


def _change(numbers: Sequence[float | None], *, rate: bool) -> str:
    middle, low, high = (
        "?" if number is None else f"{number * 100:+.1f}" if rate else f"{number:.2f}"
        for number in numbers
    )
    return f"{middle} ({low} to {high})"
