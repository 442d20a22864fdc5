"""Reference tables from files: the `TableSource` of the configured tables.

Every table lives in memory, at the version its file had when a session last asked. A snapshot
holds on to its versions, so a session judges all its attempts against the same rows, while the
next session gets the file's new content.
"""

import asyncio
import contextlib
import logging
import os
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, TypeVar

import msgspec

from lakehouse.core.errors import ColumnUnfit, InfraError, TableUnavailable
from lakehouse.core.kind import GroundingRule, Kind, mode_of
from lakehouse.core.ports import TableSnapshot
from lakehouse.grounding.arrow import ColumnFault
from lakehouse.grounding.binding import PreparedRule
from lakehouse.grounding.index import ColumnIndex
from lakehouse.grounding.loading import (
    FileStamp,
    is_settled,
    load,
    stamp_fields,
    stamp_of,
    watched_of,
)
from lakehouse.grounding.rules import split_reference
from lakehouse.grounding.settings import TableSettings
from lakehouse.grounding.snapshot import Snapshot, TableVersion, check_fit
from lakehouse.grounding.sql import RuleDatabase, RuleRunner, Task

_LOG = logging.getLogger(__name__)
_WAIT_S: Final = 60.0  # a session's wait for a table; the load goes on
_OWN_RULES_MAX: Final = 512  # rules of types; 62 KB each
_SNAPSHOTS_MAX: Final = 256  # kinds whose last snapshot is kept

_Result = TypeVar("_Result")


class _Known(msgspec.Struct, frozen=True):
    """The result of the last reading of a file: a version, or the failure.

    While the path `watched` has the same `stamp`, another reading would have the same result.
    """

    watched: str
    stamp: FileStamp | None
    settled: bool
    version: TableVersion | None
    failure: str = ""
    hint: str = ""


Rules = Mapping[str, PreparedRule]
"""The prepared rules of one kind by their SQL."""
_KindKey = tuple[str, bytes, bytes]  # what decides which rules are judged by: `Kind`


