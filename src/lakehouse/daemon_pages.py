"""The pages of a daemon, over the stack that it serves."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from lakehouse.admission.admission import UnderWay
from lakehouse.config.kind_text import toml_of_kind
from lakehouse.config.settings import Config
from lakehouse.stack import Stack

if TYPE_CHECKING:
    from lakehouse.ui.application import Pages


def build_pages(
    config: Config,
    stack_now: Callable[[], Stack],
    under_way: Callable[[], Awaitable[Sequence[UnderWay]]],
    authorize: Callable[[Mapping[str, Sequence[str]]], str] | None,
) -> "Pages":
    """Import and build the pages of a daemon.

    Args:
        config: What it began with: where the log and the gateway are stays so.
        stack_now: Returns the stack that serves, which a reload replaces.
        under_way: Lists the sessions that run.
        authorize: Accepts a request by its key; None if none is needed.
    """
    from lakehouse.ui.application import Pages  # noqa: PLC0415  as `PagesOnDemand` says
    from lakehouse.ui.reading import LogReadings  # noqa: PLC0415  likewise
    from lakehouse.ui.sources import PageSources, StackView  # noqa: PLC0415  likewise

    log = config.path(config.log.path)

    def view() -> StackView:
        stack = stack_now()
        kinds, settings = stack.catalog.kinds, stack.config.kinds
        return StackView(
            chat=stack.chat,
            under_way=under_way,
            catalog=stack.catalog,
            sink=stack.sink,
            kind_text=lambda name: toml_of_kind(kinds[name], settings[name]),
        )

    tracer = stack_now().tracer
    sources = PageSources(
        log=log,
        readings=LogReadings(log),
        served=view,
        gateway_url=f"http://{config.gateway.listen}",
        needs_key=authorize is not None,
        trace_page=None if tracer is None else tracer.destination.trace_page,
    )
    return Pages(sources, authorize=authorize)
