"""Time and tokens: quantiles by kind, model, API key and provider, and over time."""

import asyncio
from typing import Final

import msgspec

from lakehouse.sessionlog.index.questions import Bucket, GroupBy, Latency
from lakehouse.ui.buckets import BUCKET, bucket_of, bucket_of_all
from lakehouse.ui.grouping import BY, groups_of
from lakehouse.ui.page import Page, PageRequest, Section
from lakehouse.ui.sources import PageSources

DIMENSIONS: Final[tuple[GroupBy, ...]] = ("kind", "model", "api_key", "provider")
_DEFAULT: Final[tuple[GroupBy, ...]] = ("kind",)


class LatencyPage(msgspec.Struct, frozen=True, kw_only=True):
    """Quantiles of each group, and of each part of time; `latency.total` is of all."""

    by: tuple[GroupBy, ...]
    choices: tuple[GroupBy, ...]
    bucket: Bucket
    latency: Latency
    times: Latency


def latency_section(sources: PageSources) -> Section:
    """Return the page of time and tokens."""
    readings = sources.readings

    async def latency(request: PageRequest) -> LatencyPage:
        by = groups_of(request, DIMENSIONS, _DEFAULT)
        where = request.where
        bucket = bucket_of(request) or bucket_of_all(
            await readings.ask(lambda reader: reader.rates(where), "rates", where, (), None)
        )
        groups, times = await asyncio.gather(
            readings.ask(lambda reader: reader.latency(where, by=by), "latency", where, by, None),
            readings.ask(
                lambda reader: reader.latency(where, bucket=bucket),
                *("latency", where, (), bucket),
            ),
        )
        return LatencyPage(by=by, choices=DIMENSIONS, bucket=bucket, latency=groups, times=times)

    page = Page(
        entry="latency",
        path="/latency",
        title="Latency and tokens",
        template="latency.html",
        model=latency,
        own=(BY, BUCKET),
    )
    return Section(pages=(page,))
