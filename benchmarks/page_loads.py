"""What a browser waits for: each page of a large log, over HTTP."""

import re
import statistics
import time
from pathlib import Path
from urllib.request import urlopen

from generated_log import NEEDLE
from rig import process

SHARED_S = 2.1
"""Longer than the server shares an answer: a page that is loaded again asks the log again."""

PAGES = {
    "overview": "/ui",
    "overview of one kind": "/ui?kind=kind_3",
    "overview of a word": f"/ui?text={NEEDLE}",
    "sessions": "/ui/sessions",
    "sessions, filtered": "/ui/sessions?kind=kind_3&verdict=max_iter_exhausted",
    "sessions, a word": f"/ui/sessions?text={NEEDLE}",
    "one session": "/ui/sessions/{session}",
    "findings": "/ui/findings",
    "missing values": "/ui/values",
    "time and tokens": "/ui/latency?by=kind,model,api_key",
    "kinds": "/ui/kinds",
    "one kind": "/ui/kind?kind=kind_3",
    "replays": "/ui/replays",
    "feedback": "/ui/feedback",
    "query": "/ui/query",
}


def loaded(root: Path, session: str, rounds: int) -> list[str]:
    """Load each page as the first one of a server, and then some times more; a table's lines."""
    lines = []
    for name, form in PAGES.items():
        with process("-m", "lakehouse", "ui", "--log", str(root), "--listen", "127.0.0.1:0") as (
            _,
            told,
        ):
            start = re.search(r"http://[^/]+", told)
            assert start is not None, told
            url = start[0] + form.format(session=session)
            first, size = _load(url)
            warm = []
            for _ in range(rounds):
                time.sleep(SHARED_S)
                warm.append(_load(url)[0])
        figures = f"{first:.2f} | {statistics.median(warm):.2f} | {max(warm):.2f}"
        lines.append(f"| {name} | {figures} | {size / 1000:.0f} |")
    return lines


def _load(url: str) -> tuple[float, int]:
    """Load a page; its seconds and its bytes."""
    begun = time.perf_counter()
    with urlopen(url) as answer:
        size = len(answer.read())
    return time.perf_counter() - begun, size
