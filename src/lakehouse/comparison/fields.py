"""Per field: how often two models agree, and how often each has the checked value."""

from collections import Counter
from collections.abc import Sequence
from typing import Final

from lakehouse.comparison.agreement import Artifact, equal_fields
from lakehouse.comparison.intervals import wilson
from lakehouse.comparison.pairs import SessionPair, Side
from lakehouse.comparison.sample import both_accepted
from lakehouse.comparison.summary import CheckedField, Estimate, FieldAgreement
from lakehouse.core.json_text import equal_values

_FIELDS_MAX: Final = 200  # shown; a model may invent a new field in every answer


def field_agreements(pairs: Sequence[SessionPair]) -> tuple[tuple[FieldAgreement, ...], int]:
    """Compare the artifacts of pairs accepted on both sides, by JSON Pointer.

    Returns:
        The fields that most pairs have, in the order of their pointers, and how many were left out.
    """
    clusters: dict[str, dict[str, list[int]]] = {}
    for pair in pairs:
        artifacts = both_accepted(pair)
        if artifacts is not None:
            for path, same in equal_fields(*map(Artifact, artifacts)).items():
                sums = clusters.setdefault(path, {}).setdefault(pair.cluster, [0, 0])
                sums[0] += same
                sums[1] += 1
    found = [_agreement(path, list(sums.values())) for path, sums in clusters.items()]
    shown = sorted(found, key=lambda field: -field.pairs)[:_FIELDS_MAX]
    return tuple(sorted(shown, key=lambda field: field.path)), len(found) - len(shown)


def checked_fields(pairs: Sequence[SessionPair]) -> tuple[tuple[CheckedField, ...], int]:
    """Compare both sides with the checked answers, field by field.

    A side that was not accepted has no field right. Pairs with an outage are left out.

    Returns:
        The fields that most checked answers have, in the order of their pointers, and how many
        were left out.
    """
    asked: Counter[str] = Counter()
    right: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for pair in pairs:
        if pair.checked_artifact is None or not pair.judged:
            continue
        checked = Artifact(pair.checked_artifact).fields()
        asked.update(checked.keys())
        for side, found in zip((pair.baseline, pair.candidate), right, strict=True):
            given = _given(side).fields()
            found.update(p for p in checked if p in given and equal_values(checked[p], given[p]))
    shown = sorted(path for path, _ in asked.most_common(_FIELDS_MAX))
    fields = tuple(CheckedField(p, asked[p], right[0][p], right[1][p]) for p in shown)
    return fields, len(asked) - len(shown)


def _given(side: Side) -> Artifact:
    return Artifact(side.artifact if side.accepted and side.artifact is not None else b"{}")


def _agreement(path: str, sums: list[list[int]]) -> FieldAgreement:
    equal, asked = [one[0] for one in sums], [one[1] for one in sums]
    rate = Estimate(sum(equal) / sum(asked), *wilson(equal, asked))
    return FieldAgreement(path, sum(asked), sum(equal), rate)
