"""What the pages show: a log, and the stack that writes it, if there is one in this process."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from lakehouse.admission.admission import UnderWay
from lakehouse.core.ports import ChatModel, RecordSink
from lakehouse.engine.task import Catalog
from lakehouse.ui.reading import LogReadings


class StackView(msgspec.Struct, frozen=True, kw_only=True):
    """The stack: its models, what it runs now in all its processes, its kinds, its log.

    `under_way` lists the sessions that run, the oldest first. `kind_text` returns a configured kind
    as TOML.
    """

    chat: ChatModel
    under_way: Callable[[], Awaitable[Sequence[UnderWay]]]
    catalog: Catalog
    sink: RecordSink
    kind_text: Callable[[str], str]


class PageSources(msgspec.Struct, frozen=True, kw_only=True):
    """Where pages read.

    `served` returns the stack that serves now, which a reload of the configuration replaces; None
    where only a log is shown.

    `gateway_url` is where sessions can be asked for again, if it is known; `needs_key` says whether
    it wants an API key. `trace_page` is the URL of a trace's page at the receiver of traces, with
    `{trace_id}` in it; None if no receiver with such pages is configured.
    """

    log: Path
    readings: LogReadings
    served: Callable[[], StackView] | None = None
    gateway_url: str | None = None
    needs_key: bool = False
    trace_page: str | None = None

    @property
    def stack(self) -> StackView | None:
        """The stack that serves now."""
        return None if self.served is None else self.served()
