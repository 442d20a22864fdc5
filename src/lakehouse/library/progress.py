"""How far a `create_many` is: a bar on a terminal or in a notebook, else one line at its end."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from lakehouse.core.errors import InfraError
from lakehouse.library.errors import Exhausted


class OutcomeCounts:
    """Counts outcomes by how they ended."""

    def __init__(self) -> None:
        self._accepted = self._rejected = self._outages = self._refused = 0

    def add(self, error: Exception | None) -> None:
        self._accepted += error is None
        self._rejected += isinstance(error, Exhausted)
        self._outages += isinstance(error, InfraError)
        self._refused += error is not None and not isinstance(error, Exhausted | InfraError)

    def __str__(self) -> str:
        told = f"accepted {self._accepted}, rejected {self._rejected}, infra_error {self._outages}"
        return f"{told}, refused {self._refused}" if self._refused else told


@contextmanager
def shown_progress(total: int | None) -> Iterator[Callable[[Any], None]]:
    """Show on stderr what the block tells it, one outcome after the other.

    Where there is neither a terminal nor a notebook with ipywidgets, it writes only the last line.
    """
    tally, console = OutcomeCounts(), Console(stderr=True, highlight=False)
    live = console.is_terminal or (console.is_jupyter and find_spec("ipywidgets") is not None)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeElapsedColumn(),
        *([] if total is None else [TimeRemainingColumn()]),
    )
    began_s = time.monotonic()
    # What is printed goes above the bar, but not away from a file or a pipe that stdout is.
    shared = sys.stdout is not None and sys.stdout.isatty()
    with Progress(*columns, console=console, disable=not live, redirect_stdout=shared) as bar:
        task = bar.add_task(str(tally), total=total)

        def tell(outcome: Any) -> None:
            tally.add(outcome.error)
            bar.update(task, advance=1, description=str(tally))

        try:
            yield tell
        finally:
            if not live:
                took_s = time.monotonic() - began_s
                console.print(f"{tally} in {took_s:.1f} s", soft_wrap=True, markup=False)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:,.1f}/s")
