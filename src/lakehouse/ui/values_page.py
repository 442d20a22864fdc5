"""The values that are not in the tables: the list that the owner of the data needs."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping
from typing import Final

import msgspec

from lakehouse.core.json_text import NULL
from lakehouse.sessionlog.index.filters import LogFilter
from lakehouse.sessionlog.index.questions import PARTS_MAX, FindingGroup, Findings, Progress
from lakehouse.tabular.csv_export import csv_lines
from lakehouse.ui.page import Download, Page, PageRequest, Section
from lakehouse.ui.sources import PageSources, StackView

_LIMIT: Final = 200
_QUOTE: Final = "a quote of the text"
_COLUMNS: Final = (
    *("path", "value", "compared_with", "nearest", "findings", "sessions", "last_seen"),
    "newest_row_id",
)


class ValueLine(FindingGroup, frozen=True):
    """A value at a path. `compared_with` are columns, as the kinds are configured now."""

    compared_with: tuple[str, ...]


class ValuesPage(msgspec.Struct, frozen=True, kw_only=True):
    """The values, the most frequent first; `more`: there are more."""

    values: tuple[ValueLine, ...]
    more: bool
    progress: Progress


def values_section(sources: PageSources) -> Section:
    """Return the page of values, and its file."""

    async def found(where: LogFilter, limit: int) -> tuple[Findings, tuple[ValueLine, ...]]:
        answer = await sources.readings.ask(
            lambda reader: reader.values(where, limit=limit), "values", where, limit
        )
        columns = _columns(sources.stack, where.kind)
        lines = tuple(
            ValueLine(
                **msgspec.structs.asdict(one),
                compared_with=columns.get(one.group["path"] or "", ()),
            )
            for one in answer.groups
        )
        return answer, lines

    async def values(request: PageRequest) -> ValuesPage:
        answer, lines = await found(request.where, _LIMIT)
        return ValuesPage(values=lines, more=answer.more, progress=answer.progress)

    async def file(request: PageRequest) -> AsyncGenerator[bytes]:
        _, lines = await found(request.where, PARTS_MAX)
        yield await asyncio.to_thread(_csv, lines)

    page = Page(
        entry="values",
        path="/values",
        title="Values that are not in the tables",
        template="values.html",
        model=values,
    )
    download = Download(
        path="/values.csv",
        media_type="text/csv; charset=utf-8",
        file_name="values.csv",
        pieces=file,
    )
    return Section(pages=(page,), downloads=(download,))


def _columns(stack: StackView | None, kind: str | None) -> Mapping[str, tuple[str, ...]]:
    """Return what values are compared with, by path; of one kind, or of all."""
    found: dict[str, dict[str, None]] = {}
    for one in stack.catalog.kinds.values() if stack is not None else ():
        for rule in one.grounding if kind in (None, one.name) else ():
            for path in (rule.path, f"{rule.path}/*"):  # each element, where there are several
                found.setdefault(path, {})[rule.column or _QUOTE] = None
    return {path: tuple(columns) for path, columns in found.items()}


def _csv(lines: Iterable[ValueLine]) -> bytes:
    cells = [_cells(one) for one in lines]
    return "".join(csv_lines(_COLUMNS, cells, raw=False)).encode()


def _cells(one: ValueLine) -> list[msgspec.Raw]:
    value = one.group["value"]
    newest = one.row_ids[0] if one.row_ids else None
    return [
        _raw(one.group["path"]),
        NULL if value is None else msgspec.Raw(value.encode()),
        _raw(", ".join(one.compared_with)),
        one.nearest,
        *map(_raw, (one.findings, one.sessions, one.last_seen, newest)),
    ]


def _raw(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))
