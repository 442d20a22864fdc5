"""The start page: rates over time, what goes wrong, tokens and time, and what runs now."""

import asyncio
import os
from pathlib import Path

import msgspec

from lakehouse.sessionlog.index.questions import Bucket, Overview
from lakehouse.ui.buckets import BUCKET, bucket_of, bucket_of_all
from lakehouse.ui.live import LiveFeed, Now
from lakehouse.ui.page import Page, PageRequest, Section
from lakehouse.ui.sources import PageSources


class LogSize(msgspec.Struct, frozen=True):
    """The files of the log, without what is derived from them."""

    files: int
    bytes: int


class OverviewPage(msgspec.Struct, frozen=True, kw_only=True):
    """The start page. `now` is null where there is no stack."""

    bucket: Bucket
    overview: Overview
    log: LogSize
    now: Now | None


def overview_section(sources: PageSources, live: LiveFeed) -> Section:
    """Return the start page."""

    async def overview(request: PageRequest) -> OverviewPage:
        where, bucket = request.where, bucket_of(request)
        asked: Bucket = bucket or "day"
        numbers, log, now = await asyncio.gather(
            sources.readings.ask(
                lambda reader: reader.overview(where, bucket=asked), "overview", where, asked
            ),
            asyncio.to_thread(_size, sources.log),
            live.now(),
        )
        fits = bucket or bucket_of_all(numbers.rates)
        if fits != asked:
            rates = await sources.readings.ask(
                lambda reader: reader.rates(where, bucket=fits), "rates", where, fits
            )
            numbers = msgspec.structs.replace(numbers, rates=rates)
        return OverviewPage(bucket=fits, overview=numbers, log=log, now=now)

    page = Page(
        entry="overview",
        path="",
        title="Overview",
        template="overview.html",
        model=overview,
        own=(BUCKET,),
    )
    return Section(pages=(page,))


def _size(log: Path) -> LogSize:
    files = size_bytes = 0
    for folder, names, found in os.walk(log):
        names[:] = [name for name in names if not name.startswith(".") and name != "index"]
        for name in found:
            try:
                size_bytes += os.stat(os.path.join(folder, name)).st_size  # noqa: PTH116, PTH118 - fast
            except OSError:  # sealed or moved meanwhile
                continue
            files += 1
    return LogSize(files, size_bytes)
