"""Tables that the page and the terminal share, as texts without a layout."""

from typing import Final

from lakehouse.comparison.summary import STATES, FieldAgreement, Summary
from lakehouse.reports.wording import STATE_WORDS

FLOW_COLUMNS: Final = ("baseline \\ candidate", *(STATE_WORDS[state] for state in STATES))


def flow_rows(summary: Summary) -> list[tuple[str, ...]]:
    """Count the pairs by how each side ended: one row per end of the baseline."""
    counts = {(flow.baseline, flow.candidate): flow.pairs for flow in summary.flow}
    return [
        (STATE_WORDS[ours], *(str(counts.get((ours, theirs), 0)) for theirs in STATES))
        for ours in STATES
    ]


def fields_by_agreement(summary: Summary) -> list[FieldAgreement]:
    """Sort the fields, those that are equal least often first."""
    return sorted(summary.fields, key=lambda field: field.equal / field.pairs)