class TableFiles:
    """Implements `TableSource` over files. Belongs to one event loop at a time."""

    def __init__(
        self, tables: Mapping[str, TableSettings], rules: Mapping[str, Rules] | None = None
    ) -> None:
        """Take the tables and the prepared rules of the kinds, by name; no table is read yet."""
        self._paths = {name: Path(settings.path) for name, settings in tables.items()}
        self._types = {name: settings.types for name, settings in tables.items()}
        self.rules = rules or {}
        self._own_rules: OrderedDict[bytes, Rules] = OrderedDict()
        self._runner = RuleRunner()
        self._known: dict[str, _Known] = {}
        self._databases: dict[frozenset[str], tuple[tuple[TableVersion, ...], RuleDatabase]] = {}
        self._snapshots: dict[_KindKey, Snapshot] = {}
        self._under_way: dict[object, asyncio.Task[Any]] = {}

    async def snapshot(self, kind: Kind) -> TableSnapshot:
        """Return the tables that the kind's grounding and rules read; see the port."""
        versions: dict[str, TableVersion] = {}
        key = (kind.digest, kind.carried, kind.own)
        snapshot = self._snapshots.get(key)
        for name in self._names(kind) if snapshot is None else snapshot.versions:
            versions[name] = self._unchanged(name) or await self._fresh(name)
        if snapshot is None or snapshot.versions != versions:
            snapshot = await self._assemble(kind, versions)
            self._keep(key, snapshot)
        return snapshot

    def add_rules(self, key: bytes, rules: Rules) -> None:
        """Take the prepared rules of `OwnChecks` with this key. The last 512 are kept."""
        self._own_rules[key] = rules
        if len(self._own_rules) > _OWN_RULES_MAX:
            self._own_rules.popitem(last=False)

    def has_rules(self, key: bytes) -> bool:
        """Return whether the rules with this key are here; they stay for the next sessions."""
        if key not in self._own_rules:
            return False
        self._own_rules.move_to_end(key)
        return True

    def close(self) -> None:
        """Stop the worker threads."""
        self._runner.close()

    def _keep(self, key: _KindKey, snapshot: Snapshot) -> None:
        """Keep a snapshot, and none with older versions: schemas of callers make many kinds."""
        now = snapshot.versions
        self._snapshots = {
            known: one
            for known, one in self._snapshots.items()
            if all(now.get(name, version) is version for name, version in one.versions.items())
        }
        if len(self._snapshots) >= _SNAPSHOTS_MAX:
            self._snapshots.clear()
        self._snapshots[key] = snapshot

    def _names(self, kind: Kind) -> list[str]:
        return sorted(kind.tables().union(*(rule.tables for rule in self._prepared(kind))))

    def _prepared(self, kind: Kind) -> list[PreparedRule]:
        if not kind.rules:
            return []
        known = {} if kind.name is None else self.rules.get(kind.name, {})
        if kind.own and kind.own not in self._own_rules:
            raise InfraError(
                "overloaded", "Too many types with rules of their own are used at once."
            )
        rules = {**known, **self._own_rules[kind.own]} if kind.own else known
        return [rules[rule.sql] for rule in kind.rules]

    def _unchanged(self, name: str) -> TableVersion | None:
        """Return the version in memory if the file is still the one it was read from."""
        known = self._known.get(name)
        if known is None or not known.settled:
            return None
        try:
            if stamp_fields(os.stat(known.watched)) != known.stamp:  # noqa: PTH116  for each session
                return None
        except (OSError, ValueError):
            return None
        if known.version is None:
            raise TableUnavailable(name, known.failure, hint=known.hint)
        return known.version

    async def _fresh(self, name: str) -> TableVersion:
        """Read a table, or wait for a reading that started after this call.

        A reading that started earlier may have missed a later change, so it is not used.
        """
        if name in self._under_way:
            asked = stamp_of(self._paths[name]) if name in self._paths else None
            with contextlib.suppress(TableUnavailable):
                await self._once(name, name, partial(self._reload, name))
            known = self._known.get(name)
            same = known is not None and known.settled and known.stamp == asked
            if known is not None and same:
                if known.version is None:
                    raise TableUnavailable(name, known.failure, hint=known.hint)
                return known.version
        return await self._once(name, name, partial(self._reload, name))

    def _reload(self, name: str) -> TableVersion:
        """Read a table's file; in a worker thread. The same bytes are the same version."""
        path = self._paths.get(name)
        if path is None:
            raise TableUnavailable(name, "it is not configured")
        known = self._known.get(name)
        version = known.version if known is not None else None
        watched = str(watched_of(path))
        stamp = stamp_of(path)
        try:
            loaded = load(
                name, path, self._types[name], known_digest=version.digest if version else None
            )
        except TableUnavailable as error:
            settled = stamp is not None and is_settled(stamp)
            failure = error.internal.removeprefix(f"{name}: ")
            if known is None or known.failure != failure:  # once, not for every session
                _LOG.warning("a table could not be loaded: %s", error.internal)
            self._known[name] = _Known(watched, stamp, settled, None, failure, error.hint)
            raise
        if version is None or loaded.data is not None:
            assert loaded.data is not None
            version = TableVersion(name, loaded.digest, loaded.data)
        self._known[name] = _Known(watched, loaded.stamp, loaded.settled, version)
        return version

    async def _assemble(self, kind: Kind, versions: Mapping[str, TableVersion]) -> Snapshot:
        columns: dict[str, ColumnIndex] = {}
        for rule in kind.grounding:
            for reference in rule.references():
                name, column = split_reference(reference)
                index = await self._column(versions[name], column, rule)
                if mode_of(rule, kind) != "off" and not index.spelled:
                    key = (versions[name], column, "spellings")
                    await self._once(key, name, index.prepare_spellings)
                columns[reference] = index
        tasks: dict[str, Task] = {}
        prepared = self._prepared(kind)
        for tables in {rule.tables for rule in prepared}:
            fitting = tuple(rule for rule in prepared if rule.tables == tables)
            read = tuple(versions[name] for name in sorted(tables))
            make = partial(self._database, tables, read, fitting)
            database = await self._once((tables, read, fitting), ", ".join(sorted(tables)), make)
            tasks |= {rule.sql: (rule, database) for rule in fitting}
        return Snapshot(versions, columns, tasks, self._runner)

    async def _column(self, version: TableVersion, column: str, rule: GroundingRule) -> ColumnIndex:
        """Return a column that can answer the rule.

        Callers share the running work that is the same for every rule: the index and its folding.
        Each caller checks its own rule.
        """
        try:
            key = (version, column)
            index = await self._once(key, version.name, partial(version.index, column))
            check_fit(index, rule)
            if not index.ready(rule.match):
                work = partial(index.prepare, rule.match)
                await self._once((*key, rule.match), version.name, work)
        except ColumnFault as fault:
            raise ColumnUnfit(version.name, column, str(fault)) from fault
        return index

    def _database(
        self,
        tables: frozenset[str],
        versions: tuple[TableVersion, ...],
        rules: Sequence[PreparedRule],
    ) -> RuleDatabase:
        """Return the database of these versions, built once, in a worker thread."""
        kept = self._databases.get(tables)
        if kept is None or kept[0] != versions:
            arrow = {version.name: version.data.arrow() for version in versions}
            kept = self._databases[tables] = (versions, RuleDatabase(arrow))
        kept[1].check(rules)
        return kept[1]

    async def _once(self, key: object, name: str, work: Callable[[], _Result]) -> _Result:
        """Do blocking work in a thread, once for all callers that ask for it meanwhile."""
        task = self._under_way.get(key)
        if task is None or task.done():
            task = self._under_way[key] = asyncio.create_task(asyncio.to_thread(work))
            task.add_done_callback(partial(self._forget, key))
        # `asyncio.wait` never cancels the task: callers share the load, and it outlives a session.
        await asyncio.wait({task}, timeout=_WAIT_S)
        if not task.done():
            raise TableUnavailable(
                name,
                f"still loading after {_WAIT_S:.0f} s",
                hint="Loading continues: retry shortly, or make the table smaller.",
            )
        result: _Result = task.result()
        return result

    def _forget(self, key: object, task: "asyncio.Task[Any]") -> None:
        if self._under_way.get(key) is task:
            del self._under_way[key]
        if not task.cancelled():
            task.exception()
