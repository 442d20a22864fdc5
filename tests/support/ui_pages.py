"""The pages over a log of given rows, called without a socket."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from starlette.testclient import TestClient

from lakehouse.admission.admission import Admission, UnderWay
from lakehouse.core.row import Row
from lakehouse.core.row_codec import encode_line
from lakehouse.engine.task import Catalog
from lakehouse.grounding.no_tables import NoTables
from lakehouse.sessionlog.writing.memory import MemoryLog
from lakehouse.transport.route import Authorize
from lakehouse.transport.server import Application, Calls
from lakehouse.ui.address import BASE
from lakehouse.ui.application import Pages
from lakehouse.ui.reading import LogReadings
from lakehouse.ui.sources import PageSources, StackView
from lakehouse.validatord.service import ValidatorService
from support.asgi_exchange import as_asgi
from support.sessions import ListedChat


def write_log(root: Path, rows: Iterable[Row]) -> Path:
    """Write rows as a writer leaves them; returns the log's directory."""
    active = root / "active"
    active.mkdir(parents=True, mode=0o700)
    root.chmod(0o700)
    data = b"".join(b"\n" + encode_line(row) + b"\n" for row in rows)
    (active / "given-0.jsonl").write_bytes(data)
    return root


def stack_view(catalog: Catalog) -> StackView:
    """Give a stack that runs nothing and offers these kinds."""
    chat, sink = ListedChat(), MemoryLog()
    validator = ValidatorService(catalog, chat=chat, tables=NoTables(), sink=sink)
    admission = Admission(validator)

    async def under_way() -> list[UnderWay]:
        return admission.under_way()

    return StackView(
        chat=chat, under_way=under_way, catalog=catalog, sink=sink, kind_text=lambda _: ""
    )


@contextmanager
def pages_over(
    root: Path,
    *,
    authorize: Authorize | None = None,
    change: Callable[[PageSources], PageSources] = lambda sources: sources,
    shared_s: float = 0,
) -> Iterator[TestClient]:
    """Serve the pages of a log, behind what checks hosts and origins; nothing is shared."""
    sources = change(PageSources(log=root, readings=LogReadings(root, shared_s=shared_s)))
    pages = Pages(sources, authorize=authorize)
    app = Application((), calls=Calls(), authorize=authorize, mounted={BASE: pages.app})

    try:
        with TestClient(as_asgi(app), base_url="http://127.0.0.1:4110") as client:
            yield client
    finally:
        pages.close()
