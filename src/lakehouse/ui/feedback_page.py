"""What people said of sessions: the list of labels, what is left to label, and cases of it."""

import asyncio

import msgspec

from lakehouse.comparison.judgement import PAIRS_MIN
from lakehouse.sessionlog.index.questions import Labels, Unlabelled
from lakehouse.ui.feedback_cases import (
    KNOWN_ANSWER,
    NAMED_MAX,
    CaseGroup,
    case_groups,
    cases_download,
    needs_rows,
)
from lakehouse.ui.feedback_form import feedback_form
from lakehouse.ui.page import Page, PageRequest, Section
from lakehouse.ui.sources import PageSources

_LIMIT = 50


class FeedbackListPage(msgspec.Struct, frozen=True, kw_only=True):
    """The labels of a filter, newest first. `cases` are those with a known answer, by kind.

    `pairs_min` is how many cases a gate needs to decide.
    """

    labels: Labels
    unlabelled: Unlabelled
    cases: tuple[CaseGroup, ...]
    pairs_min: int = PAIRS_MIN


def feedback_section(sources: PageSources) -> Section:
    """Return the list of labels, the form for one, and the file of cases."""

    async def feedback(request: PageRequest) -> FeedbackListPage:
        where, cursor = request.where, request.own("cursor")
        labels, unlabelled, row_ids = await asyncio.gather(
            sources.readings.ask(
                lambda reader: reader.labels(where, limit=_LIMIT, cursor=cursor),
                *("labels", where, cursor),
            ),
            sources.readings.ask(lambda reader: reader.unlabelled(where), "unlabelled", where),
            _row_ids(request),
        )
        cases = case_groups(labels.counts, where, row_ids)
        return FeedbackListPage(labels=labels, unlabelled=unlabelled, cases=cases)

    async def _row_ids(request: PageRequest) -> tuple[str, ...] | None:
        where = request.where
        if not needs_rows(where):
            return None
        found = await sources.readings.ask(
            lambda reader: reader.labels(where, limit=NAMED_MAX), "labels", where, NAMED_MAX
        )
        known = tuple(one.row_id for one in found.labels if one.label in KNOWN_ANSWER)
        return known if found.next is None else None

    page = Page(
        entry="feedback",
        path="/feedback",
        title="Feedback",
        template="feedback.html",
        model=feedback,
        own=("cursor",),
    )
    form_page, forms = feedback_form(sources)
    return Section(pages=(page, form_page), downloads=(cases_download(sources),), forms=forms)
