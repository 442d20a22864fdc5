"""The Rich console of all commands. Text from outside cannot control the terminal."""

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from lakehouse.core.visible import visible


class _Console(Console):
    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Return the segments of a renderable, none of which can steer but Rich's own."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=visible(segment.text))


def console(*, err: bool = False) -> Console:
    """Return a console that adds no colours and wraps lines only on a terminal."""
    found = _Console(highlight=False, stderr=err)
    if found.is_terminal:
        return found
    return _Console(highlight=False, stderr=err, width=200, soft_wrap=True)
